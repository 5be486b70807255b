"""Say in words how traffic changed, where, since when, and what it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_traffic, look_before
from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_incidents import severity_of, strain
from radiosonde.diagnose.traffic_scan import BASE
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.traffic_incidents import TrafficIncident
    from radiosonde.diagnose.traffic_series import Rhythm, TrafficGrid

_POINTS = 96
_GONE = 0.02
_MANY_RUNS = 20


def traffic_finding(model: str, grid: TrafficGrid, incident: TrafficIncident, *, wants_past: bool) -> Finding:
    """Return the finding on *incident*; a note where it is over and nobody asked for the past."""
    each, place = incident.excursion, incident.place
    calls = grid.calls[incident.rows].sum(axis=0)
    rest = grid.calls[~incident.rows].sum(axis=0)
    now, was = _per_minute(grid, calls, each.onset, each.recovered), _before(grid, calls, each.onset)
    severity: Severity = severity_of(grid, incident)
    if each.recovered is not None and not wants_past:
        severity = "info"
    whom = place.cohort or (f"version {place.version or '(no version)'}" if place != PlaceName() else "")
    onset = _onset(grid, each.onset, each.recovered)
    where = Place(model, place.version, place.variant, place.cohort)
    came_with = strain(grid, each) if each.sign > 0 else ""
    evidence = [
        Evidence("calls_per_minute", now, "calls/min", f"{_amount(now)} calls a minute since the onset"),
        Evidence("calls_per_minute_before", was, "calls/min", f"{_amount(was)} in the {2 * BASE} steps before it"),
        Evidence("deviation", round(each.deviations, 1), "usual errors", f"{each.deviations:.0f} times the usual error of the forecast"),
    ]  # fmt: skip
    if whom:
        other, former = _per_minute(grid, rest, each.onset, each.recovered), _before(grid, rest, each.onset)
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
    """Return the log-likelihood ratio of a deviation in usual errors, with every look at every series on both sides paid for."""
    looks = 2.0 * max(float(grid.known.sum()), 1.0) * len(grid.keys)
    return max(deviations**2 / 2 - float(np.log(looks)), 0.0)


def silence_finding(model: str, rhythm: Rhythm, longest_ns: int) -> Finding:
    """Return the finding that a model with pauses has not been called for longer than it ever paused."""
    waited = rhythm.until_ns - rhythm.last_ns
    onset = Onset(rhythm.last_ns, rhythm.last_ns, min(rhythm.last_ns + longest_ns, rhythm.until_ns))
    where = Place(model)
    runs = rhythm.start_ns.size
    return Finding(
        "traffic.volume.all", "traffic", "page" if runs >= _MANY_RUNS else "ticket",
        f"gone silent: no call for {_span(waited)}; the longest pause before was {_span(longest_ns)}",
        "Everything else in the store goes on, so it is the callers, the schedule or the way to the model that fails, not the recording. ",
        where, onset, confidence(float(np.log(runs * waited / max(longest_ns, 1)))),
        (
            Evidence("silence", round(waited / 1e9), "s", f"the last call was {_span(waited)} before the end of what was written"),
            Evidence("longest_pause", round(longest_ns / 1e9), "s", f"the longest of {runs - 1} pauses was {_span(longest_ns)}"),
        ),
        (look_at_traffic(where, onset), look_before(where, onset)),
    )  # fmt: skip


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
    turn = " It began at the turn of the day and is no more than a weekend or a holiday makes: a note." if severity == "info" and each.recovered is None else ""  # fmt: skip
    if place.cohort:
        return f"Only these callers: the other cohorts go on as before, so look at their client, their route, their limits.{turn}"
    if place != PlaceName():
        return (
            f"The split between versions changed, and no version began, ended or took over: look at the router.{turn}"
        )
    if each.sign > 0:
        if came_with:
            return f"Load, perhaps retries: more calls came, and with them {came_with}. The model is not known to be at fault."
        return f"More calls than usual; neither failures nor slow calls came with them.{turn}"
    what = "no call arrives" if now < _GONE * was else "fewer calls arrive"
    return f"The callers or the way to the model: {what}, in all cohorts alike as far as they are known. What does arrive is counted.{turn}"


def _onset(grid: TrafficGrid, first: int, recovered: int | None) -> Onset:
    at = grid.start_ns + first * grid.step_ns
    ended = None if recovered is None else grid.start_ns + recovered * grid.step_ns
    return Onset(at, at - grid.step_ns, at + grid.step_ns, ended)


def _per_minute(grid: TrafficGrid, calls: NDArray[np.float64], first: int, last: int | None) -> float:
    known = grid.known[first:last]
    return float(calls[first:last][known].sum() / max(known.sum(), 1) * 60e9 / grid.step_ns)


def _before(grid: TrafficGrid, calls: NDArray[np.float64], onset: int) -> float:
    return _per_minute(grid, calls, max(onset - 2 * BASE, 0), onset)


def _timeline(grid: TrafficGrid, incident: TrafficIncident, label: str) -> Timeline:
    """Return calls a minute over the incident and twice as long before it, in at most `_POINTS` points."""
    each = incident.excursion
    end = min((grid.known.size if each.recovered is None else each.recovered) + 2 * BASE, grid.known.size)
    begin = max(each.onset - max(2 * (end - each.onset), 2 * BASE), 0)
    edges = np.arange(begin, end, max(1, -(-(end - begin) // _POINTS)))
    stops = [*edges[1:].tolist(), end]
    lines = []
    for name, rows in ((label, incident.rows), ("others", ~incident.rows)):
        if rows.any():
            calls = grid.calls[rows].sum(axis=0)
            points = [
                _per_minute(grid, calls, a, b) if grid.known[a:b].any() else None
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
