"""An incident: what is it, why, what do I do now, and is it over? The finding, its causes, its timeline, and its runbook with commands to copy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from radiosonde.config.values import duration_words
from radiosonde.desk.pages.feature import feature_names
from radiosonde.desk.rendering import figure
from radiosonde.desk.words import grouped, iso_minute, minute, short_duration
from radiosonde.diagnose.html import figure_html
from radiosonde.diagnose.hypotheses import CAUSES
from radiosonde.diagnose.text import onset_words, place_words, responsible_words, state_words
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.desk.board import Board, IncidentState
    from radiosonde.diagnose import Finding
    from radiosonde.diagnose.verification import Verification

_HOUR_NS = 3_600_000_000_000
_NEAR_NS = 48 * _HOUR_NS
ANSWERS = {"fixed": "Fixed", "not fixed": "Not fixed", "unknown": "Not yet known"}


class TimelineEvent(NamedTuple):
    """One line of the timeline.

    Attributes:
        at_ns: when, in event time.
        what: description.
        kind: ``own`` for events of the incident itself, ``near`` for others around it.
    """

    at_ns: int
    what: str
    kind: str


def incident_page(board: Board, incident: IncidentState) -> dict[str, Any]:
    """Return the values of the page."""
    finding = incident.finding
    state = board.models.get(finding.where.model)
    end_ns = state.series.end_ns if state else finding.onset.at_ns
    from_ns, to_ns = _around(finding, end_ns)
    return {
        "incident": incident,
        "finding": finding,
        "place": place_words(finding.where),
        "since": onset_words(finding.onset),
        "lasted": short_duration(((finding.onset.ended_ns or end_ns) - finding.onset.at_ns) / 1e9),
        "state_words": state_words(finding),
        "responsible": responsible_words(finding),
        "figures": [(each.title, figure(figure_html(each, finding))) for each in finding.figures],
        "causes": [(CAUSES[each.cause], each) for each in incident.causes],
        "timeline": timeline_of(board, finding, end_ns),
        "verification": verification_lines(incident, end_ns),
        "answer": _answer(incident),
        "runbook": incident.runbook,
        "from_text": iso_minute(from_ns),
        "to_text": iso_minute(to_ns),
        "split_text": iso_minute(finding.onset.at_ns),
        "has_feature": state is not None and finding.where.feature in feature_names(state),
    }


def _around(finding: Finding, end_ns: int) -> tuple[int, int]:
    """Return the time to show around an incident: as much before it as it lasted, an hour at least."""
    last_ns = finding.onset.ended_ns or end_ns
    margin = max(min(last_ns - finding.onset.at_ns, _NEAR_NS), _HOUR_NS)
    return finding.onset.earliest_ns - margin, min(last_ns + margin, max(end_ns, last_ns))


def timeline_of(board: Board, finding: Finding, end_ns: int) -> list[TimelineEvent]:
    """Return the events in the order of time: new versions and other incidents near it, onset, detection, end."""
    onset = finding.onset
    last_ns = onset.ended_ns or end_ns
    events = [TimelineEvent(onset.at_ns, f"begins, {_interval(finding)}", "own")]
    if finding.opened_ns is not None:
        took = max(finding.opened_ns - onset.at_ns, 0) / 1e9
        events.append(
            TimelineEvent(finding.opened_ns, f"would have been found, {duration_words(took)} after it began", "own")
        )
    if finding.mark is not None:
        events.append(TimelineEvent(end_ns, state_words(finding), "own"))
    if onset.ended_ns is not None:
        events.append(TimelineEvent(onset.ended_ns, f"ends, and is {finding.state}", "own"))
    else:
        events.append(TimelineEvent(end_ns, "goes on in the last window", "own"))
    state = board.models.get(finding.where.model)
    for version, at_ns in () if state is None else state.series.births:
        if state is not None and at_ns > state.series.start_ns and onset.at_ns - _NEAR_NS <= at_ns <= last_ns:
            events.append(TimelineEvent(at_ns, f"first window of version {version or '(none)'}", "near"))
    for other in board.incidents.values():
        at_ns = other.finding.onset.at_ns
        if other.finding.id != finding.id and onset.at_ns - _NEAR_NS <= at_ns <= last_ns:
            where = "" if other.finding.where.model == finding.where.model else f"{other.finding.where.model}: "
            events.append(TimelineEvent(at_ns, f"{where}{other.finding.title} ({other.finding.id})", "near"))
    return sorted(events, key=lambda each: (each.at_ns, each.kind == "own"))


def _interval(finding: Finding) -> str:
    onset = finding.onset
    if onset.whole_span:
        return "with the first windows: nothing before it is known"
    if onset.earliest_ns == onset.latest_ns:
        return "known to the window"
    return f"between {minute(onset.earliest_ns)} and {minute(onset.latest_ns)}"


def _answer(incident: IncidentState) -> str:
    """Return whether it is over, in words."""
    if incident.verification is not None:
        return ANSWERS[incident.verification.answer]
    return {"verified": "Fixed", "recovered": "Not yet known"}.get(incident.finding.state, "Not fixed")


def verification_lines(incident: IncidentState, end_ns: int) -> list[str]:
    """Return the numbers behind the answer, in sentences."""
    done = incident.verification
    if done is None:
        return [f"By its state ({incident.finding.state}): no single rate measures it."]
    lines = [f"During the incident: {percent(done.during)}; before it: {_share(done.usual)} ({done.noun})."]
    if incident.finding.onset.ended_ns is None and done.answer == "not fixed":
        return [*lines, f"It goes on in the last window, {minute(end_ns)}."]
    if done.trials:
        lines.insert(
            0,
            f"Since {minute(done.since_ns)}: {grouped(done.rate * done.trials)} of {grouped(done.trials)}, "
            f"{percent(done.rate)} ({percent(done.low)} to {percent(done.high)}).",
        )
    lines += _power(done)
    return lines


def _power(done: Verification) -> list[str]:
    if math.isnan(done.noticed):
        return ["No rate, however large, would have been detected by now."]
    lines = [f"A rate of {percent(done.noticed)} or more would have been detected with probability 0.9."]
    if done.answer == "unknown" and math.isfinite(done.needed):
        time = f", about {duration_words(done.needed_s)}" if math.isfinite(done.needed_s) else ""
        lines.append(f"Missing: {grouped(done.needed)} more calls{time}.")
    return lines


def _share(value: float) -> str:
    return "not known" if math.isnan(value) else percent(value)
