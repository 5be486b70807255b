"""The detection floor of a rate: the smallest rate that would have been reported by now with probability 0.9.

Computed from the data at hand, with the same evidence, price and dispersion as the look itself: first the events a span would have needed, then the rate
at which that many come with probability 0.9 (in one look; of a long span 0.8, for the looks on the way to it add theirs; by the normal approximation of a count whose variance is the dispersion times its mean,
with the continuity correction). A property, checked by planting changes at the floor: `tests/unit/diagnose/test_floors.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.evidence import MIN_HITS, above_ln_e, rise_ln_e
from radiosonde.diagnose.spans import scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.spans import SpanScan

_NINE_IN_TEN, _EIGHT_IN_TEN = 1.2816, 0.8416
_TRIES = 60


def floor_spans(table: MeasureTable) -> dict[int, str]:
    """Return the spans whose floors are said, in windows, with their words: two windows, an hour and a day, as far as there is so much."""
    spans = {2: "for two windows"} if table.size > 1 else {1: "for one window"}
    last, all_ns = int(table.end_ns[-1]), int(table.end_ns[-1] - table.start_ns[0])
    for length_ns, words in ((3_600_000_000_000, "for an hour"), (86_400_000_000_000, "for a day")):
        steps = int((table.start_ns >= last - length_ns).sum())
        if steps > 2 and all_ns >= length_ns:
            spans[steps] = words
    return spans


def falling(rates: Mapping[str, float]) -> dict[str, float]:
    """Return the floors of *rates*, shortest span first, without those above an earlier one: what lasts longer has been seen before."""
    kept: dict[str, float] = {}
    for words, rate in rates.items():
        if not kept or np.isnan(list(kept.values())[-1]) or rate < list(kept.values())[-1]:
            kept[words] = rate
    return kept


def rate_floor(scan: SpanScan, length: int, place: int = 0) -> float:
    """Return the smallest rate over the last *length* windows at *place* that would have been reported; NaN where none would.

    The look at a long span is up to an eighth of it old, so that part of the trials is not counted on.
    """
    length = min(length, scale_of(length))
    seen = length - max(1, length // 8) + 1 if length > 8 else length
    spans = scan.latest(length, place)
    trials = spans.trials * seen / length
    if not trials:
        return float("nan")
    needed = _hits_needed(scan, length, place, trials)
    if not np.isfinite(needed):
        return float("nan")
    # Smallest mean m with m - z sqrt(dispersion m) >= needed - 1/2.
    spread = (_NINE_IN_TEN if length <= 8 else _EIGHT_IN_TEN) * np.sqrt(spans.dispersion)
    mean = ((spread + np.sqrt(spread**2 + 4 * (needed - 0.5))) / 2) ** 2
    rate = float(mean / trials)
    return rate if rate <= 1 else float("nan")


def _hits_needed(scan: SpanScan, length: int, place: int, trials: float) -> float:
    """Return the least number of events in the span that is reported; infinity where not even all trials are enough."""
    spans = scan.latest(length, place)
    past_rate = spans.past_hits / spans.past_trials if spans.past_trials else 0.0
    dispersion = np.asarray(spans.dispersion)

    def is_enough(hits: float) -> bool:
        counted, tried = np.asarray(float(hits)), np.asarray(float(trials))
        known = np.asarray(spans.past_hits), np.asarray(spans.past_trials)
        rise = float(rise_ln_e(counted, tried, *known, dispersion)) - float(scan.price(length, place))
        by_past = rise >= 0 and hits / trials - past_rate >= scan.rule.min_rise and length > 1 and spans.is_mature
        if by_past or trials < scan.rule.objective_trials:
            return by_past
        above = float(above_ln_e(counted, tried, scan.objective(place), dispersion))
        return above >= float(scan.objective_price(length, place))

    low, high = MIN_HITS - 1, float(np.floor(trials))
    if not is_enough(high):
        return float("inf")
    for _ in range(_TRIES):
        if high - low <= 1:
            break
        middle = float(np.floor((low + high) / 2))
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
