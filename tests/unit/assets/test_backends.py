"""Every backend's files: well-formed, with names that exist, for any labels and objectives."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from radiosonde.assets import BACKENDS, AssetOptions
from radiosonde.assets.prometheus.catalogue import ALERTS
from radiosonde.assets.prometheus.page import alerts_page
from radiosonde.config import Objectives
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.prometheus import prometheus_name

OPTIONS = [
    AssetOptions(),
    AssetOptions(by=("job", "namespace", "cluster"), objectives=Objectives(failures=0.001, p99=0.3)),
    AssetOptions(
        objectives=Objectives(failures=0.01),
        models={
            "GET /fares/{id}": Objectives(failures=0.05, p99=2.5),
            "delays": Objectives(p99=0.1),
            "x": Objectives(),
        },
    ),
    AssetOptions(objectives=Objectives(), dashboards="https://grafana.example", runbooks="https://wiki.example/r"),
]


def files(options: AssetOptions) -> dict[str, str]:
    """Return all files by backend and path."""
    return {f"{backend.name}/{asset.path}": asset.content for backend in BACKENDS for asset in backend.make(options)}


def rules(options: AssetOptions) -> list[dict]:
    """Return all rules of Prometheus."""
    documents = [
        yaml.safe_load(text)
        for name, text in files(options).items()
        if name in ("prometheus/rules.yml", "prometheus/alerts.yml")
    ]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("options", OPTIONS)
def test_promtool_accepts_the_rules(options, tmp_path, require_program):
    """Syntax, templates and duplicates, by Prometheus' own check."""
    for name, text in files(options).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    promtool = require_program("promtool")
    ran = subprocess.run(
        [promtool, "check", "rules", *(tmp_path / "prometheus" / name for name in ("rules.yml", "alerts.yml"))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (tmp_path / "prometheus/all.yml").write_text(
        (tmp_path / "prometheus/scrape.yml").read_text() + "rule_files: ['rules.yml', 'alerts.yml']\n"
    )
    ran = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus/all.yml"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("options", OPTIONS)
def test_amtool_accepts_the_routing_and_routes_by_it(options, tmp_path, require_program):
    """By Alertmanager's own check; each tier goes to its receiver, and another's alerts do not come to ours as pages."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(files(options)["alertmanager/alertmanager.yml"])
    amtool = require_program("amtool")

    def said(*arguments: str) -> str:
        ran = subprocess.run([amtool, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    assert "SUCCESS" in said("check-config", str(path))
    ours, routed = "component=radiosonde", {}
    for labels in (
        ("severity=page", ours), ("severity=ticket", ours), ("severity=info", ours), ("severity=page",),
        ("alertname=RadiosondeTelemetryAbsent", "severity=page", ours),
    ):  # fmt: skip
        routed[labels] = said("config", "routes", "test", f"--config.file={path}", *labels).strip()
    assert list(routed.values()) == [
        "radiosonde-page", "radiosonde-ticket", "radiosonde-shown", "radiosonde-ticket", "radiosonde-page",
    ]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_every_name_in_an_expression_exists(options):
    """Recorded series are recorded by a rule before, raw ones are in the registry."""
    families = {prometheus_name(metric).family for metric in METRICS.values()}
    recorded: set[str] = set()
    for rule in rules(options):
        for name in set(re.findall(r"radiosonde:[a-z0-9_:]+", rule["expr"])):
            assert name in recorded, f"{rule} uses {name}"
        raw = re.sub(r"\{[^}]*\}|\b(by|on) \([^)]*\)", "", rule["expr"])
        for name in set(re.findall(r"(?<![:\w])radiosonde_\w+", raw)):
            family = re.sub(r"_(total|bucket|count|sum)$", "", name)
            assert family in families or name in families, f"{rule} uses {name}"
        if "record" in rule:
            assert rule["record"] not in recorded
            recorded.add(rule["record"])


@pytest.mark.parametrize("options", OPTIONS)
def test_every_aggregation_keeps_the_labels_of_the_scrape(options):
    """A figure that drops the job or the namespace adds up servers that have nothing to do with each other."""
    for rule in rules(options):
        for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]):
            assert set(options.by) <= set(labels.split(", ")), rule


def test_every_alert_has_its_text_and_its_section():
    """Summary, meaning, steps, its section of the page, and the runbook that its runbook_url names, beside the rules."""
    shipped = [rule for rule in rules(AssetOptions()) if "alert" in rule]
    assert {rule["alert"] for rule in shipped} == set(ALERTS)
    anchors = {heading.lower() for heading in re.findall(r"^## (\w+)$", alerts_page(), re.MULTILINE)}
    for rule in shipped:
        assert rule["alert"].lower() in anchors
        runbook = Path("integrations/prometheus", rule["annotations"]["runbook_url"])
        assert runbook.read_text().startswith(f"# {rule['alert']}\n")
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
        assert rule["annotations"]["dashboard_url"].startswith("/d/radiosonde-model?var-model=")
        assert ALERTS[rule["alert"]].steps
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        families = {attribute.replace(".", "_") for metric in METRICS.values() for attribute in metric.attributes}
        assert named <= families


def test_an_objective_of_its_own_gives_a_model_a_rule_of_its_own():
    """The others exclude it, and a model without an objective of latency has no alert on it."""
    (expected,) = (options for options in OPTIONS if options.models)
    found = [rule["expr"] for rule in rules(expected) if rule.get("alert") == "RadiosondeFailuresFast"]
    route = r"GET /fares/\\{id\\}"  # escaped for the expression, and again for the text it stands in
    assert [re.findall(r"ratio1h\{radiosonde_model_name(.*?)\} > ([\d.]+)", expr) for expr in found] == [
        [(f'!~"{route}"', "0.144")],
        [(f'=~"{route}"', "0.72")],
    ]
    slow = next(rule["expr"] for rule in rules(expected) if rule.get("record") == "radiosonde:slow:ratio1h")
    assert re.findall(r'radiosonde_model_name="([^"]+)", le="([^"]+)"', slow) == [
        ("GET /fares/{id}", "2.5"),
        ("delays", "0.1"),
    ]
    silent = rules(OPTIONS[3])
    assert not [
        rule for rule in silent if rule.get("alert", "").startswith(("RadiosondeFailures", "RadiosondeLatency"))
    ]


def test_the_collectors_pipelines_name_what_is_configured():
    """Every signal reaches ClickHouse, metrics Prometheus too, and the limit on memory comes first."""
    document = yaml.safe_load(files(AssetOptions())["otel-collector/collector.yaml"])
    service = document["service"]
    assert set(service["extensions"]) <= document["extensions"].keys()
    assert service["pipelines"].keys() == {"metrics", "logs", "traces"}
    for signal, pipeline in service["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= document[kind].keys(), signal
        assert pipeline["processors"][0] == "memory_limiter"
        assert "clickhouse" in pipeline["exporters"]
        assert ("prometheus" in pipeline["exporters"]) == (signal == "metrics")
    assert all(text.rstrip() for text in files(AssetOptions()).values())
