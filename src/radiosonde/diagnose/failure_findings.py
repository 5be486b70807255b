"""Formulates findings of failures: where, since when, impact, and common properties."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.evidence import RATIO, above_ln_e, rise_ln_e
from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, RateTable, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_errors, look_before
from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.second_turn import second_turn_evidence, second_turn_words
from radiosonde.diagnose.severity import AffectedShares, severity_of
from radiosonde.model import parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.failing_features import Shared
    from radiosonde.diagnose.failure_incidents import Failures
    from radiosonde.diagnose.finding import Kind
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.replay import Incident
    from radiosonde.diagnose.spans import Rule

    Numbers = NDArray[np.float64]

_POINTS, _MAX_ROWS, _MAX_TYPES = 96, 24, 5
_DOMINANT = 0.8


def failure_finding(
    table: MeasureTable,
    found: Failures,
    incident: Incident,
    *,
    wants_past: bool,
    shared: Sequence[Shared] = (),
) -> Finding:
    """Return the finding on *incident*; a note if it is over and the past was not requested.

    Args:
        table: the measures of the model.
        found: all results on its failing calls.
        incident: one of its incidents.
        wants_past: ended incidents are findings, not notes.
        shared: common properties of the failing calls, strongest first.
    """
    names = [found.places.names[index] for index in incident.cover.places]
    lead = names[0]
    series = incident.cover.series
    end = table.size if incident.recovered is None else incident.recovered
    inside, before = slice(incident.onset, end), slice(0, incident.onset)
    hits, calls = _sums(table, series, inside)
    was_hits, was_calls = _sums(table, series, before)
    rate, was = hits / max(calls, 1), was_hits / max(was_calls, 1)
    share = hits / max(float(table.calls[:, inside].sum()), 1.0)
    onset = _onset(table, incident, has_before=was_calls > 0)
    kind, what = _kind(lead)
    where = Place(table.model, lead.version, lead.variant, lead.cohort)
    severity = severity_of(_impact(found, incident, rate, share), found.slo)
    second = incident.second_turn(table.size)
    if second is not None:
        severity = "ticket"
    if incident.recovered is not None and not wants_past:
        severity = "info"
    rest = _peers(table, lead, series, inside)
    types = _types(table, series, inside)
    evidence = [
        Evidence("rate", rate, "share", f"{_words(names, table)}: {hits:.0f} of {calls:.0f} calls failed since the onset"),
        Evidence("rate_before", was, "share", f"before the onset: {was_hits:.0f} of {was_calls:.0f}"),
        Evidence("failed_per_hour", _per_hour(table, hits, inside), "calls/h", f"{_amount(_per_hour(table, hits, inside))} failed calls an hour"),
        *([] if second is None else [second_turn_evidence(second, int(table.start_ns[second.onset]))]),
        *_objective(found.slo, share),
        *rest,
        *(Evidence("shared", each.share, "share", each.words) for each in shared),
        *(Evidence("error_type", kind_of, "", f"{kind_of}: {count} since, {former} before") for kind_of, count, former in types),
    ]  # fmt: skip
    text = _verdict(table, incident, lead, evidence) + _shared(types, hits)
    if shared:
        text = f"{text.rstrip()} {shared[0].words}."
    if second is not None:
        text = f"{text.rstrip()} {second_turn_words(second)}"
    steps = (look_at_errors(where, onset), look_before(where, onset))
    figures = (_rates(table, lead, inside), _timeline(table, incident, lead))
    return Finding(
        f"{kind}.errors.{what}", kind, severity, _title(table, names, (rate, was, was_calls), evidence), text, where, onset,
        confidence(_ln_e(incident, found.scan.rule, (hits, calls), (was_hits, was_calls), rest)), tuple(evidence), steps, figures,
        opened_ns=int(table.end_ns[incident.alarm.step]),
    )  # fmt: skip


def _impact(found: Failures, incident: Incident, rate: float, share: float) -> AffectedShares:
    """Return the failures that count: against an objective all of them, otherwise those beyond the rate before."""
    usual, objective = incident.alarm.past_rate, found.scan.rule.objective
    if found.slo is not None or isnan(usual) or (objective is not None and rate >= objective):
        return AffectedShares(rate, share)
    added = max(1.0 - usual / max(rate, 1e-12), 0.0)
    return AffectedShares(rate * added, share * added)


def _objective(slo: float | None, share: float) -> list[Evidence]:
    """Compare the failures of the place with the objective for all calls of the model."""
    if slo is None:
        return []
    said = f"{share / slo:.1f} times as many" if share > slo else "within it"
    text = f"objective: at most {percent(slo)} of all calls; these failures are {percent(share)} of them, {said}"
    return [Evidence("objective", slo, "share", text)]


def _ln_e(
    incident: Incident, rule: Rule, since: tuple[float, float], before: tuple[float, float], rest: Sequence[Evidence]
) -> float:
    """Return the evidence of the whole incident: an alarm is the least evidence that was enough to open it, without later data.

    Corrected for the places and scales of one look, as in the alarm. The baseline is that of the alarm: the past or the objective; for a
    version, also the rate of the others at the same time.
    """
    alarm = incident.alarm
    scale = np.array(alarm.dispersion)
    hits, calls, was_hits, was_calls = (np.array(number) for number in (*since, *before))
    found = [float(rise_ln_e(hits, calls, was_hits, was_calls, scale))]
    if alarm.is_objective and rule.objective is not None:
        found.append(float(above_ln_e(hits, calls, rule.objective, scale)))
    others = next((float(item.value) for item in rest if item.name == "rate_others"), None)
    if others is not None:
        found.append(float(above_ln_e(hits, calls, max(RATIO * others, 1e-5), scale)))
    return max(alarm.ln_report, max(found) - (alarm.ln_e - alarm.ln_report))


def _kind(name: PlaceName) -> tuple[Kind, str]:
    if name.version or name.variant:
        return "version", f"{name.version or '(no version)'}.{name.cohort or 'all'}"
    return ("cohort", name.cohort) if name.cohort else ("errors", "all")


def arm_name(table: MeasureTable, version: str, variant: str) -> str:
    """Return the version, with its variant where versions alone do not distinguish arms."""
    alone = sum(other == version for other, _ in table.arms) == 1
    return (version or "(no version)") if alone else f"{version or '(no version)'}/{variant}"


def _words(names: Sequence[PlaceName], table: MeasureTable) -> str:
    return " and ".join(place_name(name, table) for name in names)


def place_name(name: PlaceName, table: MeasureTable) -> str:
    """Return *name* in words."""
    parts = [f"version {arm_name(table, name.version, name.variant)}"] if name.version or name.variant else []
    return ", ".join([*parts, *([name.cohort] if name.cohort else [])]) or "all calls"


def _title(
    table: MeasureTable, names: Sequence[PlaceName], rates: tuple[float, float, float], evidence: Sequence[Evidence]
) -> str:
    rate, was, was_calls = rates
    lead = names[0]
    if len(names) == 1 and (lead.version or lead.variant):
        others = next((item for item in evidence if item.name == "rate_others"), None)
        whom = lead.cohort or "all cohorts"
        tail = f"; others {percent(float(others.value))}" if others is not None else ""
        return f"version {arm_name(table, lead.version, lead.variant)} fails on {whom} ({percent(rate)} of calls{tail})"
    rose = f"rose from {percent(was)} to {percent(rate)}" if was_calls else f"are at {percent(rate)}"
    slo = next((item.value for item in evidence if item.name == "objective"), None)
    if slo is not None and not lead.parts and rate > float(slo):
        rose += f", above the objective of {percent(float(slo))}"
    return f"{_words(names, table)}: failed calls {rose}"


def _verdict(table: MeasureTable, incident: Incident, lead: PlaceName, evidence: Sequence[Evidence]) -> str:
    cover = incident.cover
    others = next((item for item in evidence if item.name == "rate_others"), None)
    if lead.version or lead.variant:
        if others is None:
            return (
                "Only this version serves these calls, so its own code and its dependencies cannot be distinguished. "
            )
        elsewhere = next((item for item in evidence if item.name == "rate_elsewhere"), None)
        spared = (
            f" and version {arm_name(table, lead.version, lead.variant)} serves every other cohort as before"
            if elsewhere is not None and float(elsewhere.value) <= 0.01
            else ""
        )
        return (
            f"The model version, not data or infrastructure: in the same windows the other versions serve "
            f"{lead.cohort or 'the same cohorts'} at {percent(float(others.value))} failures{spared}. "
        )
    several = len(table.arms) > 1
    spared, untested = (", ".join(place_name(name, table) for name in part) for part in (cover.spared, cover.untested))
    if spared:
        alike = f"Not all are affected: {spared} {'is' if len(cover.spared) == 1 else 'are'} spared"
    elif several:
        alike = (
            "All versions alike"
            + (" that have enough calls to decide" if untested else "")
            + ", so not one model version"
        )
    else:
        alike = "There is one version only"
    doubt = f"; too few calls to decide: {untested}" if untested else ""
    place = (
        "what this cohort's requests share" if lead.cohort else "data, infrastructure or what all versions depend on"
    )
    return f"{alike}{doubt}: {place} is where to look. "


def _shared(types: Sequence[tuple[str, int, int]], hits: float) -> str:
    if not types or types[0][1] < _DOMINANT * hits:
        return ""
    name, count, former = types[0]
    share = percent(count / hits) if count < hits else "All"
    return f"{share} of the failures are {name}, which {'did not occur before' if not former else 'occurred before'}."


def _peers(table: MeasureTable, lead: PlaceName, series: NDArray[np.bool_], inside: slice) -> list[Evidence]:
    """Return how the other versions do in the same cohort and time, and how the version does in all other cohorts."""
    if not (lead.version or lead.variant):
        return []
    wanted = parse_cohort(lead.cohort)
    mine = np.array([(key.version, key.variant) == (lead.version, lead.variant) for key in table.keys])
    same = np.array([wanted.items() <= parse_cohort(key.cohort).items() for key in table.keys])
    made = []
    name = arm_name(table, lead.version, lead.variant)
    hits, calls = _sums(table, ~mine & same, inside)
    if calls:
        of = f", {lead.cohort}" if lead.cohort else ""
        made.append(Evidence("rate_others", hits / calls, "share", f"the other versions{of}, same time: {hits:.0f} of {calls:.0f} calls failed"))  # fmt: skip
    hits, calls = _sums(table, mine & ~series, inside)
    if calls:
        made.append(Evidence("rate_elsewhere", hits / calls, "share", f"version {name} in all other cohorts: {hits:.0f} of {calls:.0f}"))  # fmt: skip
    return made


def _sums(table: MeasureTable, series: NDArray[np.bool_], inside: slice) -> tuple[float, float]:
    return float(table.failures[series][:, inside].sum()), float(table.calls[series][:, inside].sum())


def _per_hour(table: MeasureTable, hits: float, inside: slice) -> float:
    ends, starts = table.end_ns[inside], table.start_ns[inside]
    return hits / max(float(ends[-1] - starts[0]) / 3.6e12, 1e-9) if ends.size else 0.0


def _amount(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ") if number >= 10 else f"{number:.2g}"


def _types(table: MeasureTable, series: NDArray[np.bool_], inside: slice) -> list[tuple[str, int, int]]:
    """Return (type, failures since the onset, failures before) of the most frequent types."""
    found = []
    for name, cells in table.error_types.items():
        mine = cells[series[cells[:, 0]]]
        since = (mine[:, 1] >= inside.start) & (mine[:, 1] < inside.stop)
        found.append((name, int(mine[since, 2].sum()), int(mine[mine[:, 1] < inside.start, 2].sum())))
    return sorted((entry for entry in found if entry[1]), key=lambda entry: (-entry[1], entry[0]))[:_MAX_TYPES]


def _onset(table: MeasureTable, incident: Incident, *, has_before: bool) -> Onset:
    at, earliest, latest = (int(table.start_ns[step]) for step in (incident.onset, incident.earliest, incident.latest))
    over = incident.recovered
    ended = None if over is None else int(table.start_ns[min(over, table.size - 1)])
    return Onset(at, earliest, latest, ended, whole_span=not has_before)


def _rates(table: MeasureTable, lead: PlaceName, inside: slice) -> RateTable:
    """Return failures since the onset by version, one row per value of the dimensions that matter, the worst rows first."""
    wanted = list(parse_cohort(lead.cohort)) or _dimension(table)
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(table.keys):
        pairs = parse_cohort(key.cohort)
        label = ",".join(f"{name}={pairs[name]}" for name in wanted if name in pairs) or "(no cohort)"
        groups.setdefault(label, []).append(row)
    arm_of = [(key.version, key.variant) for key in table.keys]
    rows = []
    for label, members in groups.items():
        cells = []
        for arm in table.arms:
            mine = np.array([row in set(members) and arm_of[row] == arm for row in range(len(arm_of))])
            hits, calls = _sums(table, mine, inside)
            cells.append((int(hits), int(calls)))
        rows.append((label, cells))
    rows.sort(key=lambda row: (-max(h / max(t, 1) for h, t in row[1]), row[0]))
    columns = [arm_name(table, *arm) for arm in table.arms]
    return RateTable("errors since the onset, by version", "cohort", columns, rows[:_MAX_ROWS], lead.cohort)


def _dimension(table: MeasureTable) -> list[str]:
    return next((list(parse_cohort(key.cohort))[:1] for key in table.keys if key.cohort), [])


def _timeline(table: MeasureTable, incident: Incident, lead: PlaceName) -> Timeline:
    """Return the rates over the incident and three times as long before it, in at most `_POINTS` points."""
    end = table.size
    length = max((end if incident.recovered is None else incident.recovered) - incident.onset, 16)
    begin = max(incident.onset - 3 * length, 0)
    block = max(1, -(-(end - begin) // _POINTS))
    edges = np.arange(begin, end, block)
    lines = []
    groups = [(place_name(lead, table), incident.cover.series), ("others", ~incident.cover.series)]
    for label, series in groups:
        if not series.any():
            continue
        hits, calls = (
            np.add.reduceat(part[series].sum(axis=0)[begin:], edges - begin) for part in (table.failures, table.calls)
        )
        lines.append((label, [float(h / c) if c else None for h, c in zip(hits, calls, strict=True)]))
    return Timeline("rate of errors", "share", [int(table.start_ns[edge]) for edge in edges], lines)
