"""Grafana: `radiosonde.assets.dashboards` as documents of Grafana's JSON model.

Written as plain JSON: a dashboard is a document, and the library must not need a generator's package on the user's machine. The fields are
those of schema version 39 (Grafana 10.4), which later versions migrate by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.dashboards import dashboards
from radiosonde.assets.dashboards.panel import (
    ANY,
    COLUMNS,
    INCIDENT_PLACE,
    OPEN_INCIDENTS,
    VALUE,
    Dashboard,
    DashboardPanel,
    DashboardRow,
    Link,
    Query,
    Unit,
    Variable,
    placed,
)

SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS: dict[Unit, str] = {
    "number": "short",
    "ratio": "percentunit",
    "seconds": "s",
    "bytes": "bytes",
    "calls per second": "reqps",
    "rows per second": "rowsps",
}


def make(options: AssetOptions) -> list[Asset]:
    """Return every dashboard."""
    return [Asset(f"{each.name}.json", _document(each, options)) for each in dashboards(options)]


def _document(dashboard: Dashboard, options: AssetOptions) -> str:
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
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
        "templating": {"list": [_datasource(options), *map(_variable, dashboard.variables)]},
        "panels": _panels(dashboard.rows),
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _panels(rows: Sequence[DashboardRow]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        heading = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        grid = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
        panels.append({"id": len(panels) + 1, **heading, "gridPos": grid})
        top += 1
        for panel, place in placed(row):
            grid = {"h": place.height, "w": place.width, "x": place.x, "y": top + place.y}
            panels.append({"id": len(panels) + 1, "gridPos": grid, **_panel(panel)})
        top = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels)
    return panels


def _panel(panel: DashboardPanel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "targets": [_target(query, chr(ord("A") + index), panel) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        **({"transformations": _columns(panel)} if panel.kind == "table" else {}),
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
        "unit": _UNITS[panel.unit],
        **({"min": panel.floor} if panel.floor is not None else {}),
        **({"custom": drawn} if panel.kind == "timeseries" else {}),
        **({"links": [_link(panel.leads_to)]} if panel.leads_to else {}),
    }


def _link(link: Link) -> dict[str, str]:
    chosen = "".join(f"var-{name}=${{__field.labels.{label}}}&" for name, label in link.filters.items())
    return {"title": link.title, "url": f"/d/{link.uid}?{chosen}${{__url_time_range}}"}


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


def _columns(panel: DashboardPanel) -> list[dict[str, Any]]:
    """Return the transformations for the columns of a table; Grafana capitalizes the name of the value."""
    headings = {"Value" if name == VALUE else name: text for name, text in panel.columns.items()}
    organized = {
        "excludeByName": {name: True for name in ("Time", "Value") if name not in headings},
        "indexByName": {name: place for place, name in enumerate(headings)},
        "renameByName": headings,
    }
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organized}]


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


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.selector}, {variable.label})"
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
        "allValue": ANY,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _incidents() -> dict[str, Any]:
    """Return the annotation of open incidents."""
    return {
        "name": "Incidents",
        "enable": True,
        "iconColor": "red",
        "datasource": SOURCE,
        "expr": OPEN_INCIDENTS.expr,
        "step": "60s",
        "titleFormat": OPEN_INCIDENTS.legend,
        "textFormat": INCIDENT_PLACE,
    }
