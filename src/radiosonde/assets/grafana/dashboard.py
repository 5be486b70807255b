"""Rows of panels as Grafana's JSON model of a dashboard.

Written as plain JSON: a dashboard is a document, and the library must not need a generator's package on the user's machine. The fields are
those of schema version 39 (Grafana 10.4), which later versions migrate by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.names import label, series
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

SCHEMA_VERSION = 39
_COLUMNS = 24
_ANY = ".*"
"""Value of *All*; it matches an absent label too, so that no filter hides series without the label."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


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
        unit: as Grafana names it.
        kind: ``timeseries``, ``table`` or ``stat``.
        width: of 24 columns.
        stacked: areas on top of each other.
        floor: lowest value of the axis; None for Grafana's choice.
        links: by text, the address that a click on a row opens.
    """

    title: str
    text: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    floor: float | None = 0.0
    links: Mapping[str, str] = field(default_factory=dict)


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


class Variable(NamedTuple):
    """A filter at the top.

    Attributes:
        name: as queries have it.
        metric: whose label values are offered.
        label: of that metric.
        within: filters that come before it.
    """

    name: str
    metric: str
    label: str
    within: tuple[tuple[str, str], ...] = ()


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


def dashboard_json(
    uid: str, title: str, rows: Sequence[DashboardRow], variables: Sequence[Variable], options: AssetOptions
) -> str:
    """Return a dashboard.

    Args:
        uid: its identity, which addresses hold.
        title: its name.
        rows: from top to bottom.
        variables: filters, after the data source and the labels of the scrape.
        options: whose labels are filters too.
    """
    document = {
        "uid": uid,
        "title": title,
        "tags": ["radiosonde"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": [_incidents()]},
        "links": [{"type": "dashboards", "title": "Radiosonde", "tags": ["radiosonde"], "asDropdown": False, "keepTime": True, "includeVars": True}],
        "templating": {"list": [_datasource(options), *(_variable(each) for each in (*_scraped(options), *variables))]},
        "panels": _panels(rows),
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _panels(rows: Sequence[DashboardRow]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": place,
            }
        )
        top, left = top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + row.height, 0
            place = {"h": row.height, "w": panel.width, "x": left, "y": top}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel)})
            left += panel.width
        top += row.height
    return panels  # fmt: skip


def _panel(panel: DashboardPanel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "targets": [_target(query, chr(ord("A") + index), panel) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        **({"transformations": _TABLE} if panel.kind == "table" else {}),
    }


def _target(query: Query, letter: str, panel: DashboardPanel) -> dict[str, Any]:
    is_drawn_over_time = panel.kind == "timeseries"
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "exemplar": query.exemplars,
        "instant": not is_drawn_over_time,
        "range": is_drawn_over_time,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _defaults(panel: DashboardPanel) -> dict[str, Any]:
    drawn = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if panel.stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
    }
    return {
        "unit": panel.unit,
        **({"min": panel.floor} if panel.floor is not None else {}),
        **({"custom": drawn} if panel.kind == "timeseries" else {}),
        **({"links": [{"title": text, "url": url} for text, url in panel.links.items()]} if panel.links else {}),
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
    "stat": {
        "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
}  # fmt: skip
_TABLE = [
    {"id": "merge", "options": {}},
    {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True}}},
]


def _datasource(options: AssetOptions) -> dict[str, Any]:
    chosen = {"current": {"text": options.datasource, "value": options.datasource}} if options.datasource else {}
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        **chosen,
    }


def _scraped(options: AssetOptions) -> list[Variable]:
    """Return a filter per label of the scrape, each within those before it."""
    info = series(metrics.MODEL_INFO)
    return [
        Variable(name, info, name, tuple((before, before) for before in options.by[:index]))
        for index, name in enumerate(options.by)
    ]


def _variable(variable: Variable) -> dict[str, Any]:
    within = ", ".join(f'{name}=~"${value}"' for name, value in variable.within)
    query = f"label_values({variable.metric}{{{within}}}, {variable.label})"
    return {
        "name": variable.name,
        "label": variable.name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": _ANY,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _incidents() -> dict[str, Any]:
    """Return the annotation of open incidents, which `radiosonde watch` exports under a job of its own."""
    return {
        "name": "Incidents",
        "enable": True,
        "iconColor": "red",
        "datasource": SOURCE,
        "expr": f"{series(metrics.INCIDENT_ACTIVE)} == 1",
        "step": "60s",
        "titleFormat": legend(names.INCIDENT_NAME),
        "textFormat": legend(names.MODEL_NAME, names.MODEL_VERSION, names.INCIDENT_PLACE),
    }
