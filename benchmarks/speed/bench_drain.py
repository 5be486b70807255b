"""Where the consumer's time goes: each step of a drain by itself, on the same thousand records, per record.

The steps are called as the aggregator calls them, on state of their own. Closing is per window, shown per record of a
window of 1 000 rows: a window of 100 000 pays a hundredth of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure, interleave, microseconds, yardstick
from benchmarks.speed.bench_record import still_flight
from benchmarks.workloads import BURST, arrays, model, names, reference
from radiosonde._aggregate.answers import AnswerState
from radiosonde._aggregate.features import FeatureState
from radiosonde._aggregate.fingerprinting import FingerprintState
from radiosonde._aggregate.state import SeriesState
from radiosonde._aggregate.stream import Stream
from radiosonde._aggregate.traffic import TrafficState
from radiosonde._pipeline.ring_consumer import RingConsumer
from radiosonde._ring.reader import RingReader
from radiosonde.model import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radiosonde._ring.reader import Block
    from radiosonde._ring.ring import Ring


def measure(rounds: int) -> Iterator[Figure]:
    """Yield CPU per record of each step."""
    with still_flight() as flight:
        predict = flight.observe("delays", reference=reference())(model())
        for row in arrays():
            predict(row)
        (consumer,) = flight.pipeline()._ring_consumers
        steps = _steps(consumer.writer.ring, RingReader(consumer.writer.ring).drain())
        arms = {arm: (lambda run=run: _per_record_s(run)) for arm, (_, run) in steps.items()}
        samples = interleave({**arms, "yardstick": yardstick()}, rounds)
    for arm, (what, _) in steps.items():
        ratios = [step / unit for step, unit in zip(samples[arm], samples["yardstick"], strict=True)]
        raw = {f"{name}_s": samples[name] for name in (arm, "yardstick")}
        yield Figure(arm, what, ratios, absolute=microseconds(samples[arm]), raw=raw)


def _per_record_s(step: Callable[[], object]) -> float:
    began_ns = time.thread_time_ns()
    step()
    return (time.thread_time_ns() - began_ns) / 1e9 / BURST


def _steps(ring: Ring, block: Block) -> dict[str, tuple[str, Callable[[], object]]]:
    stream = _stream(ring)
    grid = stream.grid
    if grid is None:
        raise AssertionError("the workload's reference has a grid")
    headers, rows = block.headers, block.rows
    prints = FingerprintState(stream, grid.names)
    traffic, answers, consumer = TrafficState(), AnswerState(), RingConsumer(ring, stream, 0)
    settled = FeatureState(stream, grid)
    settled.update(rows)
    settled.update(rows)  # its room for distinct values and frequent items is full now
    columns = np.array(rows, order="F")
    columns.sort(axis=0)

    def window() -> SeriesState:
        state = SeriesState(stream, SeriesKey("delays", "", "stable", ""), 0, 60, "bench")
        state.add_features(rows, 1)
        return state

    full = window()
    return {
        "drain-copy": ("drain: find what is done and copy it out", lambda: RingReader(ring).drain()),
        "drain-traffic": ("drain: calls, durations, phases", lambda: traffic.update(headers, [""])),
        "drain-answers": ("drain: classes and confidence", lambda: answers.update_single(headers)),
        "drain-pending": ("drain: rows and cells for labels", lambda: consumer.predictions(block, with_cells=True)),
        "drain-features": ("drain: 30 features into a window that has 1 024 rows", lambda: settled.update(rows)),
        "drain-fingerprint": ("  of it: fingerprints of features and rows", lambda: prints.update(rows)),
        "drain-sort": ("  of it: copy and sort", lambda: np.array(rows, order="F").sort(axis=0)),
        "drain-cells": ("  of it: cells", lambda: grid.count_sorted(columns)),
        "drain-first-rows": (
            "drain: 30 features, the first 1 000 rows of a window (distinct, frequent)",
            lambda: FeatureState(stream, grid).update(rows),
        ),
        "close-window": ("close a window with sketches, per row of 1 000", lambda: full.freeze(with_sketches=True)),
        "close-total": ("freeze without sketches (totals, scrapes), same", lambda: full.freeze(with_sketches=False)),
    }


def _stream(ring: Ring) -> Stream:
    features = tuple(names())
    stream = Stream(
        model="delays", version="", variant="stable", cohorts=[""], classes=["on time", "late"], errors=[""], phases=[],
        features=features, categories=(None,) * len(features), arena=ring.arena,
    )  # fmt: skip
    stream.adopt(reference())
    return stream
