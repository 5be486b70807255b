"""The documents of the incidents of a model: causes, runbook, and verification, made when the model is diagnosed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from radiosonde.desk.board import IncidentState
from radiosonde.diagnose.check import rate_of
from radiosonde.diagnose.verification import verify
from radiosonde.runbook import RunbookContext, causes_of, make_runbook
from radiosonde.runbook.waiting import wait_words

if TYPE_CHECKING:
    from radiosonde.diagnose import Finding
    from radiosonde.watch.looking import DiagnosedModel

MOST_INCIDENTS = 50
"""Incidents of a model with a page, open ones and the latest first; each takes some tenths of a second."""


def incident_states(
    diagnosed: DiagnosedModel, store: str, command: Callable[[str], str], known: Mapping[str, IncidentState]
) -> dict[str, IncidentState]:
    """Return the incidents of a model by id.

    Args:
        diagnosed: the model with its diagnosis.
        store: the store, as an argument of a command.
        command: fills the store into the command of a next step.
        known: incidents as of the look before; one that is verified and has not changed since is taken from there.
    """
    made: dict[str, IncidentState] = {}
    for finding in diagnosed.diagnosis.incidents[:MOST_INCIDENTS]:
        former = known.get(finding.id)
        if former is not None and finding.state == "verified" and _is_same(former.finding, finding):
            made[finding.id] = former
            continue
        windows = [*diagnosed.windows, *diagnosed.runtime]
        configuration = diagnosed.policy.configuration
        context = RunbookContext(
            diagnosed.model,
            store,
            diagnosed.diagnosis,
            windows,
            configuration.of(diagnosed.model),
            None if configuration.path is None else configuration.path.absolute(),
            command,
        )
        owned = diagnosed.policy.with_responsible(finding)
        measured = rate_of(finding, windows, diagnosed.references, diagnosed.policy)
        made[finding.id] = IncidentState(
            owned,
            tuple(causes_of(context, finding)),
            make_runbook(context, finding, wait_words(finding, measured)),
            None if measured is None else verify(measured, finding.onset.at_ns, finding.onset.ended_ns),
        )
    return made


def _is_same(former: Finding, finding: Finding) -> bool:
    """Return whether an incident that is over reads as before."""
    return (former.title, former.verdict, former.state, former.onset) == (
        finding.title,
        finding.verdict,
        finding.state,
        finding.onset,
    )
