"""Chooses the bound at which the detection floor of slow calls is given.

A rise is reported if its evidence suffices and if it matters: the mean of the slowest 1 % must grow by half and by 10 ms
(`radiosonde.diagnose.latency_signals`). The floor is therefore given at a bound that is at least that mean. If a share *s* of the calls
is above a bound *b*, the mean of the slowest 1 % is at least ``100 * s * b``, which gives the least share that matters.

The lowest such bound is the most useful one, but not always known: on a busy machine the share of calls above it varies too much, or all
calls of the present belong to a rise that goes on and does not matter. A higher bound has a floor then; above the slowest call there is
always one, provided that there are enough calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.floors import floor_spans, is_all_explained, longer_spans, rate_floor
from radiosonde.diagnose.latency_incidents import Above
from radiosonde.diagnose.latency_signals import MIN_RATIO, MIN_RISE_S
from radiosonde.diagnose.spans import SpanScan
from radiosonde.diagnose.tail import split_tail
from radiosonde.model import LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radiosonde.diagnose.latency_incidents import SlowCalls
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.panel import Panel

_USEFUL, _RARE = 0.2, 0.1
_TAIL = 0.01


class LeastSeen(NamedTuple):
    """Where the floor of slow calls is given.

    Attributes:
        above: the bound, and the calls above it.
        share: smallest share of calls above it that matters.
    """

    above: Above
    share: float


def least_seen(panel: Panel, table: MeasureTable, slow: SlowCalls) -> LeastSeen | None:
    """Return the lowest bound with a useful detection floor, or else the one with the smallest floor; None without calls.

    Args:
        panel: the windows of the model.
        table: its measures.
        slow: the results on its slow calls.
    """
    needed_s = _needed_s(panel, slow)
    if needed_s is None or not slow.above:
        return None
    best: LeastSeen | None = None
    least = float("inf")
    for above in _bounds(panel, slow, needed_s):
        rate = _longest_floor(above.scan, table)
        if best is None or rate < least:
            best, least = LeastSeen(above, _TAIL * needed_s / above.bound_s), rate
        if rate <= _USEFUL:
            break
    return best


def _bounds(panel: Panel, slow: SlowCalls, needed_s: float) -> Iterator[Above]:
    """Yield the bounds of at least *needed_s*, lowest first; the last one is above the slowest call, so that none is above it."""
    yield from (above for above in slow.above if above.bound_s >= needed_s)
    scan, edges = slow.above[-1].scan, LATENCY.upper_bounds_s()
    buckets = np.searchsorted(edges, [(1 - 1e-9) * above.bound_s for above in slow.above])
    # On the grid of the other bounds, and on the next coarser one: slower calls would be counted there.
    stride = 2 * int(np.diff(buckets[1:]).max(initial=(1 << LATENCY.scale) // 2))
    slowest = int(np.flatnonzero(panel.latency.sum(axis=(0, 1)))[-1])
    bucket = -(-max(slowest, int(np.searchsorted(edges, needed_s))) // stride) * stride
    if bucket < LATENCY.size:
        none = np.zeros_like(scan.raw_trials)
        yield Above(float(edges[bucket]), SpanScan(scan.members, none, scan.raw_trials, scan.month_steps, scan.rule))


def _needed_s(panel: Panel, slow: SlowCalls) -> float | None:
    """Return the mean of the slowest 1 % that would be reported.

    The usual one is that of the time without slow spans. Where these fill more than `_RARE` of the time, slow calls are usual, too: which of
    them count as spans may change once there are slower calls.
    """
    usual = np.ones(panel.axis.size, dtype=bool)
    for span in slow.spans:
        end = panel.axis.size if span.end_ns is None else panel.axis.index(span.end_ns - 1) + 1
        usual[panel.axis.index(span.start_ns) : end] = False
    if usual.mean() < 1 - _RARE or not panel.calls[:, usual].any():
        usual[:] = True
    tail = split_tail(panel.latency[:, usual].sum(axis=(0, 1)), panel.phase_sums_s[:, :, usual].sum(axis=(0, 2)))
    return None if tail is None else max(MIN_RATIO * tail.shortfall_s, tail.shortfall_s + MIN_RISE_S)


def _longest_floor(scan: SpanScan, table: MeasureTable) -> float:
    """Return the smallest rate of the whole model that is reported; infinity where none is, or all calls of now belong to an incident."""
    if is_all_explained(scan):
        return float("inf")
    for spans in (floor_spans(table), longer_spans(scan)):
        known = [rate for rate in (rate_floor(scan, length) for length in spans) if not np.isnan(rate)]
        if known:
            return min(known)
    return float("inf")
