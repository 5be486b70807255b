"""The libraries of a carrier are loaded by its first delivery, even at exit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e._receivers import attributes, otlp_sink

QUIET = """
import sys, time
import numpy as np
import radiosonde as rs
{start}
predict = rs.observe("delays")(lambda row: 0.5)
for _ in range(100):
    predict(np.zeros((1, 3)))
print(sorted({{"requests", "urllib3", "opentelemetry.sdk", "google.protobuf"}} & set(sys.modules)))
"""
EVERYTHING = """
import sys
import numpy as np
import radiosonde as rs
rs.start(otlp=True, prometheus=True, store=sys.argv[1] + "/windows.sqlite")
predict = rs.observe("delays", classes=("on time", "late"))(lambda row: np.array([[0.25, 0.75]]))
for number in range(3000):
    predict(np.full((1, 3), float(number)))
assert rs.flush(60.0)
from prometheus_client import generate_latest
assert b"radiosonde_prediction_calls_total" in generate_latest()
print(*sorted(sys.modules))
"""
UNUSED = {"decimal", "fractions", "google", "opentelemetry", "pandas", "pyarrow", "requests", "statistics", "urllib3"}
DETECTOR = """
from opentelemetry.sdk.resources import Resource, ResourceDetector

class Rack(ResourceDetector):
    def detect(self):
        return Resource({"rack.name": "r12"})

class Broken(ResourceDetector):
    def detect(self):
        raise OSError("no rack")
"""


def run(script: str, folder: Path, **variables: str) -> str:
    """Run a script to its end and return its output. It finds modules in *folder*."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={"PYTHONPATH": f"{Path(__file__).parents[2] / 'src'}:{folder}", "HOME": "/", **variables},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("start", "variables"),
    [
        ("rs.start(otlp=True)", {}),
        ("rs.start(otlp=True, prometheus=True)", {}),
        ("rs.start(otlp=True, store=sys.argv[1] + '/windows.sqlite')", {"OTEL_TRACES_EXPORTER": "none"}),
        ("", {"RADIOSONDE_OTLP": "true"}),
    ],
    ids=["start", "with prometheus", "with a store, without spans", "by the environment"],
)
def test_the_first_answers_load_no_sender(tmp_path: Path, start: str, variables: dict[str, str]) -> None:
    """Before the first export neither the caller nor a thread loads the SDK, protobuf or the HTTP library; the exit delivers."""
    with otlp_sink() as sink:
        printed = run(QUIET.format(start=start), tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **variables)
        calls = sink.metrics()["radiosonde.prediction.calls"]
    assert printed.strip() == "[]"
    assert sum(point.as_int for point in calls.sum.data_points) == 100


def test_all_carriers_load_no_library_that_they_do_not_use(tmp_path: Path) -> None:
    """A flush to all carriers and a scrape load nothing that only labels, tracing or tables need."""
    with otlp_sink() as sink:
        printed = run(EVERYTHING, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert "radiosonde.prediction.calls" in sink.metrics()
    loaded = {name.partition(".")[0] for name in printed.split()}
    assert {"prometheus_client", "sqlite3", "http"} <= loaded
    assert loaded & UNUSED == set()


@pytest.mark.parametrize("named", ["rack,broken", "*", "rack, missing"])
def test_an_exit_that_exports_first_knows_its_resource(tmp_path: Path, named: str) -> None:
    """A first export at the exit, where no thread can be started, says what the environment and its detectors say."""
    (tmp_path / "racks.py").write_text(DETECTOR)
    info = tmp_path / "racks-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: racks\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_resource_detector]\nrack = racks:Rack\nbroken = racks:Broken\n"
    )
    with otlp_sink() as sink:
        run(
            QUIET.format(start="rs.start(otlp=True)"),
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging",
            OTEL_SERVICE_NAME="delays-api",
            OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=named,
        )
        (resource,) = {
            tuple(sorted(attributes(each.resource.attributes).items()))
            for request in sink.requests["/v1/metrics"]
            for each in request.resource_metrics
        }
    said = dict(resource)
    assert (said["deployment.environment.name"], said["service.name"]) == ("staging", "delays-api")
    assert (said["rack.name"], said["telemetry.sdk.name"]) == ("r12", "radiosonde")
    assert said["service.instance.id"]
