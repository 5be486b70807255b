"""The form of the texts of runbooks: steps, mitigations and their names, and the placeholders of commands."""

from __future__ import annotations

from typing import Final, NamedTuple


class RunbookStep(NamedTuple):
    """A step of a runbook.

    Attributes:
        purpose: purpose, as a phrase.
        command: its command, with placeholders.
    """

    purpose: str
    command: str


class Choice(NamedTuple):
    """A mitigation that a team may have declared, and when to choose it.

    Attributes:
        key: key in `radiosonde.toml`; one of `ACTIONS`.
        when: the condition under which it helps.
        unless: the condition under which it does not, or harms.
    """

    key: str
    when: str
    unless: str


class Subject(NamedTuple):
    """The common text of the runbooks of one kind of fault.

    Attributes:
        find: steps that find the cause.
        verify: steps that show whether it is over.
        contain: steps that undo or contain.
        choices: mitigations, the first choice first; empty where none helps.
        pitfalls: misleading observations.
    """

    find: tuple[RunbookStep, ...]
    verify: tuple[RunbookStep, ...]
    contain: tuple[RunbookStep, ...]
    choices: tuple[Choice, ...]
    pitfalls: tuple[str, ...]


ACTIONS: Final[dict[str, str]] = {
    "rollback": "Roll back to the previous version",
    "mitigate.flag_off": "Switch the feature flag off",
    "mitigate.canary_off": "Shift the weight of the canary to 0",
    "mitigate.throttle": "Throttle the calls",
    "mitigate.scale": "Add processes or cores",
    "mitigate.fallback": "Serve the fallback instead of the model",
    "mitigate.restart": "Restart the processes",
}
"""Names of the mitigations, by their key in `radiosonde.toml`."""

EXAMPLES: Final[dict[str, str]] = {
    "CONFIG": "radiosonde.toml",
    "SPOOL": "SPOOL",
    "REFERENCE": "REFERENCE",
    "LABELS": "labels.csv",
    "FIXED": "2026-01-01T14:00Z",
    "FROM": "2026-01-01T13:00Z",
    "TO": "2026-01-01T15:00Z",
}
"""Placeholders that the page of an alert shows by an example."""
