"""The expressions of the alerts. Rates have floors in events: two failures of a hundred calls burn any budget fast, and mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

from radiosonde.assets.asset import AssetOptions, runbook_url
from radiosonde.assets.names import any_of, label, series
from radiosonde.assets.prometheus.catalogue import ALERTS
from radiosonde.assets.prometheus.features import USUAL
from radiosonde.assets.prometheus.labels import ROWS
from radiosonde.assets.prometheus.rules import FEATURE, RELEASE, Alert, Group, Promql
from radiosonde.config import Objectives
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

LEAST_EVENTS = 10
"""Failures or slow calls below which no burn rate is an alert: with it none was false in ten healthy model-months, without it 5.8 a month."""
SLOW_SHARE = 0.01
"""Share of calls that may be above the bound: the objective is a 99th percentile."""
BURNS = {"Fast": (14.4, "1h", "5m"), "Slow": (6.0, "6h", "30m")}
"""Multiple of the budget, long and short window (Beyer et al., "The Site Reliability Workbook", 2018, chapter 5)."""
NEVER_EMPTY = 0.005
"""Share of missing or unseen values, in the reference and over the last week, below which a feature is one that has none."""
LN_1000 = 6.9
PRESENT = "1d:37m", 33
"""A model must have been observed at more than this many of the 39 looks of the last day, that is for twenty hours, for its absence to be an alert: without
it a nightly job, office hours and a service that is scaled to nothing page once a day or more. No schedule has steps of 37 minutes."""
PRESENT_NEW = 4
"""The same for a model that was never there before the last day, that is for three hours; only while the job has a target that does not answer. What ends
on purpose is no target any more, and what was there before has a schedule."""
SILENT_S = 900
"""Seconds without a look of a watch: fifteen windows of a minute."""


def alerts(promql: Promql, options: AssetOptions) -> Group:
    """Return all alerts."""
    made = [
        *_burns(options),
        *_features(promql),
        *_answers(promql),
        *_process(promql),
    ]
    return Group("radiosonde.alerts", "30s", [_alert(name, expr, options) for name, expr in made])


def _alert(name: str, expr: str, options: AssetOptions) -> Alert:
    text = ALERTS[name]
    model, version = label(names.MODEL_NAME), label(names.MODEL_VERSION)
    place = f"?var-model={{{{ $labels.{model} }}}}&var-version={{{{ $labels.{version} }}}}"
    annotations = {
        "summary": text.summary,
        "description": text.meaning,
        "runbook_url": runbook_url(options.runbooks, name),
        "dashboard_url": f"{options.dashboards}/d/radiosonde-model{place}",
    }
    return Alert(name, expr, text.severity, text.holds, text.keeps, annotations)


def _burns(options: AssetOptions) -> Iterator[tuple[str, str]]:
    """Yield the burn rates, once for each objective that differs: models of one objective share a rule."""
    for speed, (times, long, short) in BURNS.items():
        for kind, subject, budgets in (
            ("Failures", "failures", _budgets(options, "failures")),
            ("Latency", "slow", _budgets(options, "p99")),
        ):
            for where, budget in budgets:
                at, bad = times * budget, f"radiosonde:{subject}:ratio"
                yield (
                    f"Radiosonde{kind}{speed}",
                    f"""{bad}{long}{where} > {at:.6g}
                    and {bad}{short}{where} > {at:.6g}
                    and {bad}{long}{where} * radiosonde:calls:increase{long}{where} >= {LEAST_EVENTS}""",
                )


def _budgets(options: AssetOptions, objective: str) -> Iterator[tuple[str, float]]:
    """Yield (selector, share of calls that may be bad)."""

    def share(declared: Objectives) -> float | None:
        value: float | None = getattr(declared, objective)
        return value if objective == "failures" or value is None else SLOW_SHARE

    model = label(names.MODEL_NAME)
    own: dict[float, list[str]] = {}
    for name, declared in options.models.items():
        found = share(declared)
        if found is not None and found != share(options.objectives):
            own.setdefault(found, []).append(name)
    apart = [name for named in own.values() for name in named]
    usual = share(options.objectives)
    if usual is not None:
        yield (_selector(model, "!~", apart) if apart else ""), usual
    for value, named in own.items():
        yield _selector(model, "=~", named), value


def _selector(name: str, operator: str, models: list[str]) -> str:
    escaped = any_of(models).replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{name}{operator}"{escaped}"}}'


def _features(promql: Promql) -> Iterator[tuple[str, str]]:
    feature, cell = promql.labels(*FEATURE), label(names.FEATURE_CELL)
    rows = "radiosonde:feature:rows1h"
    never_empty = f"""radiosonde:feature:null_usual_ratio{USUAL} < {NEVER_EMPTY}
    and on ({feature}) radiosonde:cell:reference{{{cell}="null"}} < {NEVER_EMPTY}
    and {rows} > 100"""
    for name, share in (("RadiosondeFeatureEmpty", 0.5), ("RadiosondeFeatureMissing", 0.2)):
        yield name, f"radiosonde:feature:null_ratio1h > {share} and {never_empty}"
    yield (
        "RadiosondeFeatureUnseen",
        f"""radiosonde:feature:unseen_ratio1h > {2 * NEVER_EMPTY}
        and radiosonde:feature:unseen_usual_ratio{USUAL} < {NEVER_EMPTY}
        and radiosonde:feature:unseen_ratio1h * {rows} >= 20""",
    )
    yield "RadiosondeFeatureShifted", f"radiosonde:feature:psi1h > 0.25 and {rows} > 500"


def _answers(promql: Promql) -> Iterator[tuple[str, str]]:
    release, model = promql.labels(*RELEASE), promql.labels(names.MODEL_NAME)
    yield (
        "RadiosondeClassesShifted",
        f"radiosonde:class:psi1h > 0.1 and on ({release}) sum by ({release}) (radiosonde:class:rows1h) > 500",
    )
    yield (
        "RadiosondeLabelsStopped",
        f"""radiosonde:labels:increase6h == 0
        and on ({model}) radiosonde:labels:increase7d > 100
        and on ({model}) sum by ({model}) (radiosonde:calls:increase6h) > 100""",
    )
    yield (
        "RadiosondeCanaryWrong",
        f"radiosonde:canary:wrong_ln_evidence > {LN_1000} and radiosonde:canary:wrong_change > 0",
    )
    yield (
        "RadiosondeCalibrationOff",
        f"radiosonde:calibration:error1d > 0.1 and on ({release}) sum by ({release}) ({ROWS}) > 500",
    )


def _process(promql: Promql) -> Iterator[tuple[str, str]]:
    by, model = ", ".join(promql.by), promql.labels(names.MODEL_NAME)
    info, (looks, least) = series(metrics.MODEL_INFO), PRESENT
    present = f"count_over_time(group by ({model}) ({info})[{looks}])"
    yield (
        "RadiosondeTelemetryAbsent",
        f"""group by ({model}) ({info} offset 1h)
        and on ({model}) ({present} > {least}
        or {present} > {PRESENT_NEW} and on ({by}) (up == 0) unless on ({model}) max_over_time({info}[7d] offset 1d))
        unless on ({model}) group by ({model}) ({info})""",
    )
    yield "RadiosondeThrottled", "radiosonde:cpu:throttled_ratio5m > 0.25"
    losses = f"sum by ({by}) (radiosonde:sdk:losses1h)"
    yield "RadiosondeLosing", f"{losses} >= 100 and {losses} > 0.01 * radiosonde:sdk:records1h"
    yield "RadiosondeSeriesCut", "radiosonde:sdk:series_cut > 0"
    last, leading = series(metrics.WATCH_LAST_LOOK_TIMESTAMP), series(metrics.WATCH_LEADING)
    yield (
        "RadiosondeWatchSilent",
        # Of one that hangs beside others, and of one whose series are gone.
        f"""max by ({by}) (time() - ({last} and {leading} == 1)) > {SILENT_S}
        or time() - max by ({by}) (max_over_time({last}[1d])) > {SILENT_S}""",
    )
    for severity in ("page", "ticket"):
        yield (
            f"RadiosondeIncident{severity.title()}",
            f"{series(metrics.INCIDENT_ACTIVE, {names.INCIDENT_SEVERITY: severity})} > 0",
        )
