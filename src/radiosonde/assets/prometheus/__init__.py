"""Prometheus: recording rules, alerts and scrape configurations. VictoriaMetrics' vmalert and Grafana's rulers read the same files."""

from __future__ import annotations

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.prometheus.alerts import alerts
from radiosonde.assets.prometheus.answers import answer_rules
from radiosonde.assets.prometheus.features import feature_rules
from radiosonde.assets.prometheus.labels import label_rules
from radiosonde.assets.prometheus.rules import Promql, rule_file
from radiosonde.assets.prometheus.runtime import runtime_rules
from radiosonde.assets.prometheus.scrape import KUBERNETES, SCRAPE
from radiosonde.assets.prometheus.traffic import traffic_rules

_RULES = """\
Recording rules over the metrics of Radiosonde. Made by: radiosonde assets prometheus
All of them need 8 days of history for what is compared with the last week; everything else works at once."""
_ALERTS = """\
Alerts on the recording rules of rules.yml. Made by: radiosonde assets prometheus
severity page: somebody is called. ticket: somebody looks the next day. info: shown on dashboards, sent to nobody.
Every alert has a runbook at its runbook_url: radiosonde assets runbooks writes the pages; --runbooks says where you serve them."""


def make(options: AssetOptions) -> list[Asset]:
    """Return the files."""
    promql = Promql(options.by)
    groups = [
        traffic_rules(promql, options),
        feature_rules(promql),
        answer_rules(promql),
        label_rules(promql),
        runtime_rules(promql),
    ]
    return [
        Asset("rules.yml", rule_file(groups, _RULES)),
        Asset("alerts.yml", rule_file([alerts(promql, options)], _ALERTS)),
        Asset("scrape.yml", SCRAPE),
        Asset("scrape-kubernetes.yml", KUBERNETES),
    ]
