"""A runbook as a value: what a page and a JSON document are rendered from. Texts are plain; commands are complete."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from radiosonde.assets.subject import RunbookStep

SCHEMA = "radiosonde.runbook/1"


class ConfigurationGap(NamedTuple):
    """Something that is not declared in `radiosonde.toml`.

    Attributes:
        key: its key, within the table of the model.
        meaning: documentation of the key.
        table: header of the table to which the line belongs.
        line: the line to add; its value ``...`` is to be replaced.
    """

    key: str
    meaning: str
    table: str
    line: str


class Mitigation(NamedTuple):
    """A way to contain an incident.

    Attributes:
        key: key in `radiosonde.toml`.
        title: its name.
        command: command of the team; ``""`` if it is not declared.
        when: the condition under which to choose it.
        unless: the condition under which not to.
        gap: the line to add; None if it is declared.
    """

    key: str
    title: str
    command: str
    when: str
    unless: str
    gap: ConfigurationGap | None


class Said(NamedTuple):
    """A labelled sentence."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """The runbook of one incident, or one prepared for a kind of incident.

    Attributes:
        model: the model.
        kind: kind of incident.
        incident: id of the incident; ``""`` for a prepared runbook.
        title: title.
        meaning: meaning of the kind.
        detection: how it was detected, or would be.
        evidence: sentences with the numbers behind it.
        causes: possible causes, the likeliest first.
        impact: impact so far.
        find: steps that find the cause.
        contain: steps beside the mitigations.
        mitigations: mitigations, the first choice first.
        verify: steps that verify a fix.
        wait: how long to wait before verifying.
        last_resort: the rollback.
        contacts: owner, contacts, escalation.
        pitfalls: misleading observations.
        handoff: lines of a message to the next person.
        update: lines of a message to stakeholders.
        gaps: everything that is not declared.
        configuration: path of the configuration to complete.
    """

    model: str
    kind: str
    meaning: str
    last_resort: Mitigation
    configuration: str
    incident: str = ""
    title: str = ""
    detection: tuple[Said, ...] = ()
    evidence: tuple[str, ...] = ()
    causes: tuple[Said, ...] = ()
    impact: tuple[str, ...] = ()
    find: tuple[RunbookStep, ...] = ()
    contain: tuple[RunbookStep, ...] = ()
    mitigations: tuple[Mitigation, ...] = ()
    verify: tuple[RunbookStep, ...] = ()
    wait: str = ""
    contacts: tuple[Said, ...] = ()
    pitfalls: tuple[str, ...] = ()
    handoff: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    gaps: tuple[ConfigurationGap, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and text; schema `SCHEMA`."""
        return {"schema": SCHEMA, **{name: _plain(value) for name, value in asdict(self).items()}}


def _plain(value: Any) -> Any:
    """Return *value* with named tuples as dicts."""
    if hasattr(value, "_asdict"):
        return {name: _plain(entry) for name, entry in value._asdict().items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
