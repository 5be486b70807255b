"""Known-bad intervals: time excluded from all baselines before any check runs.

Two kinds: intervals excluded by people (`radiosonde baseline exclude`), and ended incidents, automatically. Both are removed as if nothing
had been recorded: the windows of the model that overlap an interval, those with the health of its processes, and the traffic of other
models beside it. The interval is therefore unknown time for every check, neither usual nor silent, and checks do not need to handle it. A
check of blocks treats it like an outage of the store.

An interval that reaches to the last window is kept, because the present must be checked; it precedes nothing that it could bias.

Ended incidents need a second pass: the checks run on everything first, which finds the ended incidents; then, if there are any, the checks
whose baselines may be biased run on the windows without them. Findings of the second pass only were hidden by the past, and are added.
Findings of the first pass are kept. A check of windows proceeds in time order and excludes every incident of its measures from later
baselines; a second pass would repeat the first at full cost. A check of blocks compares with all of the past. It detects one change at a
time, and today's may hide last week's; these checks are therefore also evaluated as of two and six days ago.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import Check, Report, View
    from radiosonde.model import Window

_LEAST_LEFT = 0.5
"""Least share of steps remaining for a second pass: if incidents cover most of the time, they are usual for this model."""

_BACK_NS = (2 * 86_400_000_000_000, 6 * 86_400_000_000_000)
"""Earlier times at which the checks of blocks are evaluated. Two are a compromise: each costs as much as those checks themselves."""

_SLACK_WINDOWS, _SLACK_PART = 3, 0.05


class KnownBad(NamedTuple):
    """An interval of event time excluded from baselines.

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
    """Return the *intervals* to exclude for *model*: they overlap its *windows* and end before the last of them."""
    if not windows:
        return []
    first, last = min(window.start_ns for window in windows), max(window.start_ns for window in windows)
    return [each for each in intervals if each.model in ("", model) and each.end_ns <= last and each.end_ns > first]


def going_on(intervals: Sequence[KnownBad], model: str, windows: Sequence[Window]) -> list[KnownBad]:
    """Return the *intervals* that reach to the last of *windows*, which are checked nevertheless."""
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
    rest = replace(
        view,
        windows=without(view.windows, intervals),
        runtime=without(view.runtime, intervals),
        sketched=without(view.sketched, intervals),
        beside=[span for span, is_kept in zip(beside, kept, strict=True) if is_kept],
    )
    if "breaks" in vars(view):  # the scan of windows leaves its incidents out by itself
        rest.breaks = view.breaks
    return rest


def can_be_spoiled(check: Check) -> bool:
    """Return whether ended incidents would be in the baseline of *check* if they were not excluded."""
    return check.scales == "blocks"


def look_again(view: View, reports: Mapping[Check, Report]) -> tuple[View, list[KnownBad]] | None:
    """Return the view for a second pass and the ended incidents excluded from it; None if no second pass is needed.

    Args:
        view: the view of the first pass.
        reports: reports of the checks.
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
    """Return the reports of *checks* as of *until_ns*."""
    earlier = view.until(until_ns)
    return {check: check.examine(earlier) for check in checks}


def _ended(model: str, reports: Mapping[Check, Report]) -> Iterator[KnownBad]:
    """Yield the time of each incident in *reports* that is over."""
    for check, report in reports.items():
        for finding in (*report.findings, *report.notes):
            if check.spoils and finding.kind != "drift" and finding.onset.ended_ns is not None:
                yield KnownBad(finding.onset.at_ns, finding.onset.ended_ns, model, finding.title)


def add_hidden(
    reports: Mapping[Check, Report], second: Mapping[Check, Report], ended: Sequence[KnownBad], window_ns: int
) -> None:
    """Add ongoing findings of the *second* pass only to *reports*, in place.

    A finding of the first pass whose onset lies in an ended incident was dated by that incident: that of the second pass replaces it.
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
