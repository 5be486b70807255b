"""The core installation has no OpenTelemetry SDK: all of Radiosonde works, and an SDK added by the user works too.

The packages are taken away in fresh interpreters and those that they start, before Radiosonde is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e._receivers import OtlpSink, attributes, otlp_sink

ABSENT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    names = {"opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google", "requests", "urllib3"}
    def find_spec(self, name, path, target=None):
        if name in self.names or any(name.startswith(each + ".") for each in self.names):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
SERVE = """
import sys
import numpy as np
import radiosonde as rs
rs.start(otlp=True, prometheus=True, store=sys.argv[1] + "/windows.sqlite")

@rs.observe("delays", version="1", classes=("on time", "late"))
def predict(row):
    with rs.stage("score"):
        if row[0, 0] == 7:
            raise ValueError("no such row")
        return np.array([[0.25, 0.75]])

for number in range(300):
    try:
        predict(np.full((1, 3), float(number)))
    except ValueError:
        pass
assert rs.flush(60.0)
from prometheus_client import generate_latest
assert b"radiosonde_prediction_calls_total" in generate_latest()
rs.shutdown()
"""
TRACED = """
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
around = NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0)))
with use_span(around):
"""
BENCH = "import numpy as np\n\ndef predict(row):\n    return float(np.sum(row))\n"


def run(script: str, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter with the core only, and return the finished process."""
    (folder / "sitecustomize.py").write_text(ABSENT)
    return subprocess.run(
        [sys.executable, "-c", script, str(folder), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2] / 'src'}{os.pathsep}{folder}", **variables},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def counted(sink: OtlpSink) -> int:
    """Return the calls that the last points say: counters are cumulative, and are sent at the flush and at the end."""
    points = sink.metrics()["radiosonde.prediction.calls"].sum.data_points
    return sum({tuple(sorted(attributes(point.attributes).items())): point.as_int for point in points}.values())


@pytest.mark.parametrize("detectors", ["", "otel", "process", "rack,os", "*"])
def test_every_carrier_works_and_the_resource_is_ours(tmp_path: Path, detectors: str) -> None:
    """Metrics, sketches and spans arrive; resource detectors, which the SDK would run, are said to be missing."""
    with otlp_sink() as sink:
        done = run(
            SERVE, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_SERVICE_NAME="delays-api",
            OTEL_RESOURCE_ATTRIBUTES="rack.name=r12", OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=detectors,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        calls = counted(sink)
        resource = attributes(sink.requests["/v1/metrics"][0].resource_metrics[0].resource.attributes)
        spans = [
            span for request in sink.requests["/v1/traces"] for each in request.resource_spans
            for scope in each.scope_spans for span in scope.spans
        ]  # fmt: skip
    assert calls == 300
    assert (resource["service.name"], resource["rack.name"]) == ("delays-api", "r12")
    assert any(span.status.code == 2 for span in spans)
    assert ("radiosonde[otel]" in done.stderr) == (detectors not in ("", "otel"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["doctor"], {0, 1}),
        (["bench", "m:predict", "--input", "rows.json", "--seconds", "0.5", "--json"], {0}),
        (["store", "show", "windows.sqlite"], {0}),
        (["label", "--help"], {0}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_work(tmp_path: Path, arguments: list[str], expected: set[int]) -> None:
    """Commands need no SDK; a bench is without its comparison, and doctor says what detectors need."""
    (tmp_path / "m.py").write_text(BENCH)
    (tmp_path / "rows.json").write_text(json.dumps([[1.0, 2.0], [3.0, 4.0]]))
    assert run(SERVE.replace("otlp=True", "otlp=False"), tmp_path).returncode == 0
    script = "import sys\nfrom radiosonde.cli import main\nsys.exit(main(sys.argv[2:]))"
    done = run(
        script, tmp_path, *arguments,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="process",
    )  # fmt: skip
    assert done.returncode in expected, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] == "bench":
        assert json.loads(done.stdout)["histogram_us"] is None
    if arguments[0] == "doctor":
        assert "pip install 'radiosonde[otel]'" in done.stdout


@pytest.mark.parametrize("around", ["no trace", "an unsampled trace"])
def test_the_api_alone_around_a_prediction_is_fine(tmp_path: Path, around: str) -> None:
    """A host that uses OpenTelemetry's API without any SDK has its predictions counted, in a trace or not."""
    loop = SERVE.index("for number in")
    traced = SERVE[:loop] + TRACED + "".join(f"    {line}\n" for line in SERVE[loop:].splitlines())
    with otlp_sink() as sink:
        done = run(SERVE if around == "no trace" else traced, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.returncode == 0, done.stderr
        assert counted(sink) == 300
