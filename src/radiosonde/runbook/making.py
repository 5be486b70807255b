"""Makes runbooks: of an incident, with its facts, or of a kind of incident before there is one.

A command whose placeholders have no value is left out. What a person would have to fill in is never printed: a page that is read at night
holds commands that run, and names the lines of `radiosonde.toml` that are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from radiosonde.assets.kinds import KINDS
from radiosonde.assets.subject import ACTIONS, RunbookStep, Subject
from radiosonde.assets.subjects import LISTED, SUBJECTS
from radiosonde.config import ModelConfig
from radiosonde.config.values import parse_duration
from radiosonde.diagnose.finding import iso
from radiosonde.diagnose.hypotheses import CAUSES, weigh
from radiosonde.diagnose.text import onset_words, place_words, state_words
from radiosonde.runbook.commands import fill
from radiosonde.runbook.declared import gap_of, place_of, value_of
from radiosonde.runbook.impact import affected_by, impact_words
from radiosonde.runbook.runbook import Mitigation, Runbook, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from radiosonde.diagnose.finding import Diagnosis, Finding
    from radiosonde.diagnose.hypotheses import Hypothesis
    from radiosonde.model import Window

_FACTS = 2
_MISSING = "not declared; the line to add is at the end of this page"
_ALWAYS = ("owner", "contacts", "escalation", "updates")


@dataclass(frozen=True, slots=True)
class RunbookContext:
    """Everything besides the incident that a runbook is made from.

    Attributes:
        model: the model.
        store: the store, as an argument of a command.
        diagnosis: the diagnosis of the store.
        windows: its windows.
        config: the declarations about the model.
        path: the configuration; None if there is none.
        command: fills the store into the command of a next step.
    """

    model: str
    store: str
    diagnosis: Diagnosis
    windows: Sequence[Window] = ()
    config: ModelConfig = field(default_factory=ModelConfig)
    path: Path | None = None
    command: Callable[[str], str] = str


def make_runbook(context: RunbookContext, finding: Finding, wait: str) -> Runbook:
    """Return the runbook of the incident *finding*; *wait* says how long to wait before it can be verified."""
    subject = SUBJECTS[KINDS[finding.kind].subject]
    onset = finding.onset
    values = _values(context) | {"ID": finding.id}
    if onset.ended_ns is not None:
        values["FIXED"] = iso(onset.ended_ns)
    impact = tuple(impact_words(affected_by(context.windows, finding), finding))
    contain = (
        subject.contain if onset.ended_ns is None else [each for each in subject.contain if " ack " not in each.command]
    )
    causes = causes_of(context, finding)
    base = _base(context, finding.kind, opened_ns=finding.opened_ns)
    return replace(
        base,
        incident=finding.id,
        title=finding.title,
        detection=_detection(finding),
        evidence=tuple(evidence.text for evidence in finding.evidence),
        causes=_causes(causes),
        impact=impact,
        find=(*_filled(subject.find, values), *_shown(context, finding)),
        contain=_filled(contain, values),
        verify=_verification(subject, values),
        wait=wait,
        handoff=_handoff(
            finding, impact, base.mitigations, causes, fill("radiosonde incident verify STORE ID", values)
        ),
        update=_update(context, finding, impact),
    )


def make_prepared(context: RunbookContext, kind: str) -> Runbook:
    """Return the runbook for incidents of *kind* before there is one, with the changes that would be detected."""
    subject, values = SUBJECTS[KINDS[kind].subject], _values(context)
    nothing = f"no incident of kind {kind} is open"
    return replace(
        _base(context, kind, opened_ns=None),
        title=f"Incidents of kind {kind} of {context.model}",
        detection=_floors(context, kind),
        impact=(nothing,),
        find=tuple(dict.fromkeys((*_filled(subject.find, values), *_filled((LISTED,), values)))),
        contain=_filled(subject.contain, values),
        verify=_filled(subject.verify, values) or _filled((LISTED,), values),
        wait="Once there is an incident, `radiosonde incident runbook` with its id says how many calls its verification needs.",
        handoff=(f"Model: {context.model}", f"State: {nothing}"),
        update=(f"Model: {context.model}", f"State: {nothing}"),
    )


def _base(context: RunbookContext, kind: str, opened_ns: int | None) -> Runbook:
    """Return the runbook of *kind* with what does not depend on an incident, apart from the times of the escalation."""
    text = KINDS[kind]
    subject = SUBJECTS[text.subject]
    mitigations, last_resort = _mitigations(context, subject), _last_resort(context, subject)
    gaps = {each.gap.key: each.gap for each in (*mitigations, last_resort) if each.gap is not None}
    gaps |= {key: gap_of(context.model, key) for key in _ALWAYS if not value_of(context.config, key)}
    return Runbook(
        context.model,
        kind,
        text.meaning,
        mitigations=mitigations,
        last_resort=last_resort,
        contacts=_contacts(context, opened_ns),
        pitfalls=(*subject.pitfalls, *value_of(context.config, "pitfalls")),
        gaps=tuple(gaps.values()),
        configuration=place_of(context.path),
    )


def _shown(context: RunbookContext, finding: Finding) -> list[RunbookStep]:
    """Return the next steps of *finding*, with the store filled in; without queries of SQLite where the store is no SQLite file."""
    filled = ((step.what, context.command(step.command)) for step in finding.next_steps)
    return [
        RunbookStep(f"{what[:1].upper()}{what[1:]}", command)
        for what, command in filled
        if not command.startswith("sqlite3 -box STORE ")
    ]


def _values(context: RunbookContext) -> dict[str, str]:
    values = {"STORE": context.store, "MODEL": context.model}
    return values if context.path is None else values | {"CONFIG": str(context.path)}


def _filled(steps: Sequence[RunbookStep], values: dict[str, str]) -> tuple[RunbookStep, ...]:
    filled = ((step, fill(step.command, values)) for step in steps)
    return tuple(RunbookStep(step.purpose, command) for step, command in filled if command is not None)


def _verification(subject: Subject, values: dict[str, str]) -> tuple[RunbookStep, ...]:
    """Return the steps that verify the incident; the test by its id comes first, for any subject."""
    by_id = RunbookStep(
        "Whether it is fixed (exit code 0: fixed, 1: not fixed, 3: not yet known)",
        "radiosonde incident verify STORE ID",
    )
    others = [step for step in subject.verify if step.command != by_id.command]
    return _filled((by_id, *others), values)


def _detection(finding: Finding) -> tuple[Said, ...]:
    detected = "" if finding.opened_ns is None else iso(finding.opened_ns)
    said = [
        Said("Verdict", finding.verdict),
        Said("Where", place_words(finding.where)),
        Said("Since", onset_words(finding.onset)),
        Said("Detected", f"{f'{detected}, ' if detected else ''}by the check {finding.check}"),
        Said("How sure", finding.confidence.words),
        Said("Severity", finding.severity),
        Said("State", state_words(finding)),
    ]
    return tuple(each for each in said if each.text)


def causes_of(context: RunbookContext, finding: Finding) -> list[Hypothesis]:
    """Return the causes of *finding* alone, the likeliest first; other incidents of the model are no evidence for its cause."""
    diagnosis, model = context.diagnosis, finding.where.model
    whole = [each for each in diagnosis.hypotheses if each.model == model and each.cause == "telemetry"]
    checked = [each for each in diagnosis.checked if each.where.model == model]
    gaps = [each for each in diagnosis.not_checked if each.where.model == model]
    weighed = weigh(model, [finding], checked, gaps, "")
    # Losses are known to the whole diagnosis only.
    return [each for each in weighed if not (whole and each.cause == "telemetry")] + whole


def _causes(causes: Sequence[Hypothesis]) -> tuple[Said, ...]:
    said = []
    for cause in causes:
        facts = [f"for: {fact.text}" for fact in cause.speaks_for[:_FACTS]]
        facts += [f"against: {fact.text}" for fact in cause.speaks_against[: _FACTS if facts else 1]]
        said.append(Said(f"{cause.state}, {CAUSES[cause.cause]}", "; ".join(facts) or cause.because))
    return tuple(said)


def _floors(context: RunbookContext, kind: str) -> tuple[Said, ...]:
    """Return the changes that the checks of *kind* would report by now, and the checks that could not be made."""
    names, diagnosis = KINDS[kind].checks, context.diagnosis
    found = [
        Said(
            check.check,
            "; ".join(f"would report {floor.text}" for floor in check.floors) or "no detection floor is known",
        )
        for check in diagnosis.checked
        if check.name in names and check.where.model == context.model
    ]
    found += [
        Said(f"Not checked: {gap.check}", gap.because)
        for gap in diagnosis.not_checked
        if gap.name in names and gap.where.model == context.model
    ]
    return tuple(found) or (Said("Not checked", "the store holds no windows of this model to check"),)


def _mitigations(context: RunbookContext, subject: Subject) -> tuple[Mitigation, ...]:
    flag = value_of(context.config, "flag")
    made = []
    for choice in subject.choices:
        title = ACTIONS[choice.key] + (f" ({flag})" if choice.key == "mitigate.flag_off" and flag else "")
        made.append(_mitigation(context, choice.key, title, choice.when, choice.unless))
    return tuple(made)


def _mitigation(context: RunbookContext, key: str, title: str, when: str, unless: str) -> Mitigation:
    command = value_of(context.config, key)
    return Mitigation(key, title, command, when, unless, None if command else gap_of(context.model, key))


def _last_resort(context: RunbookContext, subject: Subject) -> Mitigation:
    unless = next(
        (choice.unless for choice in subject.choices if choice.key == "rollback"),
        "A rollback cures a version only. Nothing suggests that a version causes this kind.",
    )
    when = "Nothing above has helped by the time of the first escalation, and an older version was healthy."
    return _mitigation(context, "rollback", ACTIONS["rollback"], when, unless)


def _contacts(context: RunbookContext, opened_ns: int | None) -> tuple[Said, ...]:
    config = context.config
    said = []
    for label, key in (("Owner", "owner"), ("Contacts", "contacts")):
        value = value_of(config, key)
        text = ", ".join(value) if isinstance(value, tuple) else value
        said.append(Said(label, text or _MISSING))
    path = value_of(config, "escalation")
    for entry in path:
        after, _, who = entry.partition(" ")
        due = "" if opened_ns is None else f" ({iso(opened_ns + round(parse_duration(after) * 1e9))})"
        said.append(Said(f"After {after}{due}", who.strip()))
    if not path:
        said.append(Said("Escalation", _MISSING))
    where = ", ".join(value_of(config, "updates"))
    said.append(Said("Updates go to", where or _MISSING))
    return tuple(said)


def _handoff(
    finding: Finding,
    impact: tuple[str, ...],
    mitigations: tuple[Mitigation, ...],
    causes: Sequence[Hypothesis],
    verification: str | None,
) -> tuple[str, ...]:
    ready = next((each for each in mitigations if each.command), None)
    mark = state_words(finding) if finding.mark is not None else f"{finding.state}; nobody has acknowledged it"
    next_step = (
        f"{ready.title}: {ready.command}" if ready is not None else "no mitigation is declared; call the contacts"
    )
    lines = [
        f"Incident: {finding.id}, {finding.severity}, model {finding.where.model}",
        f"Found: {finding.title}",
        f"Where: {place_words(finding.where)}",
        f"Since: {onset_words(finding.onset)}",
        f"Impact: {'; '.join(impact[:3])}",
        f"State: {mark}",
    ]
    lines += [f"Likely cause: {CAUSES[each.cause]}" for each in causes if each.state == "likely"]
    if finding.onset.ended_ns is None:
        lines.append(f"First mitigation: {next_step}")
    return (*lines, *([f"Verify: {verification}"] if verification else []))


def _update(context: RunbookContext, finding: Finding, impact: tuple[str, ...]) -> tuple[str, ...]:
    ended = finding.onset.ended_ns
    owner = value_of(context.config, "owner")
    state = (
        "It goes on. The next update follows when it is contained, or after the next escalation."
        if ended is None
        else f"It ended at {iso(ended)} and is {finding.state}."
    )
    return (
        f"Subject: {finding.where.model}: {finding.title}",
        f"What happens: since {iso(finding.onset.at_ns)}, {finding.title} ({place_words(finding.where)}).",
        f"Impact so far: {'; '.join(impact[:2])}.",
        f"State: {state}",
        *([f"Owner: {owner}"] if owner else []),
        f"As of: {iso(context.diagnosis.end_ns)}",
    )
