"""Scrape an observed model: its telemetry joins prometheus-client's default registry, beside your own metrics.

Feature cells are counters with a `cell` label, and their reference shares are gauges beside them, so drift (PSI) is
arithmetic in PromQL.
"""

import urllib.request

import numpy as np
import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

import radiosonde as rs

random = np.random.default_rng(7)
training = {"wind": random.gamma(2.0, 4.0, 5_000), "visibility": random.uniform(0, 10, 5_000)}
reference = rs.Reference.fit(training, model="delays")


@rs.observe("delays", version="2", reference=reference, task="regression")
def predict(row):
    return 3.0 + 0.5 * row[0, 0]


rs.start()  # registers; a server would not need it, the first prediction does the same within a tenth of a second
for wind, visibility in zip(training["wind"][:1000], training["visibility"][:1000], strict=True):
    predict(np.array([[2 * wind, visibility]]))  # something upstream doubles the wind

server, thread = prometheus_client.start_http_server(0, addr="127.0.0.1")
with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as response:
    page = response.read().decode()
server.shutdown()
server.server_close()
thread.join()
rs.shutdown()

samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
for feature in ("wind", "visibility"):
    of_feature = [sample for sample in samples if sample.labels.get("radiosonde_feature_name") == feature]
    counts = {
        s.labels["radiosonde_feature_cell"]: s.value for s in of_feature if s.name == "radiosonde_feature_cell_total"
    }
    shares = {s.labels["radiosonde_feature_cell"]: s.value for s in of_feature if s.name.endswith("reference_ratio")}
    psi = 0.0
    for cell, count in counts.items():
        live = (count + 0.5) / (sum(counts.values()) + 0.5 * len(counts))
        psi += (live - shares[cell]) * np.log(live / shares[cell])
    print(f"{feature:11} PSI {psi:.3f}, cells {[int(count) for count in counts.values()]}")
