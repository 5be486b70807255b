"""The interface of a backend: a name, and a function from options to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from radiosonde.config import Objectives

RUNBOOKS = "runbooks/{alert}.md"
"""Where the pages of ``radiosonde assets runbooks`` are, relative to the folder in which ``prometheus`` writes them too."""

USUAL = Objectives(failures=0.01, p99=1.0)
"""Objectives of models for which none were declared."""


class Asset(NamedTuple):
    """One file.

    Attributes:
        path: relative to the folder of the backend, with ``/``.
        content: its text, with a line feed at the end.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class AssetOptions:
    """Options of assets.

    Attributes:
        by: labels of the scrape (or resource attributes as labels) that are kept in every aggregation, beside our own.
        objectives: objectives of all models except those in *models*.
        models: objectives of single models, by name.
        runbooks: address of runbooks, see `runbook_url`.
        dashboards: base URL of the dashboards; empty for links relative to the host that shows the alert.
        datasource: name of the data source that dashboards are preset to; empty for the default one.
    """

    by: tuple[str, ...] = ("job",)
    objectives: Objectives = USUAL
    models: Mapping[str, Objectives] = field(default_factory=dict)
    runbooks: str = RUNBOOKS
    dashboards: str = ""
    datasource: str = ""


def runbook_url(address: str, alert: str) -> str:
    """Return the address of the runbook of *alert*: its name in the place of ``{alert}``, or appended."""
    return address.replace("{alert}", alert) if "{alert}" in address else f"{address}{alert}"


class Backend(NamedTuple):
    """A line of the list of backends.

    Attributes:
        name: as on the command line, and of the folder in ``integrations``.
        summary: one line for ``--help``.
        make: returns the files.
    """

    name: str
    summary: str
    make: Callable[[AssetOptions], list[Asset]]
