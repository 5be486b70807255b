"""What a backend is: a name, and a function from options to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from radiosonde.config import Objectives

RUNBOOKS = "https://radiosonde.example/alerts/"
"""Where the page ``docs/alerts.md`` is served; one heading per alert."""

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
    """What assets are made for.

    Attributes:
        by: labels of the scrape (or resource attributes as labels) that are kept in every aggregation, beside our own.
        objectives: of all models but those in *models*.
        models: objectives of single models, by name.
        runbooks: base URL of runbooks; the alert's anchor is appended as ``#name``.
        dashboards: base URL of the dashboards; empty for links relative to the host that shows the alert.
        datasource: name of the data source in dashboards.
    """

    by: tuple[str, ...] = ("job",)
    objectives: Objectives = USUAL
    models: Mapping[str, Objectives] = field(default_factory=dict)
    runbooks: str = RUNBOOKS
    dashboards: str = ""
    datasource: str = ""


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
