"""Perses: `radiosonde.assets.dashboards` as resources of kind ``Dashboard``, which ``percli apply`` takes.

The same panels as in Grafana, with what Perses has no place for left out: exemplars, annotations, and a data source that is chosen on the
dashboard. Queries go to the project's default Prometheus data source, or to the one that ``--datasource`` names. A link belongs to a panel here, not to a
series, so it sets no filter. No project is named: ``percli apply`` refuses a document whose project is another than its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.dashboards import dashboards
from radiosonde.assets.dashboards.panel import (
    ANY,
    VALUE,
    Dashboard,
    DashboardPanel,
    DashboardRow,
    Unit,
    Variable,
    placed,
)

_PROJECT = "$__project"
"""Perses puts the project of the dashboard here."""
_UNITS: dict[Unit, dict[str, Any]] = {
    "number": {"unit": "decimal", "shortValues": True},
    "ratio": {"unit": "percent-decimal"},
    "seconds": {"unit": "seconds"},
    "bytes": {"unit": "bytes", "shortValues": True},
    "calls per second": {"unit": "requests/sec", "shortValues": True},
    "rows per second": {"unit": "rows/sec", "shortValues": True},
}


def make(options: AssetOptions) -> list[Asset]:
    """Return every dashboard."""
    return [Asset(f"{each.name}.json", _document(each, options)) for each in dashboards(options)]


def _document(dashboard: Dashboard, options: AssetOptions) -> str:
    panels = [panel for row in dashboard.rows for panel in row.panels]
    document = {
        "kind": "Dashboard",
        "metadata": {"name": dashboard.uid},
        "spec": {
            "display": {"name": dashboard.title},
            "duration": "6h",
            "refreshInterval": "1m",
            "variables": [_variable(each, options) for each in dashboard.variables],
            "panels": {_key(panel): _panel(panel, options) for panel in panels},
            "layouts": [_layout(row) for row in dashboard.rows],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _key(panel: DashboardPanel) -> str:
    """Return the name by which a layout refers to a panel; titles differ within a dashboard."""
    return re.sub(r"\W+", "_", panel.title.lower())


def _layout(row: DashboardRow) -> dict[str, Any]:
    items = [{**place._asdict(), "content": {"$ref": f"#/spec/panels/{_key(panel)}"}} for panel, place in placed(row)]
    return {"kind": "Grid", "spec": {"display": {"title": row.title, "collapse": {"open": True}}, "items": items}}


def _panel(panel: DashboardPanel, options: AssetOptions) -> dict[str, Any]:
    link = panel.leads_to
    url = f"{options.dashboards}/projects/{_PROJECT}/dashboards/{link.uid}" if link else ""
    return {
        "kind": "Panel",
        "spec": {
            "display": {"name": panel.title, "description": panel.text},
            "plugin": _plugin(panel),
            "queries": [_query(query.expr, query.legend, options) for query in panel.queries],
            **({"links": [{"name": link.title, "url": url, "renderVariables": True}]} if link else {}),
        },
    }


def _plugin(panel: DashboardPanel) -> dict[str, Any]:
    shown = _UNITS[panel.unit]
    if panel.kind == "table":
        columns: list[dict[str, Any]] = [{"name": name, "header": text} for name, text in panel.columns.items()]
        columns += [{"name": name, "hide": True} for name in ("timestamp", VALUE) if name not in panel.columns]
        return {
            "kind": "Table",
            "spec": {"density": "compact", "defaultColumnWidth": "auto", "columnSettings": columns},
        }
    if panel.kind == "stat":
        return {"kind": "StatChart", "spec": {"calculation": "last-number", "format": shown}}
    return {
        "kind": "TimeSeriesChart",
        "spec": {
            "legend": {"position": "bottom", "mode": "list", "size": "small"},
            "yAxis": {"format": shown, **({"min": panel.floor} if panel.floor is not None else {})},
            "visual": {
                "lineWidth": 1,
                "areaOpacity": 0.4 if panel.stacked else 0.08,
                "stack": "all" if panel.stacked else "none",
            },
        },
    }


def _query(expr: str, legend: str, options: AssetOptions) -> dict[str, Any]:
    spec = {"query": expr, **({"seriesNameFormat": legend} if legend else {}), **_source(options)}
    return {"kind": "TimeSeriesQuery", "spec": {"plugin": {"kind": "PrometheusTimeSeriesQuery", "spec": spec}}}


def _variable(variable: Variable, options: AssetOptions) -> dict[str, Any]:
    values = {"labelName": variable.label, "matchers": [variable.selector], **_source(options)}
    return {
        "kind": "ListVariable",
        "spec": {
            "name": variable.name,
            "display": {"name": variable.name.capitalize()},
            "allowMultiple": True,
            "allowAllValue": True,
            "customAllValue": ANY,
            "defaultValue": ["$__all"],
            "sort": "alphabetical-asc",
            "plugin": {"kind": "PrometheusLabelValuesVariable", "spec": values},
        },
    }


def _source(options: AssetOptions) -> dict[str, Any]:
    """Return where a query goes, if not to the default data source."""
    named = {"kind": "PrometheusDatasource", "name": options.datasource}
    return {"datasource": named} if options.datasource else {}
