"""One peer in a separate process, controlled by lines of JSON on standard input; responds on standard output.

``python -m benchmarks.peers._child PEER ENDPOINT FOLDER``. Needs numpy and the peer, nothing else.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.peers._contract import Place, Predict, Running, model
from benchmarks.workloads import arrays

QUANTILES = (0.5, 0.99)


def main(peer: str, endpoint: str, folder: str) -> None:
    """Take orders. What a peer prints goes to standard error: standard output is the harness's."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    observe(peer, Place(endpoint, Path(folder)), sys.stdin, answers)
    answers.close()
    # Peers differ in what they do at exit (whylogs joins a timer of an hour, exporters retry): none of it is measured.
    sys.stderr.flush()
    os._exit(0)


def observe(peer: str, place: Place, orders: TextIO, answers: TextIO) -> None:
    """Start the peer and run the requested rounds, until the order to end.

    Memory is read before the peer is imported, when it has answered and flushed once (imports it defers are paid then),
    and at the end.
    """
    bare, rows = model(), arrays()
    timings_ns = np.zeros(max(json.loads(orders.readline())["most"], 1))
    bare_round(bare, rows, timings_ns[:1000])
    without_kib = resident_kib()
    running: Running = importlib.import_module(f"benchmarks.peers.{peer}").start(bare, place)
    running.predict(rows[0])
    running.flush()
    ready_kib = resident_kib()
    print(json.dumps({"ready": True}), file=answers)
    for line in orders:
        count = json.loads(line)["predictions"]
        if not count:
            break
        told = {"bare": bare_round(bare, rows, timings_ns[:count])}
        told["observed"] = observed_round(running, rows, timings_ns[:count])
        print(json.dumps(told), file=answers)
    now_kib = resident_kib()
    grown = {"ready_kib": ready_kib - without_kib, "grown_kib": now_kib - ready_kib}
    print(json.dumps({**grown, "counted": running.counted(), "numpy": np.__version__}), file=answers)


def bare_round(predict: Predict, rows: list[Any], timings_ns: Any) -> dict[str, float]:
    """Return the cost of the unobserved function, in this process."""
    began_ns = time.process_time_ns()
    _call(predict, rows, timings_ns)
    return _told(timings_ns, time.process_time_ns() - began_ns)


def observed_round(running: Running, rows: list[Any], timings_ns: Any) -> dict[str, float]:
    """Return the cost of the observed function: the caller's latencies, and the CPU of the process until everything is delivered."""
    began_ns = time.process_time_ns()
    _call(running.predict, rows, timings_ns)
    called_ns = time.process_time_ns()
    running.flush()
    ended_ns = time.process_time_ns()
    return _told(timings_ns, ended_ns - began_ns) | {"flush_cpu_us": (ended_ns - called_ns) / 1e3}


def _call(predict: Predict, rows: list[Any], timings_ns: Any) -> None:
    now_ns, many = time.perf_counter_ns, len(rows)
    for call in range(len(timings_ns)):
        row = rows[call % many]
        began_ns = now_ns()
        predict(row)
        timings_ns[call] = now_ns() - began_ns


def _told(timings_ns: Any, cpu_ns: int) -> dict[str, float]:
    median_us, p99_us = (float(value) for value in np.quantile(timings_ns, QUANTILES) / 1e3)
    return {"median_us": median_us, "p99_us": p99_us, "cpu_us": cpu_ns / 1e3 / len(timings_ns)}


def resident_kib() -> float:
    """Return the resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
