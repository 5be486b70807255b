"""The state of the desk: the last diagnosis of each model and everything that the pages show, as frozen values.

A page never reads a store and never diagnoses: it renders a `Board`. The background look (`radiosonde.desk.looking`) replaces the board as
a whole, so a page sees one state from its first line to its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from radiosonde.desk.series import ModelSeries
from radiosonde.diagnose import Diagnosis, Finding, Status
from radiosonde.diagnose.hypotheses import Hypothesis
from radiosonde.diagnose.verification import Verification
from radiosonde.model.names import name_of
from radiosonde.runbook import Runbook

StoreKind = Literal["ready", "empty", "unreadable"]


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store that was named on the command line.

    Attributes:
        path: its path or address.
        kind: whether it has windows, has none yet, or cannot be read.
        problem: the error, with what to do; ``""`` without one.
        held_bytes: its size.
        written_ns: its last write, by the writer's wall clock; None without windows.
    """

    path: str
    kind: StoreKind
    problem: str = ""
    held_bytes: int = 0
    written_ns: int | None = None


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class IncidentState:
    """An incident with its documents.

    Attributes:
        finding: the incident.
        causes: its possible causes, the likeliest first.
        runbook: its runbook.
        verification: whether it is over; None if it is verified by its state.
    """

    finding: Finding
    causes: tuple[Hypothesis, ...]
    runbook: Runbook
    verification: Verification | None


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class ModelState:
    """A model as of its last diagnosis.

    Attributes:
        model: its name.
        diagnosis: the diagnosis of this model alone.
        series: its signals over time.
        window_ns: length of its windows.
        looked_ns: time of the diagnosis, by wall clock.
    """

    model: str
    diagnosis: Diagnosis
    series: ModelSeries
    window_ns: int
    looked_ns: int


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that pages show.

    Attributes:
        number: grows with each change.
        stores: the stores, in the order of the command line.
        models: state by model.
        incidents: incident by id.
        waiting: models that were not diagnosed yet.
        is_looking: a look is under way.
        is_stale: nothing was written for longer than windows of this length allow.
        looked_ns: end of the last look, by wall clock; None before the first one.
        problem: the reason for which the last look failed; ``""`` if it did not.
    """

    number: int = 0
    stores: tuple[StoreState, ...] = ()
    models: Mapping[str, ModelState] = field(default_factory=dict)
    incidents: Mapping[str, IncidentState] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    is_looking: bool = True
    is_stale: bool = False
    looked_ns: int | None = None
    problem: str = ""

    def model(self, name: str) -> ModelState | None:
        """Return the model with the safe name *name*: foreign stores may hold names that are too long for an address."""
        found = self.models.get(name)
        if found is not None and name_of(name) == name:
            return found
        return next((each for each in self.models.values() if name_of(each.model) == name), found)

    def status(self, model: ModelState) -> Status:
        """Return the status of *model*: that of its diagnosis, or stale."""
        status = model.diagnosis.status
        return "stale" if status == "healthy" and self.is_stale else status
