"""The detection floor of a step scan: the smallest lasting rise of a share that would have been reported by now with probability 0.9.

The scan has no closed form to invert, so changes are planted at the end of the data, and the scan is run to see which of them it finds. The
planted count is the one that a rise exceeds with probability 0.9: the mean less 1.28 standard deviations (for few events more) of a count whose variance
is the dispersion of single steps times the binomial one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.share_scan import PAGE_LN_E, scan_share, step_dispersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Axis

    Numbers = NDArray[np.float64]

NINE_IN_TEN = 1.2816
_PLACED = 0.5
"""Deviations added for where in time a planted count falls: a scan sees its blocks, and the last of them decides whether a rise goes on. Of
40 floors of wrong answers without them 5 were missed, and none of those at a rise 6 % larger, which is half a deviation."""

_HALVINGS = 6


class ShareRule(NamedTuple):
    """Criteria of a scan.

    Attributes:
        min_rise: see `scan_share`.
        ratio: see `scan_share`.
        least: see `scan_share`.
        reported: rise below which a result is a note and not a finding.
        margin: standard deviations by which a planted count may fall short of its mean.
    """

    min_rise: float
    ratio: float = 0.5
    least: float = PAGE_LN_E
    reported: float = 0.0
    margin: float = NINE_IN_TEN

    def of_few(self) -> ShareRule:
        """Return the rule for tens of planted events, whose places in time matter beside their count."""
        return self._replace(margin=NINE_IN_TEN + _PLACED)


def share_floor(axis: Axis, hits: Numbers, totals: Numbers, block: int, length: int, rule: ShareRule) -> float:
    """Return the smallest rise of hits/totals over the last *length* steps that `scan_share` would find; NaN where it finds none.

    Args:
        axis: event time.
        hits: events per step.
        totals: trials per step.
        block: steps per block of the scan.
        length: steps that the rise has lasted.
        rule: criteria of the scan.
    """
    inside = np.arange(axis.size) >= axis.size - length
    room = np.where(inside, totals - hits, 0.0)
    if room.sum() <= 0:
        return float("nan")
    spread = step_dispersion(hits, totals, block)

    def is_found(rise: float) -> bool:
        share = min(rise * float(totals[inside].sum()) / float(room.sum()), 1.0)
        mean = share * float(room.sum())
        added = max(mean - rule.margin * np.sqrt(spread * mean * (1 - share)), 0.0)
        planted = hits + room * (added / float(room.sum()))
        found = scan_share(axis, planted, totals, block, min_rise=rule.min_rise, ratio=rule.ratio, least=rule.least)
        return found is not None and found[0].after - found[0].before >= rule.reported and found[0].end == axis.size

    least_room = 1.0 - float(hits[inside].sum()) / max(float(totals[inside].sum()), 1.0)
    return smallest(is_found, max(rule.min_rise, rule.reported) / 2, least_room)


def lasting_floor(
    axis: Axis, hits: Numbers, totals: Numbers, block: int, rule: ShareRule, first: int
) -> tuple[float, int]:
    """Return the smallest rise that would have been found by now, and the number of steps that it has lasted.

    The first of *first* steps, a third and a half of the axis for which any is found; NaN and *first* where none is.
    """
    for length in (first, axis.size // 3, axis.size // 2):
        rise = share_floor(axis, hits, totals, block, length, rule) if length >= first else float("nan")
        if not np.isnan(rise):
            return rise, length
    return float("nan"), first


def smallest(is_found: Callable[[float], bool], low: float, high: float) -> float:
    """Return about the smallest size between *low* and *high* that *is_found*, to a few per cent and rather too large; NaN without any."""
    if high <= low or not is_found(high):
        return float("nan")
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high
