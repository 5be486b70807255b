"""Known-bad intervals: time that is no baseline for anything, left out before any check looks.

Two kinds: what people exclude (`radiosonde baseline exclude`), and ended incidents, by themselves. Both are left out as if nothing had been recorded:
the windows of the model that overlap an interval, those with the health of its processes, and the traffic of other models beside it. So the
interval is unknown time for every check, neither usual nor silent, and no check needs to know of it. A check of blocks sees what it sees of any
outage of the store.

An interval that reaches to the last window is not left out, because what goes on now must be looked at; its time does not lie before anything that
it could spoil.

Ended incidents take a second look: the checks look at everything first, which finds the incidents that are over; then, if there are any, those
whose baselines can be spoiled look at the windows without them. What only the second look finds was hidden by the past, and is added. Nothing that the
first look found is taken away. A check of windows goes through time and leaves every incident of its measures out of what comes after; its second
look would be the first one again, at the whole cost. A check of blocks compares with all of the past. It looks for one change at a time, too, and today's
may hide last week's; so these checks also say what they would have said two and six days ago.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.registry import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import Check, View
    from radiosonde.model import Window

_LEAST_LEFT = 0.5
"""Share of the steps that must be left for a second look: incidents of most of the time are how this model lives."""

_BACK_NS = (2 * 86_400_000_000_000, 6 * 86_400_000_000_000)
"""How far back the checks of blocks look. Two are a compromise: each costs as much as those checks themselves."""

_SLACK_WINDOWS, _SLACK_PART = 3, 0.05


class KnownBad(NamedTuple):
    """An interval of event time that is no baseline.

    Attributes:
        start_ns: start, inclusive.
        end_ns: end, exclusive.
        model: the model; ``""`` for every model.
        why: the reason.
        number: number of the annotation; 0 for an incident.
    """

    start_ns: int
    end_ns: int
    model: str = ""
    why: str = ""
    number: int = 0


def in_force(intervals: Sequence[KnownBad], model: str, windows: Sequence[Window]) -> list[KnownBad]:
    """Return those of *intervals* that are left out for *model*: they overlap its *windows* and end before the last of them."""
    if not windows:
        return []
    first, last = min(window.start_ns for window in windows), max(window.start_ns for window in windows)
    return [each for each in intervals if each.model in ("", model) and each.end_ns <= last and each.end_ns > first]


def going_on(intervals: Sequence[KnownBad], model: str, windows: Sequence[Window]) -> list[KnownBad]:
    """Return those of *intervals* that reach to the last of *windows*, and are looked at nevertheless."""
    last = max((window.start_ns for window in windows), default=0)
    end = max((window.end_ns for window in windows), default=0)
    return [each for each in intervals if each.model in ("", model) and each.end_ns > last and each.start_ns < end]


def without(windows: Sequence[Window], intervals: Sequence[KnownBad]) -> list[Window]:
    """Return the *windows* that overlap none of *intervals*."""
    if not intervals:
        return list(windows)
    kept = _outside([window.start_ns for window in windows], [window.end_ns for window in windows], intervals)
    return [window for window, is_kept in zip(windows, kept, strict=True) if is_kept]


def view_without(view: View, intervals: Sequence[KnownBad]) -> View:
    """Return *view* as if nothing had been recorded in *intervals*."""
    if not intervals:
        return view
    beside = list(view.beside)
    kept = _outside([start for start, _ in beside], [end for _, end in beside], intervals)
    return replace(
        view,
        windows=without(view.windows, intervals),
        runtime=without(view.runtime, intervals),
        sketched=without(view.sketched, intervals),
        beside=[span for span, is_kept in zip(beside, kept, strict=True) if is_kept],
    )


def can_be_spoiled(check: Check) -> bool:
    """Return whether ended incidents are part of what *check* compares with, if they are not left out for it."""
    return check.scales == "blocks"


def look_again(view: View, reports: Mapping[Check, Report]) -> tuple[View, list[KnownBad]] | None:
    """Return the view for a second look and the ended incidents left out of it; None where no second look is needed.

    Args:
        view: what was looked at.
        reports: what each check reported.
    """
    first, last = (pick(window.start_ns for window in view.windows) for pick in (min, max))
    able = [check for check, report in reports.items() if check.spoils and can_be_spoiled(check) and report.checked]
    days = [back for back in _BACK_NS if able and last - back - first >= back]
    looks = [dict(reports), *(_look_back(view, able, view.panel.axis.start_of(last - back)) for back in days)]
    ended = {
        (each.start_ns, each.end_ns): each for look in looks for each in _ended(view.model, look) if each.end_ns <= last
    }
    if not ended:
        return None
    intervals = [ended[span] for span in sorted(ended)]
    rest = view_without(view, intervals)
    steps, left = ({window.start_ns for window in each.windows} for each in (view, rest))
    if len(left) < _LEAST_LEFT * len(steps):
        return None
    return rest, intervals


def _look_back(view: View, checks: Sequence[Check], until_ns: int) -> dict[Check, Report]:
    """Return what *checks* would have reported at *until_ns*."""
    earlier = view.until(until_ns)
    reports = {check: Report() for check in checks}
    for check, report in reports.items():
        check.look(earlier, report)
    return reports


def _ended(model: str, reports: Mapping[Check, Report]) -> Iterator[KnownBad]:
    """Yield the time of each incident in *reports* that is over."""
    for check, report in reports.items():
        for finding in (*report.findings, *report.notes):
            if check.spoils and finding.kind != "drift" and finding.onset.ended_ns is not None:
                yield KnownBad(finding.onset.at_ns, finding.onset.ended_ns, model, finding.title)


def add_hidden(
    reports: Mapping[Check, Report], second: Mapping[Check, Report], ended: Sequence[KnownBad], window_ns: int
) -> None:
    """Add what goes on and only the *second* look found to *reports*, in place.

    A finding of the first look that began in the time of an incident that is over was dated by that incident: the second look's takes its place.
    """
    for check, added in second.items():
        report = reports[check]
        known = [*report.findings, *(note for note in report.notes if note.onset.ended_ns is None)]
        for finding in added.findings:
            if finding.onset.ended_ns is not None or any(is_same(finding, each, window_ns) for each in known):
                continue
            twins = [each for each in report.findings if each.name == finding.name]
            misdated = [each for each in twins if any(bad.start_ns <= each.onset.at_ns < bad.end_ns for bad in ended)]
            if not twins or misdated:
                report.findings = [each for each in report.findings if each not in misdated]
                report.add(finding)


def is_same(one: Finding, other: Finding, window_ns: int) -> bool:
    """Return whether two findings of one check are about the same incident: one feature, begun together within their doubt."""
    if (one.where.model, one.where.feature, one.kind) != (other.where.model, other.where.feature, other.kind):
        return False
    mine, theirs = one.onset, other.onset
    ends = [onset.ended_ns for onset in (mine, theirs) if onset.ended_ns is not None]
    lasted = min((end - max(mine.at_ns, theirs.at_ns) for end in ends), default=0)
    apart = max(mine.earliest_ns - theirs.latest_ns, theirs.earliest_ns - mine.latest_ns)
    return apart <= max(_SLACK_WINDOWS * window_ns, int(_SLACK_PART * lasted))


def _outside(starts: Sequence[int], ends: Sequence[int], intervals: Sequence[KnownBad]) -> NDArray[np.bool_]:
    """Return which of the spans overlap none of *intervals*."""
    first, last = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
    kept = np.ones(first.size, dtype=bool)
    for each in intervals:
        kept &= (first >= each.end_ns) | (last <= each.start_ns)
    return kept
