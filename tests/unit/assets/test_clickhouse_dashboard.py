"""The dashboard over ClickHouse: every answer is on it, nothing overlaps, and its queries name what the views have."""

from __future__ import annotations

import json

from radiosonde.assets import AssetOptions
from radiosonde.assets.views import clickhouse
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.dashboard import ORDERS
from tests.unit.assets.dashboards import assert_apart

DASHBOARD = json.loads(
    {asset.path: asset.content for asset in clickhouse.make(AssetOptions(datasource="lake"))}["grafana.json"]
)
TABLES = [panel for panel in DASHBOARD["panels"] if panel["type"] == "table"]


def test_every_answer_is_a_table_but_the_one_that_the_canary_reads():
    """A view that is added must be given a place."""
    shown = {panel["title"].lower().replace(" ", "_") for panel in TABLES}
    assert shown == {view.name for view in ANSWERS} - {"compared"}
    assert ORDERS.keys() <= shown


def test_tables_do_not_overlap():
    """Within 24 columns."""
    assert_apart(DASHBOARD["panels"])


def test_the_data_source_is_a_filter_that_can_be_preset():
    """No table names one."""
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == "lake"
    assert {target["datasource"]["uid"] for panel in TABLES for target in panel["targets"]} == {"${datasource}"}


def test_answers_of_a_model_are_filtered_by_it():
    """And by the version, where rows have one; those of processes are not."""
    for view in ANSWERS:
        for panel in TABLES:
            if panel["title"].lower().replace(" ", "_") == view.name:
                query = panel["targets"][0]["rawSql"]
                assert ("${model:singlequote}" in query) == ("model" in view.columns), view.name
                assert ("${version:singlequote}" in query) == ("version" in view.columns), view.name
