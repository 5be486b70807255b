"""Prometheus: recording rules, alerts and scrape configurations. VictoriaMetrics' vmalert and Grafana's rulers read the same files."""

from __future__ import annotations

from typing import Any

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.prometheus.alerts import alerts
from radiosonde.assets.prometheus.answers import answer_rules
from radiosonde.assets.prometheus.features import feature_rules
from radiosonde.assets.prometheus.labels import label_rules
from radiosonde.assets.prometheus.rules import Promql, rule_document
from radiosonde.assets.prometheus.runtime import runtime_rules
from radiosonde.assets.prometheus.scrape import KUBERNETES, SCRAPE
from radiosonde.assets.prometheus.traffic import traffic_rules
from radiosonde.assets.yaml_text import yaml_text

_RULES = """\
Recording rules over the metrics of Radiosonde. Made by: radiosonde assets prometheus
All of them need 8 days of history for what is compared with the last week; everything else works at once."""
_ALERTS = """\
Alerts on the recording rules of rules.yml. Made by: radiosonde assets prometheus
severity page: somebody is called. ticket: somebody looks the next day. info: shown on dashboards, sent to nobody.
Every alert has a runbook at its runbook_url: radiosonde assets runbooks writes the pages; --runbooks says where you serve them."""


RULES, ALERTS = "rules.yml", "alerts.yml"


def make(options: AssetOptions) -> list[Asset]:
    """Return the files."""
    documents = rule_documents(options)
    return [
        Asset(RULES, yaml_text(documents[RULES], _RULES)),
        Asset(ALERTS, yaml_text(documents[ALERTS], _ALERTS)),
        Asset("scrape.yml", SCRAPE),
        Asset("scrape-kubernetes.yml", KUBERNETES),
    ]


def rule_documents(options: AssetOptions) -> dict[str, dict[str, Any]]:
    """Return the content of the rule files, by file."""
    promql = Promql(options.by)
    groups = [
        traffic_rules(promql, options),
        feature_rules(promql),
        answer_rules(promql),
        label_rules(promql),
        runtime_rules(promql),
    ]
    return {RULES: rule_document(groups), ALERTS: rule_document([alerts(promql, options)])}
