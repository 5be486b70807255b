"""Every alert, firing and silent, by promtool's unit tests over the shipped rules.

What is asserted is `ALERTS`, the series that Prometheus keeps of an alert, at one instant: 1 or nothing.
"""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from radiosonde.assets import AssetOptions, prometheus
from radiosonde.assets.names import series
from radiosonde.assets.prometheus.catalogue import ALERTS
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.prometheus import label_name

USUAL = {
    names.MODEL_NAME: "m", names.MODEL_VERSION: "1", names.VARIANT: "stable", names.COHORT: "", names.MODEL_KIND: "model",
    names.REFERENCE_ID: "r", names.FEATURE_NAME: "f", names.LABEL_LAG: "1h", names.LABEL_CLASS: "yes", names.CONFIDENCE_BIN: "18",
}  # fmt: skip
UP = "up"
"""The series that Prometheus makes of each scrape."""
Case = tuple[list[tuple[Any, ...]], str]
"""Series and the time of the look. A series is its metric, its values every five minutes, and what tells it apart."""


def steady(count: int, steps: int, start: int = 0) -> str:
    """Return a counter that grows by *count* every five minutes."""
    return f"{start}+{count}x{steps}"


def then(before: int, steps: int, after: int, more: int) -> str:
    """Return a counter that changes its pace."""
    return f"0+{before}x{steps} {before * steps + after}+{after}x{more - 1}"


def traffic(failures: str, calls: str = steady(100, 120)) -> list[tuple[Any, ...]]:
    """Return calls, and those that failed."""
    return [(metrics.PREDICTION_CALLS, calls), (metrics.PREDICTION_FAILURES, failures)]


def latency(quick: int, calls: int = 100) -> list[tuple[Any, ...]]:
    """Return calls, of which *quick* are within the bound of one second."""
    return [
        (metrics.PREDICTION_CALLS, steady(calls, 120)),
        (metrics.PREDICTION_DURATION, steady(calls, 120), {}, "count"),
        (metrics.PREDICTION_DURATION, steady(quick, 120), {"le": "1.0"}, "bucket"),
    ]


def cells(shares: dict[str, str], reference: dict[str, float]) -> list[tuple[Any, ...]]:
    """Return counts of cells, and their shares in the reference."""
    return [(metrics.FEATURE_CELL, values, {names.FEATURE_CELL: cell}) for cell, values in shares.items()] + [
        (metrics.FEATURE_REFERENCE_RATIO, f"{share}x400", {names.FEATURE_CELL: cell})
        for cell, share in reference.items()
    ]


def outcomes(canary: int, stable: int) -> list[tuple[Any, ...]]:
    """Return wrong ones among twenty labels of each variant every five minutes."""
    rows = []
    for variant, wrong in (("canary", canary), ("stable", stable)):
        for result, count in (("incorrect", wrong), ("correct", 20 - wrong)):
            told = {names.VARIANT: variant, names.OUTCOME_RESULT: result}
            rows += [
                (metrics.OUTCOME_ROWS, steady(count, 300), told),
                (metrics.OUTCOME_RETRACTIONS, steady(0, 300), told),
            ]
    return rows


def calibrated(expected: int) -> list[tuple[Any, ...]]:
    """Return labels of which half are correct, with a confidence of *expected* in ten."""
    return [
        *((name, steady(count, 300)) for name, count in (
            (metrics.OUTCOME_CONFIDENCE_ROWS, 10), (metrics.OUTCOME_CONFIDENCE_CORRECT, 5),
            (metrics.OUTCOME_CONFIDENCE_CORRECT_RETRACTIONS, 0), (metrics.OUTCOME_CONFIDENCE_EXPECTED, expected),
        )),
        *((name, steady(count, 300), {names.OUTCOME_RESULT: "correct"}) for name, count in (
            (metrics.OUTCOME_ROWS, 10), (metrics.OUTCOME_RETRACTIONS, 0),
        )),
    ]  # fmt: skip


def labelled(labels: str, calls: str = steady(100, 600)) -> list[tuple[Any, ...]]:
    """Return calls, and the labels that came."""
    return [(metrics.PREDICTION_CALLS, calls), (metrics.LABEL_ARRIVED, labels)]


def classes(yes: str, no: str) -> list[tuple[Any, ...]]:
    """Return rows of two predicted classes."""
    return [
        (metrics.PREDICTION_CLASS, values, {names.PREDICTION_CLASS: name})
        for name, values in (("yes", yes), ("no", no))
    ]


def process(counter: str, of: str, bad: int) -> list[tuple[Any, ...]]:
    """Return two counters of a process: a hundred (thousand) of one, *bad* of the other."""
    return [
        (of, steady(1000, 40)),
        (counter, steady(bad, 40), {names.LOSS_REASON: "x"} if counter == metrics.SDK_LOSSES else {}),
    ]


EMPTY, UNSEEN, HALVES = {"00": 0.997, "null": 0.003}, {"00": 0.999, "unseen": 0.001}, {"00": 0.5, "01": 0.5}


def incident(severity: str, values: str) -> list[tuple[Any, ...]]:
    """Return an incident."""
    told = {
        names.INCIDENT_SEVERITY: severity,
        names.INCIDENT_NAME: "n",
        names.INCIDENT_KIND: "k",
        names.INCIDENT_PLACE: "p",
        names.INCIDENT_ID: "20260101-aaaaaa",
    }
    return [(metrics.INCIDENT_ACTIVE, values, told)]


def looks(last: str, leading: str = "1x60", other: str = "") -> list[tuple[Any, ...]]:
    """Return a watch whose last look was at *last*, and perhaps *other* one beside it, which leads."""
    one, two = {"instance": "a"}, {"instance": "b"}
    made = [(metrics.WATCH_LAST_LOOK_TIMESTAMP, last, one), (metrics.WATCH_LEADING, leading, one)]
    if other:
        made += [(metrics.WATCH_LAST_LOOK_TIMESTAMP, other, two), (metrics.WATCH_LEADING, "1x60", two)]
    return made


FIRING: dict[str, list[Case]] = {
    "RadiosondeFailuresFast": [(traffic(steady(30, 120)), "2h")],
    "RadiosondeFailuresSlow": [(traffic(steady(8, 120)), "8h")],
    "RadiosondeLatencyFast": [(latency(70), "2h")],
    "RadiosondeLatencySlow": [(latency(92), "8h")],
    "RadiosondeTelemetryAbsent": [
        ([(metrics.MODEL_INFO, "1x288 stale")], "24h30m"),
        # New: there for three and a half hours, for twelve, and for twelve with a restart.
        *(
            ([(metrics.MODEL_INFO, told), (UP, f"1x{steps} 0x30")], at)
            for told, steps, at in (
                ("1x42 stale", 42, "4h"),
                ("1x144 stale", 144, "12h30m"),
                ("1x70 stale _x8 1x66 stale", 144, "12h40m"),
            )
        ),
        # The same beside a target that answers.
        ([(metrics.MODEL_INFO, "1x60 stale"), (UP, "1x60 0x30"), (UP, "1x90", {"instance": "b"})], "5h30m"),
    ],
    "RadiosondeFeatureEmpty": [
        (cells({"00": then(100, 144, 20, 24), "null": then(0, 144, 80, 24)}, EMPTY), "13h30m"),
    ],
    "RadiosondeFeatureMissing": [
        (cells({"00": then(100, 144, 60, 48), "null": then(0, 144, 40, 48)}, EMPTY), "14h30m"),
    ],
    "RadiosondeFeatureUnseen": [
        (cells({"00": then(100, 144, 95, 24), "unseen": then(0, 144, 5, 24)}, UNSEEN), "13h30m"),
    ],
    "RadiosondeFeatureShifted": [(cells({"00": steady(90, 120), "01": steady(10, 120)}, HALVES), "8h")],
    "RadiosondeClassesShifted": [(classes(then(50, 144, 95, 120), then(50, 144, 5, 120)), "20h")],
    "RadiosondeLabelsStopped": [(labelled("0+10x288 2880x120"), "31h")],
    "RadiosondeCanaryWrong": [(outcomes(8, 2), "4h")],
    "RadiosondeCalibrationOff": [(calibrated(9), "8h")],
    "RadiosondeThrottled": [(process(metrics.RUNTIME_CPU_THROTTLED_PERIODS, metrics.RUNTIME_CPU_PERIODS, 500), "1h")],
    "RadiosondeLosing": [(process(metrics.SDK_LOSSES, metrics.SDK_RECORDS, 50), "2h")],
    "RadiosondeSeriesCut": [([(metrics.SDK_CUT, "5x40")], "1h")],
    "RadiosondeWatchSilent": [
        (looks("0+300x12 3600x40"), "2h"),
        (looks("0+300x12 stale", "1x12 stale"), "2h"),
        # One hangs, and another of the job works: they may watch two stores.
        (looks("0+300x12 3600x40", "1x60", other="0+300x60"), "2h"),
    ],
    "RadiosondeIncidentPage": [(incident("page", "0x5 1x10"), "35m")],
    "RadiosondeIncidentTicket": [(incident("ticket", "0x5 1x10"), "35m")],
}
SILENT: dict[str, list[Case]] = {
    "RadiosondeFailuresFast": [
        (traffic(steady(1, 120)), "2h"),
        (traffic(steady(8, 120)), "2h"),
        # Nine failures in an hour of 48 calls, two of them just now: a fifth of the calls, and below the floor of ten.
        (traffic(" ".join(str(step - step // 4) for step in range(40)), steady(4, 120)), "2h10m"),
        # An error that was over half an hour ago.
        (traffic("0+60x12 720x40"), "1h50m"),
    ],
    "RadiosondeFailuresSlow": [(traffic(steady(5, 120)), "8h")],
    "RadiosondeLatencyFast": [(latency(100), "2h"), (latency(92), "2h")],
    "RadiosondeLatencySlow": [(latency(95), "8h")],
    "RadiosondeTelemetryAbsent": [
        ([(metrics.MODEL_INFO, "1x300")], "24h30m"),
        # Switched off for longer than an hour.
        ([(metrics.MODEL_INFO, "1x288 stale")], "27h"),
        # There for two hours, for ten hours, and for ten minutes of every half hour.
        ([(metrics.MODEL_INFO, "1x24 stale")], "2h30m"),
        ([(metrics.MODEL_INFO, "_x168 1x120 stale")], "24h30m"),
        ([(metrics.MODEL_INFO, " ".join(["1 1 stale _ _ _"] * 50))], "24h25m"),
        # New, and switched off: it is no target any more, or another model of the same server.
        ([(metrics.MODEL_INFO, "1x60 stale"), (UP, "1x60 stale")], "5h30m"),
        ([(metrics.MODEL_INFO, "1x60 stale"), (UP, "1x90")], "5h30m"),
        # New, down, and there for two hours only; or the target of another job is down.
        ([(metrics.MODEL_INFO, "1x24 stale"), (UP, "1x24 0x30")], "2h30m"),
        ([(metrics.MODEL_INFO, "1x60 stale"), (UP, "1x60 0x30", {"job": "other"})], "5h30m"),
        # Down each night, and there the day before: it has a schedule.
        ([(metrics.MODEL_INFO, "1x48 stale _x238 1x48 stale"), (UP, "1x48 0x239 1x48 0x30")], "28h45m"),
        # Down for longer than an hour.
        ([(metrics.MODEL_INFO, "1x60 stale"), (UP, "1x60 0x60")], "7h"),
    ],
    "RadiosondeFeatureEmpty": [
        (cells({"00": then(100, 144, 60, 24), "null": then(0, 144, 40, 24)}, EMPTY), "13h30m"),
        # Always missing in half of the rows.
        (cells({"00": steady(40, 200), "null": steady(60, 200)}, {"00": 0.5, "null": 0.5}), "13h30m"),
        # Of a handful of rows.
        (cells({"00": then(100, 144, 0, 24), "null": then(0, 144, 1, 24)}, EMPTY), "14h"),
    ],
    "RadiosondeFeatureMissing": [(cells({"00": then(100, 144, 90, 48), "null": then(0, 144, 10, 48)}, EMPTY), "15h")],
    "RadiosondeFeatureUnseen": [
        (cells({"00": steady(98, 200), "unseen": steady(2, 200)}, UNSEEN), "13h30m"),
        (cells({"00": then(100, 144, 10, 24), "unseen": then(0, 144, 1, 24)}, UNSEEN), "13h30m"),
    ],
    "RadiosondeFeatureShifted": [(cells({"00": steady(60, 120), "01": steady(40, 120)}, HALVES), "8h")],
    "RadiosondeClassesShifted": [(classes(steady(50, 300), steady(50, 300)), "20h")],
    "RadiosondeLabelsStopped": [
        (labelled(steady(10, 500)), "31h"),
        (labelled("0x500"), "31h"),
        (labelled("0+10x288 2880x120", "0+100x288 28800x120"), "31h"),
    ],
    "RadiosondeCanaryWrong": [(outcomes(4, 4), "8h"), (outcomes(2, 8), "8h")],
    "RadiosondeCalibrationOff": [(calibrated(5), "8h")],
    "RadiosondeThrottled": [(process(metrics.RUNTIME_CPU_THROTTLED_PERIODS, metrics.RUNTIME_CPU_PERIODS, 100), "1h")],
    "RadiosondeLosing": [
        (process(metrics.SDK_LOSSES, metrics.SDK_RECORDS, 5), "2h"),
        ([(metrics.SDK_RECORDS, steady(1, 40)), (metrics.SDK_LOSSES, steady(1, 40), {names.LOSS_REASON: "x"})], "2h"),
    ],
    "RadiosondeSeriesCut": [([(metrics.SDK_CUT, "0x40")], "1h")],
    "RadiosondeWatchSilent": [(looks("0+300x60"), "4h"), (looks("0+300x12 3600x40", "0x60", other="0+300x60"), "4h")],
    "RadiosondeIncidentPage": [(incident("ticket", "1x40"), "35m"), (incident("page", "1x5 0x40"), "2h")],
    "RadiosondeIncidentTicket": [(incident("note", "1x40"), "35m")],
}


def spelled(metric: str, values: str, told: dict[str, str] | None = None, part: str = "") -> dict[str, str]:
    """Return a series as promtool wants it, with the labels that its metric carries."""
    carried = METRICS[metric].attributes if metric != UP else ()
    labels = {"job": "j", **{label_name(name): value for name, value in USUAL.items() if name in carried}}
    labels |= {label_name(name): value for name, value in (told or {}).items()}
    pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    name = UP if metric == UP else series(metric, part=part)
    return {"series": f"{name}{{{pairs}}}", "values": values}


def look(alert: str, case: Case, fires: int) -> dict[str, Any]:
    """Return a test of promtool."""
    rows, at = case
    expr = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    expected = [{"labels": "{}", "value": fires}]
    return {
        "name": f"{alert} at {at}",
        "interval": "5m",
        "input_series": [spelled(*row) for row in rows],
        "promql_expr_test": [{"expr": expr, "eval_time": at, "exp_samples": expected}],
    }


def rules_of(alert: str) -> dict[str, Any]:
    """Return an alert and the rules that it reads, in the order in which they ship; to evaluate all rules for each alert takes minutes."""
    documents = {asset.path: asset.content for asset in prometheus.make(AssetOptions())}
    shipped = [
        rule
        for name in ("rules.yml", "alerts.yml")
        for group in yaml.safe_load(documents[name])["groups"]
        for rule in group["rules"]
    ]
    wanted = {alert}
    for rule in reversed(shipped):  # a rule reads what is recorded before it
        if rule.get("record", rule.get("alert")) in wanted:
            wanted |= set(re.findall(r"radiosonde:[a-z0-9_:]+", rule["expr"]))
    chosen = [rule for rule in shipped if rule.get("record", rule.get("alert")) in wanted]
    return {"groups": [{"name": alert, "rules": chosen}]}


@pytest.mark.parametrize("alert", ALERTS)
def test_the_alert_fires_when_it_should_and_not_otherwise(alert, tmp_path, require_program):
    """At least one world in which it fires, and at least one beside it in which it does not."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules_of(alert), sort_keys=False))
    tests = [look(alert, case, fires) for cases, fires in ((FIRING, 1), (SILENT, 0)) for case in cases[alert]]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    ran = subprocess.run(
        [require_program("promtool"), "test", "rules", "test.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
