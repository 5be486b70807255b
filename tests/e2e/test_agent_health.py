"""Real prefork servers and their agent: the health of each worker is in the store and in the metrics, as the worker lived it."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from radiosonde._ring.process_pages import HEALTH, read_page
from radiosonde.model import RuntimeCounts
from radiosonde.model.addition import add
from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._prefork import PROGRAMS, agent, ended, stop
from tests.e2e._receivers import OtlpSink, attributes, free_port, otlp_sink, wait_for
from tests.slow import mostly_slow

# Only explicit collections, so that their number is known.
APP = """
import gc, json, os, time
from concurrent.futures import ThreadPoolExecutor
import fastapi
import radiosonde as rs

gc.disable()
pool = ThreadPoolExecutor(1)
predict = rs.observe("delays", version="1")(lambda features: "late")

def act(what):
    predict({"wind": 1.0})
    if what == "collect":
        gc.collect()
    elif what == "wait":
        pool.submit(rs.queued(time.sleep), 0).result()
    elif what == "burn":
        until_ns = time.process_time_ns() + 100_000_000
        while time.process_time_ns() < until_ns:
            pass
    return {"pid": os.getpid(), "what": what}

def app(environ, start_response):
    body = json.dumps(act(environ["PATH_INFO"].strip("/"))).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

api = fastapi.FastAPI()

@api.get("/{what}")
async def get(what: str):
    if what == "block":
        time.sleep(0.3)
    return act(what)

rs.instrument_app(api)
"""
GUNICORN = ["gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "--log-level", "error"]
SERVERS = {
    "gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "served:app"],
    "uvicorn in gunicorn": [*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "served:api"],
}
ASKED = 12
"""Of each kind, at each worker at least."""


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    """Run an OTLP receiver."""
    with otlp_sink() as running:
        yield running


@contextmanager
def serving(folder: Path, command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """Run the app in a server; yield its port once it answers."""
    (folder / "served.py").write_text(APP)
    port = free_port()
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAMS / command[0], *(part.replace("PORT", str(port)) for part in command[1:])],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
    with ended(process):
        wait_for(lambda: process.poll() is not None or answers(port), "the server to answer")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield port


def ask(port: int, what: str) -> int:
    """Ask a server for *what*; return which worker answered."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{what}", headers={"Connection": "close"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return int(json.load(answer)["pid"])


def ask_all(port: int, pids: set[int], kinds: list[str]) -> Counter[tuple[int, str]]:
    """Ask until each of the workers did each kind `ASKED` times; return how often each did."""
    done: Counter[tuple[int, str]] = Counter()

    def is_enough() -> bool:
        done.update((ask(port, kind), kind) for kind in kinds)
        return all(done[pid, kind] >= ASKED for pid in pids for kind in kinds)

    wait_for(is_enough, "each worker to be asked often enough", 90)
    return done


def answers(port: int) -> bool:
    """Return whether the server responds."""
    try:
        return ask(port, "predict") > 0
    except OSError:
        return False


def workers(spool: Path) -> dict[int, str]:
    """Return the processes that have left their health, by process id."""
    pages = [(path, path.read_bytes()[:25]) for path in spool.glob("*.health")]
    return {struct.unpack_from("<Q", page, 16)[0]: path.stem for path, page in pages if len(page) == 25 and page[24]}


def kernel_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process from the kernel (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lived(store: Path) -> dict[str, RuntimeCounts]:
    """Return the health in the store by process, over all windows."""
    found: dict[str, list[RuntimeCounts]] = {}
    for _, window in StoreReader(store).parts(Interval(runtime=True)):
        assert window.runtime is not None
        found.setdefault(window.process, []).append(window.runtime)
    return {process: add(parts) for process, parts in found.items()}


def scraped(url: str, name: str) -> dict[str, float]:
    """Return the values of a metric on the agent's page by process."""
    with urllib.request.urlopen(url, timeout=120) as answer:
        found = re.findall(rf'^{name}{{radiosonde_process="(\w+)"}} (\S+)$', answer.read().decode(), re.MULTILINE)
    assert len(found) == len(dict(found))
    return {process: float(value) for process, value in found}


def exported(sink: OtlpSink) -> dict[str, int]:
    """Return the newest number of pauses that came over OTLP by process; all from one instance, the agent."""
    points: list[Any] = sink.metrics()["radiosonde.runtime.gc.pause"].histogram.data_points
    return {attributes(point.attributes)["radiosonde.process"]: point.count for point in points}


@pytest.mark.parametrize("server", mostly_slow(list(SERVERS), quick=("gthread",)))
def test_each_worker_s_health_is_told_by_the_agent(server: str, tmp_path: Path, sink: OtlpSink) -> None:
    """Pauses and waits exactly, lag and CPU against what the worker went through; of a worker that is killed too."""
    spool, told = tmp_path / "spool", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
                                       "OTEL_METRIC_EXPORT_INTERVAL": "1000"}  # fmt: skip
    drainer, said = agent(spool, "--prometheus-port", "0", "--window-s", "2", **told)
    try:
        url = re.findall(r"http://\S+/metrics", said)[0]
        with serving(
            tmp_path, SERVERS[server], {**told, "RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "1"}
        ) as port:
            wait_for(lambda: ask(port, "predict") and len(workers(spool)) == 2, "the health of both workers", 60)
            names = workers(spool)
            before = {pid: kernel_cpu_s(pid) for pid in names}
            kinds = ["collect", "wait", "burn", *(["block"] if "uvicorn" in server else [])]
            done = ask_all(port, set(names), kinds)
            after, asked_ns = {pid: kernel_cpu_s(pid) for pid in names}, time.time_ns()
            pauses = {names[pid]: done[pid, "collect"] for pid in names}
            page = "radiosonde_runtime_gc_pause_seconds_count"
            wait_for(lambda: pauses.items() <= scraped(url, page).items(), "the page to show all pauses")
            wait_for(lambda: pauses.items() <= exported(sink).items(), "OTLP to bring all pauses")
            pages = [spool / f"{name}.health" for name in names.values()]
            wait_for(
                lambda: all(read_page(path, HEALTH).time_ns > asked_ns for path in pages),
                "the workers to sample once more",
            )
            killed = min(names)
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: names[killed] in lived(spool / "agent.sqlite") and not (spool / f"{names[killed]}.health").exists(),
                     "the agent to count the killed worker to its end")  # fmt: skip
    finally:
        code = stop(drainer)
    assert code == 0
    found = lived(spool / "agent.sqlite")
    assert set(names.values()) <= set(found)  # the successor of the killed one may be there too
    for pid, name in names.items():
        health = found[name]
        assert int(health.gc_pauses.counts.sum()) == done[pid, "collect"]
        assert int(health.pool_waits.counts.sum()) == done[pid, "wait"]
        assert health.rss_bytes > 10 << 20
        burnt_s = after[pid] - before[pid]
        assert 0.9 * burnt_s <= health.cpu_s <= 2 * after[pid]
        assert burnt_s >= 0.1 * done[pid, "burn"] - 0.02  # else the kernel's word would prove nothing
        if "block" in kinds:
            # A block of 0.3 s meets a timer that is due every 0.25 s: its lag is at least what is left.
            assert health.loop_lags.sum_s >= 0.05 * done[pid, "block"]
            assert health.loop_lags.quantile_s(1.0) >= 0.05
        else:
            assert not health.loop_lags.counts.any()
    assert list(spool.glob("*.health")) == []
