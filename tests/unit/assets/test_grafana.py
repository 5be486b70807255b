"""Dashboards: documents that Grafana takes, on its grid, whose queries Prometheus takes and whose names exist."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from radiosonde.assets import AssetOptions
from radiosonde.assets.grafana import make
from radiosonde.assets.prometheus import make as make_rules
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.prometheus import prometheus_name
from tests.unit.assets.dashboards import assert_apart, expressions, filled

OPTIONS = [
    AssetOptions(),
    AssetOptions(by=("job", "namespace", "cluster"), datasource="Mimir"),
    AssetOptions(by=("service_name",)),
]


def dashboards(options: AssetOptions) -> dict[str, dict]:
    """Return the dashboards by path."""
    return {asset.path: json.loads(asset.content) for asset in make(options)}


@pytest.mark.parametrize("options", OPTIONS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(options):
    """Within 24 columns; a panel on top of another cannot be seen."""
    for path, dashboard in dashboards(options).items():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels), path
        assert_apart(panels)
    assert {dashboard["uid"] for dashboard in dashboards(options).values()} == {"radiosonde-fleet", "radiosonde-model"}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_data_source_is_a_variable(options):
    """No panel names one, and no document has inputs that an import must fill."""
    for path, dashboard in dashboards(options).items():
        assert "__inputs" not in dashboard, path
        variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
        assert variables["datasource"]["type"] == "datasource"
        sources = [
            item["datasource"]
            for panel in dashboard["panels"]
            if panel["type"] != "row"
            for item in (panel, *panel["targets"])
        ]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        assert variables["datasource"].get("current", {}).get("value", "") == options.datasource


@pytest.mark.parametrize("options", OPTIONS)
def test_every_variable_of_a_query_is_a_filter_that_can_be_all(options):
    """*All* matches an absent label too, so a panel without a filter is never empty for that."""
    for path, dashboard in dashboards(options).items():
        variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
        used = {name for expr in expressions(dashboard) for name in re.findall(r"\$\{?(\w+)", expr)}
        assert used <= variables.keys(), path
        for name in used:
            assert (variables[name]["includeAll"], variables[name]["allValue"]) == (True, ".*")
            assert set(re.findall(r'"\$(\w+)"', variables[name]["definition"])) <= variables.keys()
        assert set(options.by) <= used


@pytest.mark.parametrize("options", OPTIONS)
def test_promtool_accepts_every_query(options, tmp_path, require_program):
    """As recording rules, with the variables filled in."""
    queries = [filled(expr) for dashboard in dashboards(options).values() for expr in expressions(dashboard)]
    rules = [{"record": f"query:{index}", "expr": expr} for index, expr in enumerate(queries)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    ran = subprocess.run(
        [require_program("promtool"), "check", "rules", "--lint=none", path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("options", OPTIONS)
def test_every_name_in_a_query_exists(options):
    """Recorded series are recorded by the rules that ship, raw ones are in the registry."""
    families = {prometheus_name(metric).family for metric in METRICS.values()}
    documents = [yaml.safe_load(asset.content) for asset in make_rules(options) if asset.path == "rules.yml"]
    recorded = {rule["record"] for document in documents for group in document["groups"] for rule in group["rules"]}
    for dashboard in dashboards(options).values():
        for expr in expressions(dashboard):
            assert set(re.findall(r"radiosonde:[a-z0-9_:]+", expr)) <= recorded, expr
            raw = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", expr)
            for name in set(re.findall(r"(?<![:\w])radiosonde_\w+", raw)):
                assert re.sub(r"_(total|bucket|count|sum)$", "", name) in families or name in families, expr


def test_links_of_alerts_lead_to_the_dashboard():
    """The address in an alert has the identity and the variables of the dashboard of a model."""
    (alerts,) = (yaml.safe_load(asset.content) for asset in make_rules(AssetOptions()) if asset.path == "alerts.yml")
    model = dashboards(AssetOptions())["model.json"]
    variables = {variable["name"] for variable in model["templating"]["list"]}
    for group in alerts["groups"]:
        for rule in group["rules"]:
            url = rule["annotations"]["dashboard_url"]
            assert url.startswith(f"/d/{model['uid']}?")
            assert set(re.findall(r"var-(\w+)=", url)) <= variables
