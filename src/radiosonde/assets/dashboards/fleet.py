"""The dashboard of all models: open incidents, and a row of figures for each model."""

from __future__ import annotations

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.dashboards.model import UID as MODEL_UID
from radiosonde.assets.dashboards.panel import (
    Dashboard,
    DashboardPanel,
    DashboardRow,
    Link,
    Query,
    Unit,
    alerts,
    filters,
    legend,
    open_incidents,
    recorded,
    scrape_variables,
)
from radiosonde.assets.names import label, series
from radiosonde.assets.prometheus.rules import Promql
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

UID = "radiosonde-fleet"
_MODEL = legend(names.MODEL_NAME)


def fleet(options: AssetOptions) -> Dashboard:
    """Return the dashboard."""
    return Dashboard(UID, "fleet", _rows(options), scrape_variables(options))


def _rows(options: AssetOptions) -> list[DashboardRow]:
    return [
        DashboardRow(
            "What was found?",
            [
                open_incidents(series(metrics.INCIDENT_EVIDENCE), width=16),
                alerts("Alerts of Radiosonde that are firing.", 'ALERTS{component="radiosonde", alertstate="firing"}'),
            ],
        ),
        DashboardRow("How is each model?", _by_model(options)),
    ]


def _by_model(options: AssetOptions) -> list[DashboardPanel]:
    """Return panels of a series per model, each of which links to the dashboard of the model."""
    scraped, by = filters(options), Promql(options.by).labels(names.MODEL_NAME)
    link = Link("Model", MODEL_UID, {"model": label(names.MODEL_NAME)})
    calls = recorded("radiosonde:calls:increase5m", scraped)
    failed = f"sum by ({by}) ({recorded('radiosonde:failures:ratio5m', scraped)} * {calls})"
    wrong = recorded("radiosonde:outcomes:wrong_ratio1d", scraped, _within_a_day())
    drawn: tuple[tuple[str, str, str, Unit], ...] = (
        ("Calls", "Calls per second.", f"sum by ({by}) ({calls}) / 300", "calls per second"),
        (
            "Failures",
            "Share of calls that raised, over five minutes.",
            f"{failed} / (sum by ({by}) ({calls}) > 0)",
            "ratio",
        ),
        (
            "p99",
            "99th percentile of the slowest release.",
            f"max by ({by}) ({recorded('radiosonde:duration:p99_5m', scraped)})",
            "seconds",
        ),
        (
            "Largest PSI",
            "Of the feature that is farthest from its reference.",
            f"max by ({by}) ({recorded('radiosonde:feature:psi1h', scraped)})",
            "number",
        ),
        (
            "Wrong answers",
            "Of the release with the largest share of wrong answers, labels within a day.",
            f"max by ({by}) ({wrong})",
            "ratio",
        ),
        (
            "Labels",
            "Labels that came in six hours.",
            f"sum by ({by}) ({recorded('radiosonde:labels:increase6h', scraped)})",
            "number",
        ),
    )
    return [
        DashboardPanel(title, text, [Query(expr, _MODEL)], unit, leads_to=link) for title, text, expr, unit in drawn
    ]


def _within_a_day() -> str:
    return f'{label(names.LABEL_LAG)}=~"1h|1d"'
