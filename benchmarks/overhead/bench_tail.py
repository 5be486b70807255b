"""What the consumer thread does to the caller's tail: a function of 10 us in a closed loop, bare and observed.

The worst case for a thread in the same process: one caller that never rests, so that the consumer has to take the
interpreter lock from it for every slice it folds. Wall time of each call; the loop's own clock reads are in both arms.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from radiosonde.testing import fly

from benchmarks._measure import Figure
from benchmarks.workloads import ANSWER, arrays, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

CALLS = 60_000
"""Calls a round and arm: about a second, which holds at least one turn of the consumer by time and many by fill."""

QUANTILES = (0.5, 0.99, 0.999)


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the change of p99.9 in microseconds, and how it compares with the bare function's."""
    bare = _model()
    with fly() as flight:
        observed = flight.observe("delays", reference=reference())(_model())
        _durations_us(observed)
        found: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for number in range(rounds):
            # A bare round runs beside the consumer too, idle by then: its turn is over before the round begins.
            flight.pipeline().take_turn()
            pair = [_quantiles(bare), _quantiles(observed)] if number % 2 else [_quantiles(observed), _quantiles(bare)]
            found.append((pair[0], pair[1]) if number % 2 else (pair[1], pair[0]))
        lost = sum(flight.losses().values())
        recorded = flight.statistics().records
    without, with_us = np.array([pair[0] for pair in found]), np.array([pair[1] for pair in found])
    raw = {
        f"{arm}_p{100 * level:g}_us": values[:, place].tolist()
        for arm, values in (("bare", without), ("observed", with_us))
        for place, level in enumerate(QUANTILES)
    }
    medians = np.median(without, axis=0), np.median(with_us, axis=0)
    told = ", ".join(
        f"p{100 * level:g} {low:.0f} to {high:.0f} us" for level, low, high in zip(QUANTILES, *medians, strict=True)
    )
    yield Figure(
        "tail-p99.9", "p99.9 of a 10 us function at full rate, thread mode, over bare", (with_us - without)[:, 2].tolist(),
        unit="us", absolute=told, raw=raw,
    )  # fmt: skip
    yield Figure("tail-lost", "records lost at that rate", [lost / max(1, lost + recorded)], unit="of all records")


def _model() -> Callable[[Any], Any]:
    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        until_ns = time.perf_counter_ns() + 10_000
        while time.perf_counter_ns() < until_ns:
            pass
        return ANSWER

    return predict


def _quantiles(predict: Callable[[Any], Any]) -> NDArray[Any]:
    return np.quantile(_durations_us(predict), QUANTILES)


def _durations_us(predict: Callable[[Any], Any]) -> NDArray[np.float64]:
    rows, now_ns = arrays(), time.perf_counter_ns
    durations_ns = np.empty(CALLS)
    for call in range(CALLS):
        row = rows[call % len(rows)]
        began_ns = now_ns()
        predict(row)
        durations_ns[call] = now_ns() - began_ns
    return durations_ns / 1e3
