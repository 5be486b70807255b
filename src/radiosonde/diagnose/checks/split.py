"""Checks whether one cohort gets another share of the newest version than all others.

The ratio test of `radiosonde.diagnose.canary.ratio`, in a diagnosis.

With callers assigned at random, every cohort has the same share. If all cohorts differ, the split is assumed to be uneven on purpose, which
is reported but not a finding. If one or a few differ from the rest, their callers do not reach the version, or leave it: comparisons of the
versions are biased. With fewer than five cohorts, the rest cannot be determined: two of three are alike by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.canary import NothingToCompare, make_rollout
from radiosonde.diagnose.canary.places import CanaryPlaces, make_places
from radiosonde.diagnose.canary.ratio import LIMIT, check_ratio
from radiosonde.diagnose.finding import Evidence, Finding, Floor, Onset, Place, confidence
from radiosonde.diagnose.next_steps import look_at_traffic, look_before
from radiosonde.diagnose.registry import Check, count
from radiosonde.diagnose.share_floors import NINE_IN_TEN
from radiosonde.errors import ConfigurationError
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.canary.ratio import Mismatch, Ratio
    from radiosonde.diagnose.canary.rollout import Rollout
    from radiosonde.diagnose.registry import Report, View

    Counts = NDArray[np.int64]

_WHAT = "the split of versions between cohorts"
_FEWEST, _MOST_ALONE, _RECENT = 5, 3, 20
_LEAST_ODDS = 1.25
_PLANTED_ODDS = (1.3, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0)


def look(view: View, report: Report) -> None:
    """Check the split of calls between versions of the model of *view*, if it has several."""
    served = [window for window in view.windows if window.calls]
    if len({(window.key.version, window.key.variant) for window in served}) < 2:
        report.gap(view, _WHAT, "there is one version only")
        return
    try:
        rollout = make_rollout(served, None, None)
    except (NothingToCompare, ConfigurationError) as reason:
        report.gap(view, _WHAT, str(reason))
        return
    new, old, _ = rollout.counted(lambda window, _: window.calls)
    if not (new[:, -_RECENT:].any() and old[:, -_RECENT:].any()):
        report.gap(view, _WHAT, f"the rollout is over: one version alone served the last {_RECENT} windows")
        return
    both = new.any(axis=1) & old.any(axis=1)
    if both.sum() < _FEWEST:
        report.gap(view, _WHAT, f"both versions serve {count(int(both.sum()), 'cohort')}; at least {_FEWEST} are needed")  # fmt: skip
        return
    alone, rest = _standing_out(rollout.cohorts, new, old)
    if rest.mismatches:
        because = (
            "cohorts get shares of the versions of their own, as if that were meant; versions are compared within each"
        )
        report.gap(view, _WHAT, because)
        return
    for each in alone:
        report.add(_finding(rollout, each))
    report.passed(view, f"{_WHAT} ({count(rest.cohorts, 'cohort')} alike)", "", _floors(rollout.cohorts, new, old))


def _standing_out(cohorts: Sequence[str], new: Counts, old: Counts) -> tuple[list[Mismatch], Ratio]:
    """Return the few places whose share differs, and the ratio of the rest; none if the rest still differs."""
    left = np.flatnonzero(new.any(axis=1) & old.any(axis=1))
    alone: list[Mismatch] = []
    most = max(left.size // _MOST_ALONE, 1)
    whole = left.size
    while True:
        places = make_places([cohorts[row] for row in left.tolist()], (new + old)[left].sum(axis=1).astype(np.float64))
        ratio = check_ratio(new[left], old[left], places, None, uneven=False)
        ratio = ratio._replace(mismatches=tuple(each for each in ratio.mismatches if _odds(each) >= _LEAST_ODDS))
        if not ratio.mismatches:
            return alone, ratio
        # Each place is compared with all others, so one outlier makes the others differ, too: the farthest one is the outlier.
        worst = max(ratio.mismatches, key=_odds)
        rest = left[~places.members[places.names.index(worst.cohort)]]
        if whole - rest.size > most or rest.size < 2:
            return alone, ratio
        alone.append(worst)
        left = rest


def _floors(cohorts: Sequence[str], new: Counts, old: Counts) -> list[Floor]:
    """Return the smallest odds that would have been reported, of the cohort with the median number of calls and of the one with fewest."""
    both = np.flatnonzero(new.any(axis=1) & old.any(axis=1))
    new, old = new[both], old[both]
    calls = (new + old).sum(axis=1).astype(np.float64)
    places = make_places([cohorts[row] for row in both.tolist()], calls)
    single = [
        index for index, name in enumerate(places.names)
        if index and "," not in name and places.members[index].any() and not places.members[index].all()
    ]  # fmt: skip
    single.sort(key=lambda index: float(calls[places.members[index]].sum()))
    made = []
    for index in dict.fromkeys((single[len(single) // 2], single[0])) if single else ():
        alone = CanaryPlaces(
            (places.names[0], places.names[index]), places.members[[0, index]], places.prices[[0, index]]
        )
        price = LIMIT + float(np.log(2 * len(single)))
        seen = (
            odds for odds in _PLANTED_ODDS if _is_seen(_planted(new, old, places.members[index], odds), alone, price)
        )
        least = next(seen, float("nan"))
        name = places.names[index]
        text = f"odds to get a version that are {least:.3g} times those of the others in {name}"
        made.append(Floor(least, "odds", f"nothing yet in {name}" if np.isnan(least) else text))
    return made


def _planted(new: Counts, old: Counts, inside: NDArray[np.bool_], odds: float) -> tuple[Counts, Counts]:
    """Return the counts with *odds* times the odds in the cohorts *inside*, less what chance takes away one time in ten."""
    total = new + old
    share = odds * new / np.maximum(odds * new + old, 1e-9)
    least = max(1.0 - NINE_IN_TEN / float(np.sqrt(max((total * share)[inside].sum(), 1.0))), 0.0)
    moved = np.where(inside[:, None], np.rint(least * total * share).astype(np.int64), new)
    return moved, total - moved


def _is_seen(counts: tuple[Counts, Counts], places: CanaryPlaces, price: float) -> bool:
    found = check_ratio(*counts, places, None, uneven=False).mismatches
    return any(each.ln_e >= price and _odds(each) >= _LEAST_ODDS for each in found)


def _odds(each: Mismatch) -> float:
    share, expected = (np.clip(part, 1e-6, 1 - 1e-6) for part in (each.share, each.expected))
    ratio = float(share / (1 - share) * (1 - expected) / expected)
    return max(ratio, 1 / ratio)


def _finding(rollout: Rollout, each: Mismatch) -> Finding:
    start_ns = rollout.axis.start_ns
    onset = Onset(start_ns, start_ns, start_ns, whole_span=True)
    where = Place(rollout.model, rollout.new.version, rollout.new.variant, each.cohort)
    shares = f"{percent(each.share)} of its calls, {percent(each.expected)} elsewhere"
    return Finding(
        f"traffic.ratio.{rollout.new.version}{each.cohort}", "traffic", "ticket",
        f"{each.cohort} gets another share of version {rollout.new}: {shares}",
        "The other cohorts are alike, so their callers are drawn at random and these are not, or they leave: look at the router, and at what these "
        "callers see of the version. Until then comparisons of the versions are biased.",
        where, onset, confidence(each.ln_e),
        (
            Evidence("share", each.share, "share", f"version {rollout.new} gets {shares}"),
            Evidence("odds", round(_odds(each), 2), "times", f"the odds differ by a factor of {_odds(each):.3g}"),
        ),
        (look_at_traffic(where, onset), look_before(where, onset)),
    )  # fmt: skip


CHECK = Check(
    name="split",
    watches="how calls are divided between versions",
    subject="",
    measures=("share of the newest version by cohort",),
    baselines=("peers",),
    scales="windows",
    severity="ticket where one or a few cohorts get another share than all others",
    look=look,
    about=("traffic", "version"),
    spoils=False,
)
