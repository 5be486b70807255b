"""Grafana over ClickHouse: the answers of the views as tables of one dashboard, in the order of an on-call engineer's questions.

Each table is a view over the interval of the dashboard. The plug-in is ``grafana-clickhouse-datasource``. Times are UTC, as in the tables: the
bounds of a view must be literals, so they come from the dashboard's own variables and not from a macro of the plug-in.
"""

from __future__ import annotations

import json
from typing import Any

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.view import PREFIX, SqlView

UID = "radiosonde-clickhouse"
ROWS = (
    ("Does it fail, and for whom?", ("failures", "cohorts", "errors")),
    ("Is it slow, and in which phase?", ("latency", "tail")),
    ("Is the canary worse than the stable version?", ("canary",)),
    ("Did the features change?", ("drift", "quantiles")),
    ("Did the answers change?", ("classes", "confidence", "predicted_values")),
    ("Are the answers right, and do labels come?", ("quality", "calibration", "labels", "label_lag")),
    ("Is it the host?", ("health",)),
)
"""Headings, and the views under them."""
ORDERS = {
    "failures": "failure_ratio",
    "cohorts": "z",
    "errors": "failures",
    "latency": "p99_s",
    "tail": "tail_mean_s",
    "canary": "abs(z)",
    "drift": "psi_z",
    "quality": "wrong_ratio",
    "calibration": "ece",
    "health": "cpu_s",
}
"""Columns by which the rows of a view are sorted, largest first; rows of the other views keep the order of their columns."""
_COLUMNS, _HEIGHT, _MOST = 24, 9, 200
_SOURCE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
_INTERVAL = "t0 = '${__from:date:YYYY-MM-DD HH:mm:ss}', t1 = '${__to:date:YYYY-MM-DD HH:mm:ss}'"


def dashboard(options: AssetOptions) -> str:
    """Return the dashboard."""
    chosen = {"current": {"text": options.datasource, "value": options.datasource}} if options.datasource else {}
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": _SOURCE["type"],
        "hide": 0,
        **chosen,
    }
    document = {
        "uid": UID,
        "title": "Radiosonde / ClickHouse",
        "tags": ["radiosonde"],
        "editable": True,
        "schemaVersion": 39,
        "version": 1,
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [source, _filter("model"), _filter("version", "model")]},
        "panels": _panels(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _filter(column: str, *within: str) -> dict[str, Any]:
    where = "".join(f" WHERE {_chosen(name)}" for name in within)
    query = f"SELECT DISTINCT {column} FROM {PREFIX}calls({_INTERVAL}){where} ORDER BY {column}"
    return {
        "name": column,
        "label": column.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _chosen(column: str) -> str:
    return f"{column} IN (${{{column}:singlequote}})"


def _panels() -> list[dict[str, Any]]:
    views, panels, top = {view.name: view for view in ANSWERS}, list[dict[str, Any]](), 0
    for heading, held in ROWS:
        row = {"type": "row", "title": heading, "collapsed": False, "panels": []}
        panels.append({"id": len(panels) + 1, **row, "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top}})
        width = _COLUMNS // len(held)
        for place, name in enumerate(held):
            grid = {"h": _HEIGHT, "w": width, "x": place * width, "y": top + 1}
            panels.append({"id": len(panels) + 1, "gridPos": grid, **_table(views[name])})
        top += 1 + _HEIGHT
    return panels


def _table(view: SqlView) -> dict[str, Any]:
    target = {
        "refId": "A",
        "datasource": _SOURCE,
        "editorType": "sql",
        "queryType": "table",
        "format": 1,
        "rawSql": _query(view),
    }
    return {
        "type": "table",
        "title": view.name.replace("_", " ").capitalize(),
        "description": view.summary,
        "datasource": _SOURCE,
        "targets": [target],
        "fieldConfig": {"defaults": {"decimals": 4}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
    }


def _query(view: SqlView) -> str:
    wanted = [_chosen(column) for column in ("model", "version") if column in view.columns]
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    order = f"{ORDERS[view.name]} DESC" if view.name in ORDERS else ", ".join(view.columns)
    return f"SELECT * FROM {PREFIX}{view.name}({_INTERVAL}){where} ORDER BY {order} LIMIT {_MOST}"
