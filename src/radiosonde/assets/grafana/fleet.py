"""The dashboard of all models: open incidents, and a row of figures for each model."""

from __future__ import annotations

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.grafana.dashboard import (
    DashboardPanel,
    DashboardRow,
    Query,
    dashboard_json,
    filters,
    legend,
    recorded,
)
from radiosonde.assets.grafana.model import UID as MODEL_UID
from radiosonde.assets.names import label, series
from radiosonde.assets.prometheus.rules import Promql
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

UID = "radiosonde-fleet"
_MODEL = legend(names.MODEL_NAME)


def fleet(options: AssetOptions) -> str:
    """Return the dashboard."""
    return dashboard_json(UID, "Radiosonde / Fleet", _rows(options), [], options)


def _rows(options: AssetOptions) -> list[DashboardRow]:
    return [
        DashboardRow(
            "What was found?",
            [
                DashboardPanel(
                    "Open incidents",
                    "Exported by radiosonde watch. The value is the evidence in nats; 7 comes by chance once in a thousand looks.",
                    [Query(series(metrics.INCIDENT_EVIDENCE))],
                    kind="table",
                    width=16,
                ),
                DashboardPanel(
                    "Alerts",
                    "Alerts of Radiosonde that are firing.",
                    [Query('ALERTS{component="radiosonde", alertstate="firing"}')],
                    kind="table",
                ),
            ],
        ),
        DashboardRow("How is each model?", _by_model(options)),
    ]


def _by_model(options: AssetOptions) -> list[DashboardPanel]:
    """Return panels of a series per model, each of which links to the dashboard of the model."""
    scraped, by = filters(options), Promql(options.by).labels(names.MODEL_NAME)
    model = f"${{__field.labels.{label(names.MODEL_NAME)}}}"
    links = {"Model": f"/d/{MODEL_UID}?var-model={model}&${{__url_time_range}}"}
    calls = recorded("radiosonde:calls:increase5m", scraped)
    failed = f"sum by ({by}) ({recorded('radiosonde:failures:ratio5m', scraped)} * {calls})"
    wrong = recorded("radiosonde:outcomes:wrong_ratio1d", scraped, _within_a_day())
    drawn = (
        ("Calls", "Calls per second.", f"sum by ({by}) ({calls}) / 300", "reqps"),
        (
            "Failures",
            "Share of calls that raised, over five minutes.",
            f"{failed} / (sum by ({by}) ({calls}) > 0)",
            "percentunit",
        ),
        (
            "p99",
            "99th percentile of the slowest release.",
            f"max by ({by}) ({recorded('radiosonde:duration:p99_5m', scraped)})",
            "s",
        ),
        (
            "Largest PSI",
            "Of the feature that is farthest from its reference.",
            f"max by ({by}) ({recorded('radiosonde:feature:psi1h', scraped)})",
            "short",
        ),
        (
            "Wrong answers",
            "Of the release with the largest share of wrong answers, labels within a day.",
            f"max by ({by}) ({wrong})",
            "percentunit",
        ),
        (
            "Labels",
            "Labels that came in six hours.",
            f"sum by ({by}) ({recorded('radiosonde:labels:increase6h', scraped)})",
            "short",
        ),
    )
    return [DashboardPanel(title, text, [Query(expr, _MODEL)], unit, links=links) for title, text, expr, unit in drawn]


def _within_a_day() -> str:
    return f'{label(names.LABEL_LAG)}=~"1h|1d"'
