"""Processes that end before their first export over OTLP: all three signals arrive, and exemplars name spans that arrive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.e2e._prefork import agent, ended, load, serving
from tests.e2e._receivers import attributes, otlp_sink, wait_for

SCRIPT = """
import os, signal, sys, threading
import radiosonde as rs

@rs.observe("delays", classes=["early", "late"])
def predict(features):
    if features["wind"] == 7:
        raise ValueError("wind")
    return "late" if features["wind"] > 10 else "early"

def forty():
    for wind in range(40):
        try:
            predict({"wind": float(wind)})
        except ValueError:
            pass

def main():
    END

if __name__ == "__main__":
    main()
"""

ENDS = {
    "the script's last line": ("forty()", 0),
    "sys.exit": ("forty(); sys.exit(3)", 3),
    "an exception": ("forty(); raise SystemError('mine')", 1),
    "SIGTERM": ("forty(); os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGINT": ("forty(); os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "a handler of SIGTERM that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); forty(); os.kill(os.getpid(), signal.SIGTERM)", 0,
    ),
    "predictions in another thread": ("worker = threading.Thread(target=forty); worker.start(); worker.join()", 0),
    "a forked child": (
        "child = os.fork()\n    if child: os.waitpid(child, 0)\n    else: forty(); sys.exit(0)", 0,
    ),
    "a process of multiprocessing": (
        "import multiprocessing as m; child = m.get_context('fork').Process(target=forty); child.start(); child.join()", 0,
    ),
    "a spawned process": (
        "import multiprocessing as m; child = m.get_context('spawn').Process(target=forty); child.start(); child.join()", 0,
    ),
    "a pool of processes": (
        "import concurrent.futures as f\n    with f.ProcessPoolExecutor(1) as pool: pool.submit(forty).result()", 0,
    ),
    "a pool of threads": (
        "import concurrent.futures as f\n    with f.ThreadPoolExecutor(1) as pool: pool.submit(forty).result()", 0,
    ),
}  # fmt: skip


def run(folder, end, **variables):
    """Run the script to one of its ends; return its exit code and its output."""
    path = folder / "script.py"
    path.write_text(SCRIPT.replace("END", end))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "RADIOSONDE_"))}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path)], env={**ours, **variables}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


def exemplars(sink):
    """Return (trace id, span id) of each exemplar received."""
    points = sink.metrics()["radiosonde.prediction.duration"].histogram.data_points
    return {(found.trace_id, found.span_id) for point in points for found in point.exemplars}


@pytest.mark.parametrize("end", ENDS)
def test_every_signal_arrives_whatever_ends_the_process(end, tmp_path):
    """Counts, sketches and spans after the fact are received, by one export or two; every exemplar names one of these spans."""
    code, returned = ENDS[end]
    with otlp_sink() as sink:
        done = run(tmp_path, code, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    assert done.returncode == returned, done.stderr
    assert "adiosonde failed" not in done.stderr
    calls = sink.metrics()["radiosonde.prediction.calls"].sum.data_points  # cumulative: the last export has all
    assert len({(point.start_time_unix_nano, str(point.attributes)) for point in calls}) == 1
    assert calls[-1].as_int == 40
    named = exemplars(sink)
    assert named
    assert named <= {(span.trace_id, span.span_id) for span in sink.spans()}
    assert Counter(span.status.code for span in sink.spans())[2] == 1  # the error is among them
    assert sink.logs()


@pytest.mark.parametrize("refused", ["/v1/metrics", "/v1/logs", "/v1/traces"])
def test_a_signal_that_is_refused_costs_the_others_nothing(refused, tmp_path):
    """One unreachable endpoint: the two other signals arrive complete."""
    variable = {"/v1/metrics": "METRICS", "/v1/logs": "LOGS", "/v1/traces": "TRACES"}[refused]
    with otlp_sink() as sink:
        done = run(
            tmp_path, "forty()", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            **{f"OTEL_EXPORTER_OTLP_{variable}_ENDPOINT": "http://127.0.0.1:9/", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"},
        )  # fmt: skip
    assert done.returncode == 0
    received = {path for path, requests in sink.requests.items() if requests}
    assert received == {"/v1/metrics", "/v1/logs", "/v1/traces"} - {refused}


GUNICORN = ("gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "error", "--no-control-socket", "app:app")
SERVERS = {
    "gunicorn, sync": GUNICORN,
    "gunicorn, gevent": (*GUNICORN, "-k", "gevent"),
    "gunicorn, recycled workers": (*GUNICORN, "--max-requests", "4"),
    "uvicorn": ("uvicorn", "app:api", "--port", "PORT"),
    "hypercorn": ("hypercorn", "app:api", "-b", "127.0.0.1:PORT"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_servers_send_the_spans_that_exemplars_name(server, tmp_path):
    """A server that ends, or whose workers do, before the first export: its exemplars name spans that arrived."""
    for library in server.split(", "):
        if library in ("gevent", "hypercorn"):
            pytest.importorskip(library)
    asgi = {"ASGI": "1"} if "app:api" in SERVERS[server] else {}
    with otlp_sink() as sink:
        with serving(tmp_path, SERVERS[server], {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, **asgi}) as (_, port):
            answered = load(port, range(1, 21), threads=2)
        assert len(answered) == 20
        wait_for(lambda: exported_calls(sink) >= 20, "the counts of every worker")
    named = exemplars(sink)
    assert named
    assert named <= {(span.trace_id, span.span_id) for span in sink.spans()}


def exported_calls(sink):
    """Return the calls of the model as received: the last word of every process."""
    last = {}
    for request in sink.requests["/v1/metrics"]:
        for resource in request.resource_metrics:
            process = attributes(resource.resource.attributes)["service.instance.id"]
            for metric in resource.scope_metrics[0].metrics:
                if metric.name == "radiosonde.prediction.calls":
                    last[process] = sum(point.as_int for point in metric.sum.data_points)
    return sum(last.values())


def test_an_agent_sends_the_spans_that_its_exemplars_name(tmp_path):
    """An agent that is ended before its first export sends all three signals of the process it drained."""
    spool = tmp_path / "spool"
    with otlp_sink() as sink:
        store = str(tmp_path / "store.sqlite")
        process, said = agent(spool, "--store", store, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        with ended(process):
            assert "OTLP" in said
            done = run(tmp_path, "forty()", RADIOSONDE_SPOOL=str(spool), RADIOSONDE_AGENT="1")
            assert done.returncode == 0, done.stderr
        assert exported_calls(sink) == 40
    named = exemplars(sink)
    assert named
    assert named <= {(span.trace_id, span.span_id) for span in sink.spans()}
    assert sink.logs()
