"""The detection floor of a rate: the smallest rate that would have been reported by now with probability 0.9.

Computed from the data at hand, with the same evidence, price and dispersion as the look itself: first the events a span would have needed,
then the rate at which that many come with probability 0.9 (in one look; of a long span 0.8, for the looks on the way to it add theirs; by
the normal approximation of a count whose variance is the dispersion times its mean, with the continuity correction). A property, checked by
planting changes at the floor: `tests/unit/diagnose/test_floors.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.evidence import MIN_HITS, above_ln_e, rise_ln_e
from radiosonde.diagnose.replay import FEW, LOUD_HITS
from radiosonde.diagnose.spans import SPREAD_LN, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.places import Places
    from radiosonde.diagnose.replay import Incident
    from radiosonde.diagnose.spans import SpanScan

_BOTH, _NINE_IN_TEN, _EIGHT_IN_TEN = 1.46, 1.2816, 0.8416
_TRIES = 60
_NAMED = 5


def floor_spans(table: MeasureTable) -> dict[int, str]:
    """Return the spans for floors, in windows, with their names: two windows, an hour and a day, up to the length of the history."""
    spans = {2: "for two windows"} if table.size > 1 else {1: "for one window"}
    last, all_ns = int(table.end_ns[-1]), int(table.end_ns[-1] - table.start_ns[0])
    for length_ns, words in ((3_600_000_000_000, "for an hour"), (86_400_000_000_000, "for a day")):
        steps = int((table.start_ns >= last - length_ns).sum())
        if steps > 2 and all_ns >= length_ns:
            spans[steps] = words
    return spans


def longer_spans(scan: SpanScan) -> dict[int, str]:
    """Return spans in words of which a floor is known where two windows hold too little: the shortest power of two that would show anything."""
    for length in scan.scales:
        if length > 2 and not np.isnan(rate_floor(scan, length)):
            return {length: f"for {length} windows"}
    return {}


def length_words(length_ns: int) -> str:
    """Return a length of time in words of one unit."""
    seconds = length_ns / 1e9
    for most, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (2 * 86_400, 3600, "h")):
        if seconds < most:
            return f"{seconds / unit_s:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


class ScanFloors(NamedTuple):
    """The floors of a rate, as far as any is known.

    Attributes:
        rates: smallest rates of the whole model, with words for how long they last, shortest first; NaN where none would be reported.
        worst: the place of which the largest share has to be hit for the longest of these times, and that share; None where there are no places.
        blind: the places of which nothing would be reported.
        words: how long *worst* and *blind* are about.
    """

    rates: Mapping[str, float]
    worst: tuple[int, float] | None
    blind: tuple[int, ...]
    words: str


def is_all_explained(scan: SpanScan) -> bool:
    """Return whether all that is served now belongs to an incident."""
    return not scan.latest(1, 0).trials and bool(scan.raw_trials[:, -1:].any())


def scan_floors(scan: SpanScan, table: MeasureTable, places: Places) -> ScanFloors | None:
    """Return the floors of the rate that *scan* counts; None where all that is served now belongs to an incident.

    Those of the whole model are given for the last two windows, hour and day, or, where these hold too few calls, for the shortest span that
    would show anything. Those of single places (one version, one value of a cohort) for the longest of these.
    """
    if is_all_explained(scan):
        return None
    spans = floor_spans(table)
    rates = falling({words: rate_floor(scan, length) for length, words in spans.items()})
    if all(np.isnan(rate) for rate in rates.values()):
        spans = longer_spans(scan) or spans
        rates = {words: rate_floor(scan, length) for length, words in spans.items()}
    length, words = next((length, words) for length, words in spans.items() if words == list(rates)[-1])
    single = [index for index, name in enumerate(places.names) if name.parts == 1]
    if len(single) < 2:
        return ScanFloors(rates, None, (), words)
    # What belongs to an incident is no place in which nothing would be seen: it was seen.
    last = slice(max(scan.size - length, 0), scan.size)
    is_known = (scan.raw_trials[:, last].sum(axis=1) > 0) & (scan.trials[:, last].sum(axis=1) == 0)
    floors = {index: rate_floor(scan, length, index) for index in single if not is_known[places.members[index]].all()}
    blind = tuple(index for index, rate in floors.items() if np.isnan(rate))
    seen = [(rate, index) for index, rate in floors.items() if not np.isnan(rate)]
    return ScanFloors(rates, max(seen)[::-1] if seen else None, blind, words)


def louder_floor(scan: SpanScan, usual: Incident) -> float:
    """Return the smallest rate of a few windows that would be reported although *usual*, a rise that is known to come, goes on; NaN where none would."""
    rows = scan.members[0] if usual.series is None else usual.series
    trials = float(scan.raw_trials[rows, -FEW:].sum())
    needed = max(LOUD_HITS, usual.peak * trials)
    if not np.isfinite(needed) or needed > trials:
        return float("nan")
    return min(_least_mean(needed + 1, trials, _NINE_IN_TEN**2 * usual.alarm.dispersion) / trials, 1.0)


def falling(rates: Mapping[str, float]) -> dict[str, float]:
    """Return the floors of *rates*, shortest span first, without those above an earlier one: a longer change was detected before."""
    kept: dict[str, float] = {}
    for words, rate in rates.items():
        if not kept or np.isnan(list(kept.values())[-1]) or rate < list(kept.values())[-1]:
            kept[words] = rate
    return kept


def too_few_in(names: Sequence[str], words: str) -> str:
    """Return why nothing is known of the places *names*, however much of their calls is hit *words*."""
    some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"{some}: too few calls for any rate to be reported {words}"


def rate_floor(scan: SpanScan, length: int, place: int = 0) -> float:
    """Return the smallest rate over the last *length* windows at *place* that would have been reported; NaN where none would.

    The last look at a long span may be an eighth of it old, so that part of the trials is excluded. Where short bursts are usual, the rise must
    be larger than they are, or the span longer.
    """
    length = min(length, scale_of(length))
    if scan.opening is not None and length <= scan.opening.steps:
        length = min(length, 2)  # the alarm of the second window decides whether it is a known burst
    seen = length - max(1, length // 8) + 1 if length > 8 else length
    spans = scan.latest(length, place)
    trials = spans.trials * seen / length
    if not trials:
        return float("nan")
    needed = _hits_needed(scan, length, place, trials)
    if not np.isfinite(needed):
        return float("nan")
    squared = (_NINE_IN_TEN if length <= 8 else _EIGHT_IN_TEN) ** 2
    mean = _least_mean(needed, trials, squared * spans.dispersion)
    if length == 2:
        # One window alone is a cluster (`SpanScan`): the other must hold enough, too, whichever it is.
        other = _hits_needed(scan, length, place, trials / 2, least_ln=SPREAD_LN)
        mean = max(mean, 2 * _least_mean(other, trials / 2, _BOTH**2 * spans.dispersion))
    return float(min(mean / trials, 1.0))


def _least_mean(needed: float, trials: float, spread: float) -> float:
    """Return the smallest mean *m* of a count of *trials* with ``m - sqrt(spread * m * (1 - m / trials)) >= needed - 1/2``."""
    if not np.isfinite(needed):
        return trials
    least, shrunk = needed - 0.5, 1 + spread / trials
    middle = 2 * least + spread
    return float((middle + np.sqrt(max(middle**2 - 4 * least**2 * shrunk, 0.0))) / (2 * shrunk))


def _hits_needed(scan: SpanScan, length: int, place: int, trials: float, *, least_ln: float | None = None) -> float:
    """Return the least number of events in the span that is reported; infinity where not even all trials are enough.

    With *least_ln* that is the required evidence over the past, instead of the price of a look.
    """
    spans, opening = scan.latest(length, place), scan.opening
    past_rate = spans.past_hits / spans.past_trials if spans.past_trials else 0.0
    dispersion = np.asarray(spans.dispersion)

    def is_enough(hits: float) -> bool:
        counted, tried = np.asarray(float(hits)), np.asarray(float(trials))
        known = np.asarray(spans.past_hits), np.asarray(spans.past_trials)
        if least_ln is not None:
            return float(rise_ln_e(counted, tried, *known, dispersion, least=2.0)) >= least_ln
        rise = float(rise_ln_e(counted, tried, *known, dispersion)) - float(scan.price(length, place))
        by_past = rise >= 0 and hits / trials - past_rate >= scan.rule.min_rise and length > 1 and spans.is_mature
        by_past = by_past and (opening is None or length > opening.steps or hits > opening.hits)
        is_few = trials < scan.rule.objective_trials
        if by_past or (is_few and length == 1):
            return by_past
        above = float(above_ln_e(counted, tried, scan.objective(place), dispersion))
        return above >= float(scan.price(length, place) if is_few else scan.objective_price(length, place))

    low, high = (1.0 if least_ln is not None else MIN_HITS - 1), float(np.floor(trials))
    if not is_enough(high):
        return float("inf")
    for _ in range(_TRIES):
        if high - low <= 1:
            break
        middle = float(np.floor((low + high) / 2))
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
