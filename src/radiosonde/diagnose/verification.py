"""Verification of a fix: a test of the rate since the fix, and its detection floor.

The rate since the fix is compared with half-way (on the log scale) between the usual rate at the place (its upper bound) and the rate
during the incident; where there is an objective, half-way is at most that. *Fixed*: the upper bound of its 95 % interval is below
half-way. *Not fixed*: the lower bound is above. Otherwise it is undecided, and the result includes the number of further calls needed. It
also includes the rate that would have been detected with probability 0.9: a rate that is far above the usual, or none at all, means that
there were too few calls.

The interval is Wilson's score interval (JASA 22, 1927) with counts divided by their dispersion, which is estimated from the windows before
the incident, the largest tenth left out. Where the moment of the fix is not given, it is the most likely one, and the interval is that of
99.7 % for having been chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_GIVEN_Z, _CHOSEN_Z, _NINE_IN_TEN = 1.96, 3.0, 1.2816
_MOST_CALLS = 1e12
_MOST_RATE = 0.999


class MeasuredRate(NamedTuple):
    """The measure of an incident, at its place.

    Attributes:
        start_ns: start of each step, ascending.
        end_ns: end of each step.
        hits: events per step.
        trials: trials per step.
        noun: the counted calls, e.g. ``calls that fail``.
        objective: allowed rate, regardless of the usual one; None for none.
    """

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    hits: Numbers
    trials: Numbers
    noun: str
    objective: float | None = None


class Verification(NamedTuple):
    """Whether a fix worked.

    Attributes:
        answer: ``fixed``, ``not fixed``, or ``unknown``.
        since_ns: the moment of the fix.
        is_given: whether the caller gave it.
        usual: rate before the incident; NaN where nothing was before it.
        during: rate from its onset to the fix.
        rate: rate since the fix; NaN without calls.
        low: lower bound of the rate since the fix.
        high: upper bound.
        trials: calls since the fix.
        noticed: smallest rate that would have been detected with probability 0.9; NaN where none would.
        needed: further calls needed for a decision at the usual rate; 0 when there is one, NaN if none suffices.
        needed_s: their duration at the traffic since the fix; NaN without traffic.
        noun: the counted calls.
    """

    answer: Literal["fixed", "not fixed", "unknown"]
    since_ns: int
    is_given: bool
    usual: float
    during: float
    rate: float
    low: float
    high: float
    trials: float
    noticed: float
    needed: float
    needed_s: float
    noun: str


def verify(measured: MeasuredRate, onset_ns: int, since_ns: int | None = None) -> Verification:
    """Return whether the incident that began at *onset_ns* is fixed.

    Args:
        measured: the rate at its place.
        onset_ns: start of the incident.
        since_ns: the moment of the fix; None to take the most likely one after the onset.
    """
    first = int(np.searchsorted(measured.start_ns, onset_ns))
    usual, known = _rate(measured, slice(0, first))
    dispersion = _dispersion(measured.hits[:first], measured.trials[:first])
    is_given = since_ns is not None
    if since_ns is None:
        fixed = _likeliest(measured, first, usual if known else 0.0)
        since_ns = int(measured.start_ns[fixed])
    else:
        fixed = int(np.searchsorted(measured.start_ns, since_ns))
    during, ill = _rate(measured, slice(first, max(fixed, first)))
    rate, trials = _rate(measured, slice(max(fixed, first), measured.hits.size))
    if not ill:
        during = rate if trials else usual
    middle = _middle(_interval(usual * known, known, 1.0, _GIVEN_Z)[1] if known else 0.0, during, measured.objective)
    z = _GIVEN_Z if is_given else _CHOSEN_Z
    hits = rate * trials if trials else 0.0
    low, high = _interval(hits, trials, dispersion, z)
    answer: Literal["fixed", "not fixed", "unknown"] = (
        "fixed" if trials and high < middle else "not fixed" if trials and low > middle else "unknown"
    )
    needed = _needed(min(usual if known else middle / 4, middle / 2), middle, dispersion, z)
    missing = 0.0 if answer != "unknown" else max(needed - trials, 1.0)
    length_s = float((measured.end_ns - measured.start_ns)[max(fixed, first) :].sum()) / 1e9
    pace = trials / length_s if length_s > 0 else 0.0
    return Verification(
        answer, since_ns, is_given, usual if known else float("nan"), during, rate if trials else float("nan"), low, high, trials,
        _noticed(trials, middle, dispersion, z), missing, missing / pace if pace else float("nan"), measured.noun,
    )  # fmt: skip


def _rate(measured: MeasuredRate, part: slice) -> tuple[float, float]:
    hits, trials = float(measured.hits[part].sum()), float(measured.trials[part].sum())
    return (hits / trials if trials else 0.0), trials


def _middle(usual: float, during: float, objective: float | None) -> float:
    """Return the rate half-way between both levels, on the log scale; *usual* is the upper bound of the usual rate, 0 without one."""
    if not usual:
        return min(during / 4 if objective is None else objective, _MOST_RATE)
    high = max(during, 2 * usual)
    middle = float(np.sqrt(usual * high))
    return min(middle if objective is None or objective < usual else min(middle, objective), _MOST_RATE)


def _likeliest(measured: MeasuredRate, first: int, usual: float) -> int:
    """Return the step from which on the usual rate fits best; if it never fits, the start of the last fifth."""
    hits, trials = measured.hits[first:], measured.trials[first:]
    whole = (hits.sum() + 0.5) / (trials.sum() + 1.0)
    ill = np.clip(max(float(np.max(hits / np.maximum(trials, 1.0), initial=0.0)) / 2, whole), 2e-6, _MOST_RATE)
    well = min(max(usual, 1e-6), ill / 4)
    gain = hits * np.log(well / ill) + (trials - hits) * np.log((1 - well) / (1 - ill))
    suffix = gain[::-1].cumsum()[::-1]
    if not suffix.size or suffix.max() <= 0:
        return max(first + int(hits.size) - max(int(hits.size) // 5, 1), 0)
    return first + int(suffix.argmax())


def _dispersion(hits: Numbers, trials: Numbers) -> float:
    """Return Pearson's dispersion over steps, the largest tenth of the terms left out; at least 1."""
    served = trials > 0
    if served.sum() < 10 or not hits.sum():
        return 1.0
    rate = hits.sum() / trials.sum()
    terms = np.sort((hits[served] - rate * trials[served]) ** 2 / np.maximum(rate * (1 - rate) * trials[served], 1e-12))
    return float(
        max(terms[: max(int(0.9 * terms.size), 1)].mean() / 0.6, 1.0)
    )  # 0.6: mean of a chi-square without its largest tenth


def _interval(hits: float, trials: float, dispersion: float, z: float) -> tuple[float, float]:
    if not trials:
        return 0.0, 1.0
    count = trials / dispersion
    share = hits / trials
    centre = share + z * z / (2 * count)
    reach = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(float((centre - reach) / scale), 0.0), min(float((centre + reach) / scale), 1.0)


def _most_hits(trials: float, middle: float, dispersion: float, z: float) -> float:
    """Return the most events among *trials* whose interval lies below *middle*; -1 where not even none does."""
    low, high = -1.0, float(np.floor(trials))
    while high - low > 1:
        between = float(np.floor((low + high) / 2))
        low, high = (between, high) if _interval(between, trials, dispersion, z)[1] < middle else (low, between)
    return low


def _noticed(trials: float, middle: float, dispersion: float, z: float) -> float:
    """Return the smallest rate that would have prevented the answer *fixed* with probability 0.9."""
    if not trials:
        return float("nan")
    most = max(_most_hits(trials, middle, dispersion, z), 0.0)
    spread = _NINE_IN_TEN * np.sqrt(dispersion)
    mean = ((spread + np.sqrt(spread**2 + 4 * (most + 0.5))) / 2) ** 2
    rate = float(mean / trials)
    return rate if rate <= 1 else float("nan")


def _needed(rate: float, middle: float, dispersion: float, z: float) -> float:
    """Return the number of trials at *rate* with an interval below *middle*; NaN if none suffices."""
    count = 1.0
    while _interval(rate * count, count, dispersion, z)[1] >= middle:
        count *= 1.25
        if count > _MOST_CALLS:
            return float("nan")
    return float(np.ceil(count))
