"""Engine-neutral model of a dashboard: rows, panels, queries, filters.

Queries are PromQL with variables as ``$name``, and legends have labels in double braces: both engines read these as they are. Units and
kinds are engine-neutral names, which each engine translates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.names import label, series
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

COLUMNS = 24
"""Of the grid."""
ANY = ".*"
"""Value of *All* in a filter; it matches an absent label too, so that no filter hides series without the label."""

VALUE = "value"
"""The column of the value, beside those of labels."""

Unit = Literal["number", "ratio", "seconds", "bytes", "calls per second", "rows per second"]
Kind = Literal["timeseries", "table", "stat"]


class Query(NamedTuple):
    """A query of a panel.

    Attributes:
        expr: PromQL; variables as ``$name``.
        legend: of each series; labels in double braces.
        exemplars: show the exemplars of the series.
    """

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class DashboardPanel:
    """A panel.

    Attributes:
        title: of a few words.
        text: explanation, shown as tooltip.
        queries: the queries.
        unit: of the values.
        kind: lines over time, a table of the last values, or the last value of each series.
        width: of `COLUMNS` columns.
        stacked: areas on top of each other.
        floor: lowest value of the axis; None for the engine's choice.
        leads_to: the dashboard that a series leads to.
        columns: of a table, from left to right, by label, with their headings; `VALUE` is the last value. Queries have no other labels.
    """

    title: str
    text: str
    queries: Sequence[Query]
    unit: Unit = "number"
    kind: Kind = "timeseries"
    width: int = 8
    stacked: bool = False
    floor: float | None = 0.0
    leads_to: Link | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


class Link(NamedTuple):
    """A way to another dashboard.

    Attributes:
        title: of it.
        uid: its identity.
        filters: label of the series by variable of the dashboard.
    """

    title: str
    uid: str
    filters: Mapping[str, str]


class DashboardRow(NamedTuple):
    """Panels under one heading.

    Attributes:
        title: the question that they answer.
        panels: from left to right.
        height: in rows of the grid.
    """

    title: str
    panels: Sequence[DashboardPanel]
    height: int = 8


class GridPlace(NamedTuple):
    """Where a panel stands in the grid of its row, in columns and rows of the grid."""

    x: int
    y: int
    width: int
    height: int


class Variable(NamedTuple):
    """A filter at the top; several values can be chosen, or all.

    Attributes:
        name: as queries have it.
        metric: whose label values are offered.
        label: of that metric.
        within: (label, variable) of the filters that come before it.
    """

    name: str
    metric: str
    label: str
    within: tuple[tuple[str, str], ...] = ()

    @property
    def selector(self) -> str:
        """The series whose label values are offered."""
        return recorded(self.metric, {name: f"${value}" for name, value in self.within})


class Dashboard(NamedTuple):
    """A dashboard.

    Attributes:
        uid: its identity, which addresses hold.
        name: of the file, and the second half of the title.
        rows: from top to bottom.
        variables: filters, from left to right.
    """

    uid: str
    name: str
    rows: Sequence[DashboardRow]
    variables: Sequence[Variable]

    @property
    def title(self) -> str:
        """Its heading."""
        return f"Radiosonde / {self.name.capitalize()}"


def placed(row: DashboardRow) -> list[tuple[DashboardPanel, GridPlace]]:
    """Return the panels of a row from left to right, with those that do not fit below."""
    found: list[tuple[DashboardPanel, GridPlace]] = []
    left = top = 0
    for panel in row.panels:
        if left + panel.width > COLUMNS:
            top, left = top + row.height, 0
        found.append((panel, GridPlace(left, top, panel.width, row.height)))
        left += panel.width
    return found


def scrape_variables(options: AssetOptions) -> list[Variable]:
    """Return a filter per label of the scrape, each within those before it."""
    info = series(metrics.MODEL_INFO)
    return [
        Variable(name, info, name, tuple((before, before) for before in options.by[:index]))
        for index, name in enumerate(options.by)
    ]


def legend(*attributes: str) -> str:
    """Return a legend of these attributes.

    Raises:
        UnknownNameError: no metric has one of them.
    """
    return " ".join(f"{{{{{label(attribute)}}}}}" for attribute in attributes)


def filters(options: AssetOptions, *attributes: tuple[str, str]) -> dict[str, str]:
    """Return matchers by the label's name: every label of the scrape, and attributes with the variable that filters them."""
    return {
        **{name: f"${name}" for name in options.by},
        **{label(name): f"${variable}" for name, variable in attributes},
    }


def recorded(name: str, matchers: Mapping[str, str], more: str = "") -> str:
    """Return a selector of a recorded series: it matches variables, and *more* as it is."""
    pairs = [*(f'{key}=~"{value}"' for key, value in matchers.items()), *([more] if more else [])]
    return f"{name}{{{', '.join(pairs)}}}"


def listed(title: str, text: str, selector: str, columns: Mapping[str, str], width: int = 8) -> DashboardPanel:
    """Return a table of the series of *selector*, with these columns and no others; series that differ in nothing else are one line."""
    labels = ", ".join(name for name in columns if name != VALUE)
    return DashboardPanel(
        title, text, [Query(f"max by ({labels}) ({selector})")], kind="table", width=width, columns=columns
    )


def open_incidents(selector: str, width: int) -> DashboardPanel:
    """Return the table of open incidents of *selector*."""
    columns = {
        label(names.MODEL_NAME): "Model",
        label(names.MODEL_VERSION): "Version",
        label(names.INCIDENT_NAME): "Finding",
        label(names.INCIDENT_PLACE): "Place",
        label(names.INCIDENT_HYPOTHESIS): "Cause",
        label(names.INCIDENT_SEVERITY): "Severity",
        label(names.INCIDENT_ID): "Incident",
        VALUE: "Evidence",
    }
    text = "Exported by radiosonde watch. The evidence is in nats; 7 comes by chance once in a thousand looks."
    return listed("Open incidents", text, selector, columns, width)


def alerts(text: str, selector: str) -> DashboardPanel:
    """Return the table of alerts of *selector*."""
    columns = {
        "alertname": "Alert",
        "alertstate": "State",
        "severity": "Severity",
        label(names.MODEL_NAME): "Model",
        label(names.MODEL_VERSION): "Version",
        label(names.FEATURE_NAME): "Feature",
    }
    return listed("Alerts", text, selector, columns)


OPEN_INCIDENTS = Query(f"{series(metrics.INCIDENT_ACTIVE)} == 1", legend(names.INCIDENT_NAME))
"""What marks time on every dashboard: open incidents, which `radiosonde watch` exports under a job of its own."""
INCIDENT_PLACE = legend(names.MODEL_NAME, names.MODEL_VERSION, names.INCIDENT_PLACE)
"""Where an open incident is."""
