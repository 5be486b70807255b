"""Incidents: findings with an id, a state and an impact.

*Id*: day on which the evidence passed its price, and a digest of model, check, and object (feature, table of durations); a second incident
of the same day has another digest. It contains nothing that later windows refine (place, onset, title), and a day is coarse enough for
stores that keep hours of older windows. A diagnosis now, tomorrow or on another machine therefore gives the same id. Annotations of an
incident are found by its id, or by its identity: the same check and feature, with onsets that agree within their uncertainty. The id in use
is kept.

*State*: ``open``; ``recovered`` when it is over; ``verified`` when it stayed so for as long as it took to detect, at least an hour. An open
one may be ``acknowledged`` or ``muted``, both for a limited time. A muted incident is listed separately and needs no action; an
acknowledged one is still a finding.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Impact, Onset, Place
from radiosonde.diagnose.known_bad import is_same
from radiosonde.diagnose.places import rows_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from radiosonde.diagnose.finding import Finding, Mark, State
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.registry import Check, Report

_HOUR_NS = 3_600_000_000_000
_DIGITS = 6


def name_incidents(table: MeasureTable, reports: Mapping[Check, Report], marks: Iterable[Mark], window_ns: int) -> None:
    """Give the incidents in *reports* their ids, states and impacts, in place.

    Args:
        table: the measures of the model.
        reports: reports of the checks.
        marks: annotations of incidents that are in force.
        window_ns: length of the windows.
    """
    mine = [mark for mark in marks if mark.model == table.model]
    end_ns = int(table.end_ns.max())
    for check, report in reports.items():
        given: dict[tuple[str, str], int] = {}
        ids = {}
        for finding in sorted((*report.findings, *report.notes), key=_opened):
            if is_incident(finding):
                key = (_day(_opened(finding)[0]), subject_of(finding))
                given[key] = given.get(key, 0) + 1
                ids[id(finding)] = _id(table.model, check.name, key, given[key])
        for part in (report.findings, report.notes):
            for index, finding in enumerate(part):
                if id(finding) in ids:
                    part[index] = _named(finding, ids[id(finding)], mine, check.name, (end_ns, window_ns), table)


def is_incident(finding: Finding) -> bool:
    """Return whether *finding* is an incident, as opposed to a drift that needs no action."""
    return finding.severity != "info" or (finding.kind != "drift" and finding.onset.ended_ns is not None)


def subject_of(finding: Finding) -> str:
    """Return the part of the model that *finding* concerns, as far as later windows do not refine it."""
    if finding.where.feature:
        return finding.where.feature
    parts = finding.name.split(".")
    return parts[1] if finding.kind in ("runtime", "label") and len(parts) > 1 else ""


def identity_of(finding: Finding, check: str) -> str:
    """Return the identity of *finding* of *check*, as JSON."""
    onset = finding.onset
    return json.dumps(
        {
            "check": check,
            "subject": subject_of(finding),
            "kind": finding.kind,
            "feature": finding.where.feature,
            "onset": [onset.at_ns, onset.earliest_ns, onset.latest_ns],
        },
        sort_keys=True,
    )


def _named(
    finding: Finding, given: str, marks: Sequence[Mark], check: str, time: tuple[int, int], table: MeasureTable
) -> Finding:
    end_ns, window_ns = time
    known = [
        mark for mark in marks if mark.incident == given or is_known_again(mark.identity, finding, check, window_ns)
    ]
    if finding.onset.ended_ns is not None:
        state, mark = state_at(finding, end_ns), None
    else:
        mark = max(known, key=lambda each: (each.purpose == "mute", each.until_ns), default=None)
        state = "open" if mark is None else "muted" if mark.purpose == "mute" else "acknowledged"
    kept = known[-1].incident if known else given
    return replace(finding, id=kept, check=check, state=state, mark=mark, impact=_impact(table, finding))


def state_at(finding: Finding, end_ns: int) -> State:
    """Return the state of *finding* as of *end_ns*, without annotations."""
    ended = finding.onset.ended_ns
    if ended is None:
        return "open"
    took = max(_opened(finding)[0] - finding.onset.at_ns, _HOUR_NS)
    return "verified" if end_ns - ended >= took else "recovered"


def is_known_again(identity: str, finding: Finding, check: str, window_ns: int) -> bool:
    """Return whether *finding* of *check* is the incident that `identity_of` wrote as *identity*."""
    try:
        said = json.loads(identity)
        if (said["check"], said["subject"]) != (check, subject_of(finding)):
            return False
        at, earliest, latest = (int(value) for value in said["onset"])
        former = replace(
            finding,
            kind=said["kind"] if said["kind"] in ("label", "quality") else finding.kind,
            where=Place(finding.where.model, feature=str(said["feature"])),
            onset=Onset(at, earliest, latest),
        )
    except (ValueError, KeyError, TypeError):
        return False
    return is_same(former, finding, window_ns)


def _impact(table: MeasureTable, finding: Finding) -> Impact:
    """Return the number of calls served at the place since the onset, and the number of failures in excess of the usual."""
    where, onset = finding.where, finding.onset
    rows = rows_at(table.keys, where)
    inside = (table.end_ns > onset.at_ns) & (table.start_ns < (onset.ended_ns or 2**63 - 1))
    calls, failed = (float(part[rows][:, inside].sum()) for part in (table.calls, table.failures))
    before = table.end_ns <= onset.at_ns
    former, usual = (float(part[rows][:, before].sum()) for part in (table.calls, table.failures))
    more = max(failed - calls * usual / former, 0.0) if former else failed
    is_failing = finding.kind in ("errors", "version", "cohort") and ".errors." in f".{finding.name}."
    affected = round(more) if is_failing else round(calls)
    hours = max(float((table.end_ns - table.start_ns)[inside].sum()) / _HOUR_NS, 1e-9)
    noun = "failed calls" if is_failing else "calls served meanwhile"
    text = f"{_grouped(affected)} {noun}, {_grouped(round(affected / hours))} an hour"
    return Impact(affected, affected / hours, noun, text)


def _opened(finding: Finding) -> tuple[int, str]:
    return (finding.onset.at_ns if finding.opened_ns is None else finding.opened_ns), finding.name


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y%m%d")


def _id(model: str, check: str, key: tuple[str, str], number: int) -> str:
    day, subject = key
    text = "\x1f".join((model, check, subject, day, str(number)))
    return f"{day}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()[:_DIGITS]}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
