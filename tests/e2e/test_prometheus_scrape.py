"""A real Prometheus scrapes what we serve, and PromQL computes drift from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import pytest

from radiosonde.export.prometheus import PrometheusCollector, metrics_app
from radiosonde.model import Exemplar, SeriesKey
from radiosonde.reference.profile import Reference
from tests.e2e._receivers import ask, prometheus, query, wait_for
from tests.factories import make_feature, make_features, make_latency, make_reference, make_snapshot, make_window

OWNER = "radiosonde_model_name, radiosonde_model_version, radiosonde_reference_id"
FEATURE = f"{OWNER}, radiosonde_feature_name"
CELL = f"{FEATURE}, radiosonde_feature_cell"
COUNTS = f"sum by ({CELL}) (radiosonde_feature_cell_total)"
REFERENCE = f"max by ({CELL}) (radiosonde_feature_reference_ratio)"
SHARES = (
    f"(({COUNTS}) + 0.5) / on ({FEATURE}) group_left () "
    f"(sum by ({FEATURE}) ({COUNTS}) + 0.5 * count by ({FEATURE}) ({COUNTS}))"
)
PSI = f"sum by ({FEATURE}) ((({SHARES}) - ({REFERENCE})) * ln(({SHARES}) / ({REFERENCE})))"


class Quiet(WSGIRequestHandler):
    """Does not log requests."""

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def scraped(require_program: Callable[[str], Path], tmp_path: Path) -> Iterator[Callable[[PrometheusCollector], str]]:
    """Return a function that serves a collector, has Prometheus scrape it, and returns Prometheus' address."""
    program = require_program("prometheus")
    ends: list[Callable[[], object]] = []

    def scrape(collector: PrometheusCollector) -> str:
        server = make_server("127.0.0.1", 0, metrics_app(collector), handler_class=Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        ends.extend([lambda: thread.join(10), server.server_close, server.shutdown])
        running = prometheus(program, server.server_port, tmp_path)
        base = running.__enter__()
        ends.append(lambda: running.__exit__(None, None, None))
        wait_for(lambda: query(base, "up == 1"), "a scrape that succeeds")
        return base

    yield scrape
    while ends:
        ends.pop()()


def drifted(seed: int) -> tuple[dict[tuple[str, str], Reference], PrometheusCollector, dict[tuple[str, str], float]]:
    """Return references, a collector over random traffic in three cohorts, and the PSI of each version and feature."""
    rng = np.random.default_rng(seed)
    features = [
        make_feature("wind", (*rng.integers(50, 200, 10).tolist(), 0, 0, 17, 0)),
        make_feature("rain", (900, 41, 0, 0, 0, 0)),
        make_feature("carrier", (*rng.integers(5, 400, 6).tolist(), 3, 0), categories=("UA", "AA", "DL", "B6", "EV", "MQ")),
    ]  # fmt: skip
    references = {("delays", version): make_reference(features) for version in ("1", "2")}
    windows, psi = [], {}
    for version in ("1", "2"):
        totals = {feature.name: np.zeros(len(feature.counts), np.int64) for feature in features}
        for cohort in ("carrier=AA", "carrier=UA", ""):
            cells = {feature.name: rng.integers(0, 300, len(feature.counts)) for feature in features}
            for name, counts in cells.items():
                totals[name] += counts
            table = make_features(references["delays", version], {name: c.tolist() for name, c in cells.items()})
            windows.append(make_window(SeriesKey("delays", version, "stable", cohort), features=table))
        for feature in features:
            counts, reference = totals[feature.name], np.array(feature.counts)
            p = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
            q = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
            psi[version, feature.name] = float(((p - q) * np.log(p / q)).sum())
    snapshot = make_snapshot(*windows, references=references)
    return references, PrometheusCollector(lambda: snapshot), psi


def test_psi_by_promql_equals_psi_by_numpy(scraped):
    """Drift of every feature of every version, computed by Prometheus alone, agrees with numpy to 1e-6."""
    references, collector, psi = drifted(seed=3)
    base = scraped(collector)
    found = wait_for(lambda: query(base, PSI), "the scraped cells")
    by_promql = {
        (item["metric"]["radiosonde_model_version"], item["metric"]["radiosonde_feature_name"]): float(item["value"][1])
        for item in found
    }
    assert by_promql.keys() == psi.keys()
    assert by_promql == pytest.approx(psi, abs=1e-6, rel=0)
    assert min(psi.values()) > 0.01
    assert {item["metric"]["radiosonde_reference_id"] for item in found} == {references["delays", "1"].id}


def test_prometheus_keeps_zeros_types_and_exemplars(scraped):
    """Cells without traffic are scraped as zeros, families keep their type and unit, exemplars name their trace."""
    reference = make_reference()
    now_ns = time.time_ns()
    latency = make_latency([0.004], {"fetch": [0.003]}, {1: Exemplar(0.004, now_ns, 0xABC, 0xDEF)})
    snapshot = make_snapshot(make_window(latency=latency), references={("delays", "1"): reference})
    base = scraped(PrometheusCollector(lambda: snapshot))
    cells = wait_for(lambda: query(base, "radiosonde_feature_cell_total"), "cells")
    assert len(cells) == 10
    assert {item["value"][1] for item in cells} == {"0"}
    tail = query(
        base,
        'sum(radiosonde_prediction_phase_duration_seconds_total{radiosonde_phase="fetch",radiosonde_total_le="+Inf"})'
        ' - sum(radiosonde_prediction_phase_duration_seconds_total{radiosonde_phase="fetch",radiosonde_total_le="0.001953125"})',
    )
    assert [item["value"][1] for item in tail] == ["0.003"]
    (described,) = ask(base, "metadata", metric="radiosonde_prediction_duration_seconds").values()
    assert [(item["type"], item["unit"]) for item in described] == [("histogram", "seconds")]
    now_s = now_ns / 1e9
    exemplars = wait_for(
        lambda: ask(
            base,
            "query_exemplars",
            query="radiosonde_prediction_duration_seconds_bucket",
            start=str(now_s - 3600),
            end=str(now_s + 3600),
        ),
        "exemplars",
    )
    assert [item["exemplars"][0]["labels"]["trace_id"] for item in exemplars] == ["00000000000000000000000000000abc"]
