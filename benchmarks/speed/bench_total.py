"""Cost of a prediction to the machine: CPU of the process for the caller and the drain, every feature aggregated.

Rounds are bursts of 1 000 predictions (or one batch) and a turn of the consumer after each, in the same thread, so that
process CPU time is exactly the two together. The wall clock that the recorders read is moved on between bursts, so that
windows of event time hold 1 000 or 100 000 rows; closing them, sketches included, is part of the bill. Exporting is
not (`bench_export`): it costs by the minute, not by the prediction; writing the store is measured beside it.

Honest by assertion: every record drained, every value in a cell, no loss of any name.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._measure import Figure, interleave, microseconds, over, yardstick
from benchmarks.speed.bench_record import lost_by_reason, still_flight
from benchmarks.workloads import ANSWER, BURST, FEATURES, arrays, dicts, matrix, model, reference
from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde.model import losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from radiosonde.testing import Flight

WINDOW_S = 60
WINDOW_NS = WINDOW_S * 1_000_000_000
BATCH_ROWS = 10_000
CASES = (
    ("total-1k", "total CPU, caller and drain of 30 features, windows of 1 000 rows", BURST, BURST),
    ("total-100k", "total CPU, caller and drain of 30 features, windows of 100 000 rows", BURST, 100_000),
    ("total-trickle", "total CPU, folded 10 at a time, windows of 1 000 rows", 10, BURST),
)


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of the whole way to the window."""
    for arm, what, burst, window_rows in CASES:
        with still_flight(window_s=WINDOW_S) as flight:
            yield _figure(arm, what, _predictions(flight, burst, window_rows), rounds)
    with still_flight(window_s=WINDOW_S) as flight:
        run = _predictions(flight, BURST, 100_000, dicts())
        yield _figure(
            "total-dict", "total CPU, rows as dicts, caller and drain, windows of 100 000 rows", run, rounds, dicts()
        )
    with (
        tempfile.TemporaryDirectory() as folder,
        still_flight(window_s=WINDOW_S, store=Path(folder) / "s.db") as flight,
    ):
        flight.pipeline()._delivery.open()
        run = _predictions(flight, BURST, 100_000)
        yield _figure("total-store", "total CPU, windows of 100 000 rows, written to the store", run, rounds)
    with still_flight(window_s=WINDOW_S) as flight:
        # Without the OTLP that would switch it on: sending 60 spans a minute is not by the prediction.
        pipeline = flight.pipeline()
        pipeline._aggregator.tail_sampler = TailSampler(60, pipeline.guard)
        run = _predictions(flight, BURST, 100_000)
        yield _figure("total-spans", "total CPU, windows of 100 000 rows, spans after the fact chosen", run, rounds)
    yield from _batches(rounds)


def _figure(arm: str, what: str, run: Callable[[], float], rounds: int, rows: Sequence[Any] | None = None) -> Figure:
    bare = lambda: _bare_s(model(), rows or arrays())  # noqa: E731
    samples = interleave({"bare": bare, arm: run, "yardstick": yardstick()}, rounds, laps=1)
    raw = {f"{name}_s": sample for name, sample in samples.items()}
    extra = [observed - without for observed, without in zip(samples[arm], samples["bare"], strict=True)]
    return Figure(arm, what, over(samples, arm, "bare", "yardstick"), absolute=microseconds(extra), raw=raw)


def _bare_s(predict: Callable[[Any], Any], rows: Sequence[Any]) -> float:
    began_ns = time.process_time_ns()
    for row in rows:
        predict(row)
    return (time.process_time_ns() - began_ns) / 1e9 / len(rows)


def _predictions(
    flight: Flight, burst: int, window_rows: int, rows: Sequence[Any] | None = None
) -> Callable[[], float]:
    """Return an arm: CPU seconds per prediction over one window at least; of arrays unless *rows* says otherwise."""
    predict = flight.observe("delays", reference=reference())(model())
    pipeline = flight.pipeline()
    rows = (rows or arrays())[:burst]
    bursts = max(window_rows, 2 * BURST) // burst
    sent = 0

    def arm() -> float:
        nonlocal sent
        began_ns = time.process_time_ns()
        for number in range(bursts):
            if number * burst % window_rows == 0:
                pipeline.anchor[0] += WINDOW_NS
            for row in rows:
                predict(row)
            pipeline.take_turn()
        spent_ns = time.process_time_ns() - began_ns
        sent += bursts * burst
        _audit(flight, sent, FEATURES)
        return spent_ns / 1e9 / (bursts * burst)

    return arm


def _audit(flight: Flight, rows: int, features: int) -> None:
    """Refuse to report what was not wholly done."""
    statistics = flight.statistics()
    counted = sum(int(window.features.cells.sum()) for window in flight.windows() if window.features)
    lost = lost_by_reason(flight)
    lost.pop(
        losses.JOIN_PRUNED, None
    )  # predictions that were kept for labels, and went when there were 131 072 newer ones
    if statistics.rows != rows or counted != rows * features or lost:
        raise RuntimeError(f"{rows} rows sent, {statistics.rows} drained, {counted} values counted, lost: {lost}")


def _batches(rounds: int) -> Iterator[Figure]:
    """Yield the values per second and core of batches, caller and drain together."""
    batch = matrix(BATCH_ROWS)
    answers = np.repeat(ANSWER, BATCH_ROWS, axis=0)
    copied = np.empty_like(batch)
    with ExitStack() as ends:
        flight = ends.enter_context(still_flight(ring_bytes=16 << 20, window_s=WINDOW_S))

        def answer(_features: Any) -> Any:
            return answers

        predict = flight.observe("delays", reference=reference())(answer)
        sent = 0

        def arm() -> float:
            nonlocal sent
            flight.pipeline().anchor[0] += WINDOW_NS // 100
            began_ns = time.process_time_ns()
            for _ in range(3):
                predict(batch)
                flight.pipeline().take_turn()
            spent_ns = time.process_time_ns() - began_ns
            sent += 3 * BATCH_ROWS
            _audit(flight, sent, FEATURES)
            return spent_ns / 1e9 / 3

        def memcpy() -> float:
            began_ns = time.process_time_ns()
            for _ in range(20):
                np.copyto(copied, batch)
            return (time.process_time_ns() - began_ns) / 1e9 / 20

        samples = interleave({"batch": arm, "memcpy": memcpy}, rounds)
    millions = [BATCH_ROWS * FEATURES / 1e6 / seconds for seconds in samples["batch"]]
    ratio = float(np.median([a / b for a, b in zip(samples["batch"], samples["memcpy"], strict=True)]))
    yield Figure(
        "batch-values",
        f"batches of {BATCH_ROWS} x {FEATURES}, caller and drain, every row kept",
        millions,
        unit="M values/s and core",
        absolute=f"{microseconds(samples['batch'])} a batch, {ratio:.0f} x memcpy",
        raw={f"{name}_s": sample for name, sample in samples.items()},
    )
