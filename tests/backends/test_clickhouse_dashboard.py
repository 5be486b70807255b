"""Every query of the Grafana dashboard over the ClickHouse views runs on a real engine."""

from __future__ import annotations

import json
from typing import Any

from radiosonde.assets import AssetOptions
from radiosonde.assets.views import clickhouse

SAMPLED = {"Health"}
"""Tables that a short run may leave empty."""


def test_every_query_of_the_dashboard_returns_data(engines):
    """As Grafana sends it, with an interval, and with all models and versions chosen."""
    document = json.loads({asset.path: asset.content for asset in clickhouse.make(AssetOptions())}["grafana.json"])
    values = {
        "${__from:date:YYYY-MM-DD HH:mm:ss}": "2020-01-01 00:00:00",
        "${__to:date:YYYY-MM-DD HH:mm:ss}": "2040-01-01 00:00:00",
    }

    def answer(query: str) -> list[dict[str, Any]]:
        for name, value in values.items():
            query = query.replace(name, value)
        return engines.clickhouse.rows(query)

    for variable in document["templating"]["list"][1:]:
        chosen = [str(next(iter(row.values()))).replace("'", "''") for row in answer(variable["query"])]
        assert chosen, variable["name"]
        values[f"${{{variable['name']}:singlequote}}"] = ", ".join(f"'{value}'" for value in chosen)
    tables = [panel for panel in document["panels"] if panel["type"] == "table"]
    answers = {panel["title"]: answer(panel["targets"][0]["rawSql"]) for panel in tables}
    assert {title for title, rows in answers.items() if not rows} <= SAMPLED
