"""Prefork servers: totals over all workers are exact, exported once by an agent, or worker by worker without one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from radiosonde._ring.spool import AGENT_LOCK, is_held
from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._prefork import Predictions, agent, load, serving, stop
from tests.e2e._receivers import OtlpSink, attributes, free_port, otlp_sink, wait_for
from tests.slow import mostly_slow

REQUESTS = 300
GUNICORN = ["gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "--log-level", "error"]
SERVERS = {
    "sync": [*GUNICORN, "app:app"],
    "sync, preloaded": [*GUNICORN, "--preload", "app:app"],
    "gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "app:app"],
    "gthread, preloaded": [*GUNICORN, "-k", "gthread", "--threads", "4", "--preload", "app:app"],
    "recycled": [*GUNICORN, "--max-requests", "40", "app:app"],
    "recycled, preloaded": [*GUNICORN, "--max-requests", "40", "--preload", "app:app"],
    "uvicorn": ["uvicorn", "--workers", "2", "--port", "PORT", "--log-level", "error", "app:api"],
    "uvicorn in gunicorn": [*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "app:api"],
}


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    """Run an OTLP receiver."""
    with otlp_sink() as running:
        yield running


def environment(server: str, sink: OtlpSink) -> dict[str, str]:
    """Return the environment of all processes of a test."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "ASGI": "1" if "uvicorn" in server else "",
    }


def made(folder: Path, answered: set[int]) -> Predictions:
    """Return the predictions the app made, after a look that all requests were answered."""
    assert answered == set(range(1, REQUESTS + 1))
    predictions = Predictions(folder / "predictions.log")
    assert predictions.begun == predictions.returned
    return predictions


def stored(path: Path) -> dict[str, int]:
    """Return the calls in a store by process."""
    found: dict[str, int] = {}
    for _, window in StoreReader(path, sketches=False).parts(Interval()):
        found[window.process] = found.get(window.process, 0) + window.calls
    return found


def exported(sink: OtlpSink) -> dict[str, int]:
    """Return the calls that were received over OTLP by ``service.instance.id``: the newest cumulative value."""
    newest: dict[str, int] = {}
    for request in sink.requests["/v1/metrics"]:
        for resource in request.resource_metrics:
            instance = attributes(resource.resource.attributes)["service.instance.id"]
            points: list[Any] = [
                point
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name == "radiosonde.prediction.calls"
                for point in metric.sum.data_points
            ]
            if points:
                newest[instance] = max(newest.get(instance, 0), sum(point.as_int for point in points))
    return newest


def scraped(url: str) -> tuple[int, set[str]]:
    """Return the calls at ``/metrics``, and the label sets they are counted under."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    found = re.findall(r"^radiosonde_prediction_calls_total\{(.*)\} (\S+)", text, re.MULTILINE)
    assert len(found) == len({labels for labels, _ in found})
    return round(sum(float(value) for _, value in found)), {labels for labels, _ in found}


def answers(url: str) -> bool:
    """Return whether the server responds."""
    try:
        urllib.request.urlopen(url, timeout=60).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("server", mostly_slow(list(SERVERS), ["sync, preloaded", "uvicorn"]))
def test_an_agent_speaks_for_all_workers(server: str, tmp_path: Path, sink: OtlpSink) -> None:
    """One page of metrics, one OTLP stream, one store: each has the total of all workers, exactly."""
    spool, told = tmp_path / "spool", environment(server, sink)
    drainer, said = agent(spool, "--prometheus-port", "0", **told)
    try:
        url = re.findall(r"http://\S+/metrics", said)[0]
        workers = {**told, "RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "1"}
        with serving(tmp_path, SERVERS[server], workers) as (_, port):
            answered = load(port, range(1, REQUESTS + 1))
        predictions = made(tmp_path, answered)
        total = predictions.returned.total()
        wait_for(lambda: scraped(url)[0] >= total, "the agent to have drained all")
        calls, series = scraped(url)
    finally:
        code = stop(drainer)
    assert code == 0
    assert calls == total
    assert len(series) == 20  # one per cohort, for any number of workers
    assert len(predictions.pids) >= 2
    assert list(stored(spool / "agent.sqlite").values()) == [total]
    assert list(exported(sink).values()) == [total]
    assert list(spool.glob("*.ring")) == []


@pytest.mark.parametrize("server", ["sync", "sync, preloaded", "uvicorn"])
def test_workers_start_their_agent(server: str, tmp_path: Path, sink: OtlpSink) -> None:
    """With ``RADIOSONDE_AGENT=auto`` an agent is started automatically, with the settings of the workers, and counts everything."""
    spool, store, port = tmp_path / "spool", tmp_path / "told.sqlite", free_port()
    workers = {
        **environment(server, sink),
        "RADIOSONDE_SPOOL": str(spool),
        "RADIOSONDE_AGENT": "auto",
        "RADIOSONDE_STORE": str(store),
        "RADIOSONDE_PROMETHEUS_PORT": str(port),
    }
    pid = 0
    try:
        with serving(tmp_path, SERVERS[server], workers) as (_, server_port):
            answered = load(server_port, range(1, REQUESTS + 1))
            pid = int(wait_for(lambda: (spool / AGENT_LOCK).exists() and (spool / AGENT_LOCK).read_text(), "an agent"))
        total = made(tmp_path, answered).returned.total()
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for(lambda: answers(url) and scraped(url)[0] >= total, "the agent to have drained all")
        assert scraped(url)[0] == total
    finally:
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not is_held(spool / AGENT_LOCK), "the agent to end")
    assert list(stored(store).values()) == [total]
    assert list(exported(sink).values()) == [total]
    assert list(spool.glob("*.ring")) == list(spool.glob("*.counts")) == []


@pytest.mark.parametrize("server", mostly_slow(list(SERVERS), ["sync", "recycled, preloaded"]))
def test_without_an_agent_each_worker_speaks_for_itself(server: str, tmp_path: Path, sink: OtlpSink) -> None:
    """Every worker has an identity of its own in the store and over OTLP, and the sum over them is exact."""
    store = tmp_path / "store.sqlite"
    workers = {**environment(server, sink), "RADIOSONDE_STORE": str(store), "START": "1"}
    with serving(tmp_path, SERVERS[server], workers) as (_, port):
        answered = load(port, range(1, REQUESTS + 1))
    predictions = made(tmp_path, answered)
    calls = stored(store)
    assert sum(calls.values()) == predictions.returned.total()
    assert len(calls) == len(predictions.pids)
    assert exported(sink) == calls


MULTIPROCESSING = """
import multiprocessing, sys
import radiosonde as rs

@rs.observe("delays", version="1")
def predict(features):
    return "even"

def work(count):
    for number in range(count):
        predict({"number": float(number)})

if __name__ == "__main__":
    work(5)
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        pool.map(work, [10] * 20)
        pool.close()
        pool.join()
    workers = [context.Process(target=work, args=(count,)) for count in (100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("drained", ["agent", "self"])
def test_multiprocessing(method: str, drained: str, tmp_path: Path) -> None:
    """Workers of a pool and processes of one's own: 5 + 200 + 300 predictions, with an agent and without."""
    script, spool, store = tmp_path / "work.py", tmp_path / "spool", tmp_path / "store.sqlite"
    script.write_text(MULTIPROCESSING)
    drainer = agent(spool)[0] if drained == "agent" else None
    try:
        subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", script, method],
            env={"RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "1"} if drainer else {"RADIOSONDE_STORE": str(store)},
            timeout=240, check=True,
        )  # fmt: skip
    finally:
        code = stop(drainer) if drainer else 0
    assert code == 0
    calls = stored(spool / "agent.sqlite" if drainer else store)
    assert sum(calls.values()) == 505
    assert (len(calls) == 1) == (drained == "agent")
