"""What being there costs a process: resident memory with every carrier on, and with an agent, and CPU until the first answer.

Each sample is a fresh process. With all carriers it is the one that the comparison of peers measures (`benchmarks.peers`): OTLP to
a local receiver, Prometheus and a store, 30 features, 100 000 predictions, a flush and a scrape every 20 000. CPU until the
first answer is beside a bare call's there, so what `numpy` and the harness import is not in it; a machine that is shared says more
of it than one that is not, so OpenTelemetry by hand stands beside it, in turns.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure
from benchmarks.peers import _environments, _rounds
from benchmarks.peers._catalogue import BARE, OURS, PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ROUNDS = 7
"""Fresh processes per figure; resident memory varies by 1 MiB from one to the next."""

WORKER = """
import os, sys
from pathlib import Path
from benchmarks.peers._child import resident_kib
from benchmarks.peers._contract import CLASSES, MODEL, VARIANT, VERSION, model
from benchmarks.workloads import arrays
bare, rows = model(), arrays()
for row in rows[:1000]:
    bare(row)
before = resident_kib()
import radiosonde as rs
rs.start(agent=True, spool=sys.argv[1])
observed = rs.observe(MODEL, version=VERSION, variant=VARIANT, classes=CLASSES)(bare)
for number in range(100_000):
    observed(rows[number % len(rows)])
print(resident_kib() - before, flush=True)
os._exit(0)
"""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield MiB over the bare process, and milliseconds of CPU until the first answer."""
    rounds = min(rounds, MOST_ROUNDS)
    full, ready = [], []
    for _ in range(rounds):
        (run,) = _rounds.fly([OURS], imports=0, here=True)
        _check(run)
        full.append((run.ready_kib + run.grown_kib) / 1024)
        ready.append(run.ready_kib / 1024)
    yield Figure(
        "memory-carriers", "resident, all carriers, 100 000 predictions of 30 features", full, unit="MiB",
        absolute=f"{np.median(ready):.1f} MiB after the first answer and flush", raw={"ready_mib": ready},
    )  # fmt: skip
    yield Figure(
        "memory-agent-worker", "resident in a worker with an agent, same predictions",
        [_worker_mib() for _ in range(rounds)], unit="MiB",
    )  # fmt: skip
    yield _first_answer(rounds)


def _first_answer(rounds: int) -> Figure:
    (by_hand,) = (peer for peer in PEERS if peer.id == "opentelemetry_by_hand")
    runs = _rounds.fly([BARE, OURS, by_hand], rounds=0, burst=1, imports=rounds, here=True)
    for run in runs:
        _check(run)
    bare, ours, theirs = ([told["first_cpu_s"] for told in run.imports] for run in runs)
    beside = [1e3 * (mine - without) for mine, without in zip(ours, bare, strict=True)]
    ratio = np.median([mine / other for mine, other in zip(ours, theirs, strict=True)])
    return Figure(
        "first-answer", "import, start and first answer, all carriers", beside, unit="ms of CPU",
        absolute=f"{ratio:.2f} x OpenTelemetry by hand", raw={"cpu_s": ours, "opentelemetry_cpu_s": theirs, "bare_cpu_s": bare},
    )  # fmt: skip


def _check(run: _rounds.Run) -> None:
    if run.failure:
        raise RuntimeError(f"{run.peer.name}: {run.failure}")


def _worker_mib() -> float:
    with tempfile.TemporaryDirectory() as spool:
        done = subprocess.run(
            [sys.executable, "-c", WORKER, spool], cwd=_environments.ROOT, capture_output=True, text=True, check=True, timeout=120
        )  # fmt: skip
    return float(done.stdout) / 1024
