"""What late labels cost: labels per second through a join store, and remembering the predictions they belong to.

A label is received, joined with its prediction (whose 30 feature cells come along) and acknowledged; labels come in an order
that has nothing to do with that of the predictions inside some ten thousand of them. Wall time, disk included; CPU beside it.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure, interleave, microseconds, yardstick
from benchmarks.workloads import FEATURES, names
from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde._join.store import PREDICTION, Label, LaneNames, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radiosonde._join.store import JoinStore

LABELS = 100_000
RECEIVED_AT_ONCE = 1000
CHUNK_ROWS = 1000
"""Predictions in a call of `remember`: a second of a busy lane."""
SHUFFLED = 10_000
START_NS = 1_362_096_000 * 10**9
LANE = LaneNames(
    nonce=7, model="delays", version="2.3.1", variant="stable", classes=("on time", "late"), declared=2,
    features=tuple(names()), grid="normal-v1",
)  # fmt: skip


def measure(rounds: int) -> Iterator[Figure]:
    """Yield labels per second of each store, then what remembering costs."""
    predictions, labels = _predictions(LABELS), _labels()
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder, f"{number}.sqlite") for number in itertools.count())
        stores: dict[str, tuple[str, Callable[[], JoinStore]]] = {
            "join-sqlite": ("labels joined through SQLite, 30 cells each", lambda: SqliteJoinStore(next(paths))),
            "join-memory": ("labels joined in memory, 30 cells each", lambda: MemoryJoinStore(capacity=LABELS)),
        }
        for arm, (what, open_store) in stores.items():
            times = [_join_all(open_store(), predictions, labels) for _ in range(1 + min(rounds, 5))][1:]
            rates = [LABELS / wall_s for wall_s, _ in times]
            spent = f"{1e6 * float(np.median([cpu_s for _, cpu_s in times])) / LABELS:.1f} us of CPU a label"
            yield Figure(arm, what, rates, unit="labels/s", absolute=spent, raw={"wall_s": [wall for wall, _ in times]})
        remember = _remember_arm(SqliteJoinStore(next(paths)))
        samples = interleave({"remember": remember, "yardstick": yardstick()}, rounds)
    ratios = [spent / unit for spent, unit in zip(samples["remember"], samples["yardstick"], strict=True)]
    what = "remember a prediction for its label, in SQLite with 30 cells"
    yield Figure("join-remember", what, ratios, absolute=microseconds(samples["remember"]), raw=samples)


def _join_all(store: JoinStore, predictions: list[Predictions], labels: list[Label]) -> tuple[float, float]:
    for chunk in predictions:
        store.remember([chunk])
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    for first in range(0, LABELS, RECEIVED_AT_ONCE):
        store.receive(labels[first : first + RECEIVED_AT_ONCE])
    joined = 0
    while (batch := store.join("bench", now_ns=START_NS)) is not None:
        joined += batch.results["joined"]
        store.acknowledge(batch.id)
    spent = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    store.close()
    if joined != LABELS:
        raise AssertionError(f"{joined} labels of {LABELS} were joined")
    return spent


def _remember_arm(store: SqliteJoinStore) -> Callable[[], float]:
    first = itertools.count(0, 20 * CHUNK_ROWS)

    def arm() -> float:
        chunks = _predictions(20 * CHUNK_ROWS, next(first))
        began_ns = time.thread_time_ns()
        for chunk in chunks:
            store.remember([chunk])
        return (time.thread_time_ns() - began_ns) / 1e9 / (20 * CHUNK_ROWS)

    return arm


def _predictions(count: int, first: int = 0) -> list[Predictions]:
    rng = np.random.default_rng(20130301)
    rows = np.zeros(count, dtype=PREDICTION)
    rows["index"] = np.arange(first, first + count)
    rows["start_ns"] = rows["event_ns"] = START_NS + rows["index"] * 1_000_000
    rows["score"], rows["confidence"] = np.nan, rng.random(count)
    rows["class_code"] = rng.integers(0, 2, count)
    cells = rng.integers(0, 14, (count, FEATURES)).astype(np.uint8)
    cuts = range(0, count, CHUNK_ROWS)
    return [Predictions(LANE, rows[cut : cut + CHUNK_ROWS], cells[cut : cut + CHUNK_ROWS]) for cut in cuts]


def _labels() -> list[Label]:
    rng = np.random.default_rng(20130302)
    order = np.concatenate([first + rng.permutation(SHUFFLED) for first in range(0, LABELS, SHUFFLED)])
    values = rng.choice(["on time", "late"], LABELS).tolist()
    return [
        Label(
            f"{START_NS + index * 1_000_000:016x}{LANE.nonce:08x}{index:08x}",
            value,
            START_NS + (index + 60_000) * 1_000_000,
        )
        for index, value in zip(order.tolist(), values, strict=True)
    ]
