"""Perses dashboards: resources that refer to what they have, and show what Grafana shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from radiosonde.assets import AssetOptions, grafana, perses

OPTIONS = [
    AssetOptions(),
    AssetOptions(by=("job", "namespace", "cluster"), datasource="Mimir", dashboards="https://perses.example.com"),
    AssetOptions(by=("service_name",)),
]
IDS = ["default", "wide", "one label"]


def documents(backend: Any, options: AssetOptions) -> dict[str, dict[str, Any]]:
    """Return the dashboards of a backend by path."""
    return {asset.path: json.loads(asset.content) for asset in backend.make(options)}


def drawn_by_perses(document: dict[str, Any]) -> Iterator[tuple[str, str, str, list[str], tuple[int, int]]]:
    """Yield row, title, text, queries, and column and width of every panel."""
    spec = document["spec"]
    for layout in spec["layouts"]:
        for item in layout["spec"]["items"]:
            panel = spec["panels"][item["content"]["$ref"].removeprefix("#/spec/panels/")]["spec"]
            queries = [each["spec"]["plugin"]["spec"]["query"] for each in panel["queries"]]
            shown = panel["display"]
            place = (item["x"], item["width"])
            yield layout["spec"]["display"]["title"], shown["name"], shown["description"], queries, place


def drawn_by_grafana(document: dict[str, Any]) -> Iterator[tuple[str, str, str, list[str], tuple[int, int]]]:
    """Yield the same of Grafana's."""
    row = ""
    for panel in document["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        queries = [each["expr"] for each in panel["targets"]]
        place = (panel["gridPos"]["x"], panel["gridPos"]["w"])
        yield row, panel["title"], panel["description"], queries, place


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_panels_rows_and_queries_are_those_of_grafana(options):
    """In the same order, at the same place of the grid."""
    of_grafana, of_perses = documents(grafana, options), documents(perses, options)
    assert of_perses.keys() == of_grafana.keys() == {"fleet.json", "model.json"}
    for path, document in of_perses.items():
        drawn = list(drawn_by_perses(document))
        assert drawn == list(drawn_by_grafana(of_grafana[path]))
        # A panel whose key another one has would be lost.
        assert len(drawn) == len(document["spec"]["panels"])


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_filters_are_those_of_grafana(options):
    """Each can be all, and all matches what lacks the label."""
    for path, document in documents(perses, options).items():
        variables = [each["spec"] for each in document["spec"]["variables"]]
        of_grafana = documents(grafana, options)[path]["templating"]["list"][1:]
        assert [each["name"] for each in variables] == [each["name"] for each in of_grafana]
        for mine, other in zip(variables, of_grafana, strict=True):
            (selector,), name = mine["plugin"]["spec"]["matchers"], mine["plugin"]["spec"]["labelName"]
            assert f"label_values({selector}, {name})" == other["definition"]
            assert (mine["allowAllValue"], mine["customAllValue"], mine["defaultValue"]) == (True, ".*", ["$__all"])


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_queries_name_a_data_source_where_one_was_given(options):
    """Else they go to the default one; no project is named."""
    for document in documents(perses, options).values():
        plugins = [
            *(query["spec"]["plugin"] for panel in document["spec"]["panels"].values() for query in panel["spec"]["queries"]),
            *(each["spec"]["plugin"] for each in document["spec"]["variables"]),
        ]  # fmt: skip
        named = {plugin["spec"].get("datasource", {}).get("name", "") for plugin in plugins}
        assert named == {options.datasource}
        assert document["metadata"].keys() == {"name"}


def test_a_panel_of_the_fleet_leads_to_the_dashboard_of_a_model():
    """Within the project that both are in."""
    fleet, model = (documents(perses, OPTIONS[1])[path] for path in ("fleet.json", "model.json"))
    links = [link for panel in fleet["spec"]["panels"].values() for link in panel["spec"].get("links", [])]
    assert len(links) == 6
    assert {link["url"] for link in links} == {
        f"https://perses.example.com/projects/$__project/dashboards/{model['metadata']['name']}"
    }
    assert all(link["renderVariables"] for link in links)
