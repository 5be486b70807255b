"""Findings on traffic: how it changed, where, since when, and the possible cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_traffic, look_before
from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_days import DAY_NS
from radiosonde.diagnose.traffic_incidents import severity_of, strain, usual_steps
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.traffic_days import DayChange
    from radiosonde.diagnose.traffic_incidents import TrafficIncident
    from radiosonde.diagnose.traffic_series import Rhythm, TrafficGrid

_POINTS = 96
_GONE = 0.02
_MANY_RUNS = 20
_SURE = 3.0
"""Deviation in usual errors below which a fall is no page: the second evening of a service is off its forecast by two, half of all calls gone
after a day of history by more than four."""


def traffic_finding(model: str, grid: TrafficGrid, incident: TrafficIncident, *, wants_past: bool) -> Finding:
    """Return the finding on *incident*; a note if it is over and the past was not requested."""
    each, place = incident.excursion, incident.place
    calls = grid.calls[incident.rows].sum(axis=0)
    rest = grid.calls[~incident.rows].sum(axis=0)
    inside, before = np.arange(grid.known.size)[each.onset : each.recovered], usual_steps(grid, each)
    now, was = _per_minute(grid, calls, inside), _per_minute(grid, calls, before)
    past = "at the same times of the days before" if grid.pace.needs_course else f"in the {before.size} steps before it"
    severity: Severity = severity_of(grid, incident)
    if each.sign < 0 and each.deviations < _SURE and severity == "page":
        severity = "ticket"
    if each.recovered is not None and not wants_past:
        severity = "info"
    whom = whom_of(place)
    onset = _onset(grid, each.onset, each.recovered)
    where = Place(model, place.version, place.variant, place.cohort)
    came_with = strain(grid, each) if each.sign > 0 else ""
    evidence = [
        Evidence("calls_per_minute", now, "calls/min", f"{_amount(now)} calls a minute since the onset"),
        Evidence("calls_per_minute_before", was, "calls/min", f"{_amount(was)} {past}"),
        Evidence("deviation", round(each.deviations, 1), "usual errors", f"{each.deviations:.0f} times the usual error of the forecast"),
    ]  # fmt: skip
    if whom:
        other, former = _per_minute(grid, rest, inside), _per_minute(grid, rest, before)
        evidence.append(Evidence("others_per_minute", other, "calls/min", f"everything else: {_amount(other)} calls a minute, {_amount(former)} before"))  # fmt: skip
    if came_with:
        evidence.append(Evidence("strain", came_with, "", came_with))
    is_load = "load" if came_with else "split" if place.version or place.variant else "volume"
    return Finding(
        f"traffic.{is_load}.{place.version}{place.cohort or ('' if place.version else 'all')}", "traffic", severity,
        _title(whom, now, was, came_with), _verdict(incident, now, was, came_with, severity), where, onset,
        confidence(_ln_e(grid, each.deviations)), tuple(evidence), (look_at_traffic(where, onset), look_before(where, onset)),
        (_timeline(grid, incident, whom or "all calls"),),
    )  # fmt: skip


def _ln_e(grid: TrafficGrid, deviations: float) -> float:
    """Return the log-likelihood ratio of a deviation in usual errors, corrected for looks, series and both directions."""
    looks = 2.0 * max(float(grid.known.sum()), 1.0) * len(grid.keys)
    return max(deviations**2 / 2 - float(np.log(looks)), 0.0)


def silence_finding(model: str, rhythm: Rhythm, place: PlaceName = PlaceName()) -> Finding:  # noqa: B008 - immutable
    """Return the finding that a model, or a cohort or version of it, has not called for longer than it ever paused."""
    waited, longest_ns = rhythm.until_ns - rhythm.last_ns, int(rhythm.pauses.max())
    onset = Onset(rhythm.last_ns, rhythm.last_ns, min(rhythm.last_ns + longest_ns, rhythm.until_ns))
    where = Place(model, place.version, place.variant, place.cohort)
    runs, is_whole = rhythm.start_ns.size, place == PlaceName()
    whom = "" if is_whole else f"{whom_of(place)}: "
    return Finding(
        f"traffic.volume.{place.version}{place.cohort or ('' if place.version else 'all')}", "traffic",
        "page" if is_whole and runs >= _MANY_RUNS else "ticket",
        f"{whom}gone silent: no call for {_span(waited)}; the longest pause before was {_span(longest_ns)}",
        "Everything else in the store continues, so the callers, the schedule or the path to the model failed, not the recording."
        if is_whole else "Only these calls: the others go on as before, so look at their client, their route, their limits.",
        where, onset, confidence(float(np.log(runs * waited / max(longest_ns, 1)))),
        (
            Evidence("silence", round(waited / 1e9), "s", f"the last call was {_span(waited)} before the end of the data"),
            Evidence("longest_pause", round(longest_ns / 1e9), "s", f"the longest of {runs - 1} pauses was {_span(longest_ns)}"),
        ),
        (look_at_traffic(where, onset), look_before(where, onset)),
    )  # fmt: skip


def days_finding(model: str, place: PlaceName, change: DayChange, until_ns: int) -> Finding:
    """Return the finding that the last days held fewer or more calls than as many ever did."""
    where = Place(model, place.version, place.variant, place.cohort)
    onset = Onset(change.start_ns, change.start_ns - DAY_NS, min(change.start_ns + DAY_NS, until_ns))
    whom = f"{whom_of(place)}: " if place != PlaceName() else ""
    days = "a day" if change.days == 1 else f"{change.days} days"
    least = f"the {'least' if change.is_fall else 'most'} that {days} before held was {_amount(change.extreme)}"
    numbers = f"{_amount(change.calls)} calls in {days}, {_amount(change.usual)} are usual"
    return Finding(
        f"traffic.volume.{place.version}{place.cohort or ('' if place.version else 'all')}", "traffic", "ticket",
        f"{whom}{'fewer' if change.is_fall else 'more'} calls than ever: {numbers}",
        f"Compared with whole days of the month before, or as much of them as today has come to; {least}.",
        where, onset, confidence(max(change.deviations**2 / 2 - float(np.log(500.0)), 0.0)),
        (
            Evidence("calls", change.calls, "calls", numbers),
            Evidence("extreme", change.extreme, "calls", least),
            Evidence("deviation", round(change.deviations, 1), "sd", f"{change.deviations:.0f} times what counting alone makes of it"),
        ),
        (look_at_traffic(where, onset), look_before(where, onset)),
    )  # fmt: skip


def whom_of(place: PlaceName) -> str:
    """Return *place* in words; ``""`` for the whole model."""
    return place.cohort or (f"version {place.version or '(no version)'}" if place != PlaceName() else "")


def _title(whom: str, now: float, was: float, came_with: str) -> str:
    named = f"{whom}: " if whom else ""
    numbers = f"from {_amount(was)} to {_amount(now)} a minute"
    if now < _GONE * was:
        return f"{named}gone silent: calls fell {numbers}"
    if now < was:
        return f"{named}calls fell to {percent(now / was)} ({numbers})"
    return f"{named}{'load: ' if came_with else ''}calls rose to {now / max(was, 1e-9):.2g} times the usual ({numbers})"


def _verdict(incident: TrafficIncident, now: float, was: float, came_with: str, severity: Severity) -> str:
    each, place = incident.excursion, incident.place
    turn = " It began at midnight and is no larger than a weekend or a holiday would cause: a note." if severity == "info" and each.recovered is None else ""  # fmt: skip
    if place.cohort:
        return f"Only these callers: the other cohorts continue as before, so check their client, their route and their limits.{turn}"
    if place != PlaceName():
        return f"The split between versions changed, and no version began, ended or took over: check the router.{turn}"
    if each.sign > 0:
        if came_with:
            return f"Load, perhaps retries: more calls arrived, together with {came_with}. There is no evidence of a fault of the model."
        return f"More calls than usual; neither failures nor slow calls came with them.{turn}"
    what = "no call arrives" if now < _GONE * was else "fewer calls arrive"
    return f"The callers or the path to the model: {what}, in all known cohorts alike. Calls that arrive are counted.{turn}"


def _onset(grid: TrafficGrid, first: int, recovered: int | None) -> Onset:
    at = grid.start_ns + first * grid.step_ns
    ended = None if recovered is None else grid.start_ns + recovered * grid.step_ns
    return Onset(at, at - grid.step_ns, at + grid.step_ns, ended)


def _per_minute(grid: TrafficGrid, calls: NDArray[np.float64], steps: NDArray[np.int64]) -> float:
    known = steps[grid.known[steps]]
    return float(calls[known].sum() / max(known.size, 1) * 60e9 / grid.step_ns)


def _timeline(grid: TrafficGrid, incident: TrafficIncident, label: str) -> Timeline:
    """Return calls a minute over the incident and twice as long before it, in at most `_POINTS` points."""
    each = incident.excursion
    some = max(2 * grid.pace.base, usual_steps(grid, each).size)
    end = min((grid.known.size if each.recovered is None else each.recovered) + some, grid.known.size)
    begin = max(each.onset - max(2 * (end - each.onset), some), 0)
    edges = np.arange(begin, end, max(1, -(-(end - begin) // _POINTS)))
    stops = [*edges[1:].tolist(), end]
    lines = []
    for name, rows in ((label, incident.rows), ("others", ~incident.rows)):
        if rows.any():
            calls = grid.calls[rows].sum(axis=0)
            points = [
                _per_minute(grid, calls, np.arange(a, b)) if grid.known[a:b].any() else None
                for a, b in zip(edges.tolist(), stops, strict=True)
            ]
            lines.append((name, points))
    return Timeline("calls", "calls/min", [grid.start_ns + int(edge) * grid.step_ns for edge in edges], lines)


def _amount(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ") if number >= 10 or not number else f"{number:.2g}"


def _span(length_ns: int) -> str:
    minutes = length_ns / 60e9
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"
