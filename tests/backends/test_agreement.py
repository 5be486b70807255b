"""One telemetry, five readers, one answer: Prometheus, ClickHouse, DuckDB, `radiosonde diagnose` and `radiosonde watch` read the same service.

Each planted fault is named by each of them with the same model, version, cohort, phase or feature, and figures agree to 1 %. A reader has its own
interval: rules that of the scrapes in their window, a finding that since its onset. So views are asked for the interval of whom they are
compared with.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.backends._findings import diagnosis_of, first_findings
from tests.backends._lab import FAULTS, MINUTE_NS, SCALE

PAGE = Path(__file__).parents[2] / "docs/agreement.md"
ENGINES = ("clickhouse", "duckdb")
READERS = ("Prometheus", "ClickHouse", "DuckDB", "diagnose", "watch")
TOLERANCE, OF_CELLS = 0.01, 0.03
"""Relative; the latter of a factor that is read off the bounds of cells, as a watch does."""
MODEL, VERSION, COHORT = "radiosonde_model_name", "radiosonde_model_version", "radiosonde_cohort"


class Answer(NamedTuple):
    """What a reader says of a fault: where it is, how large it is, and since when that was counted."""

    place: str
    figure: float
    since_ns: int = 0


def largest(rows: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    """Return the row with the largest figure; NULL and NaN are none."""
    return max(
        (row for row in rows if row[figure] is not None and row[figure] == row[figure]), key=lambda row: row[figure]
    )


def only(rows: list[dict[str, Any]], **where: str) -> dict[str, Any]:
    """Return the one row of *where*."""
    (row,) = (row for row in rows if all(row[name] == value for name, value in where.items()))
    return row


class Views:
    """The questions of the faults to SQL engines."""

    def __init__(self, engines: Any, engine: str, interval: tuple[int, int]) -> None:
        self._view: Callable[[str], list[dict[str, Any]]] = lambda name: engines.view(engine, name, *interval)

    def ask(self, fault: str) -> Answer:
        """Return the place with the largest evidence, and the figure of it."""
        place, figure = getattr(self, fault.replace(" ", "_"))()
        return Answer(place, float(figure))

    def errors_in_a_cohort(self) -> tuple[str, float]:
        row = largest(self._view("cohorts"), "z")
        return f"{row['model']} {row['version']} {row['dimension']}={row['value']}", row["failure_ratio"]

    def slow_phase(self) -> tuple[str, float]:
        rows = self._view("tail")
        row = largest([row for row in rows if row["phase"] != "total"], "tail_mean_s")
        total = only(rows, model=row["model"], version=row["version"], phase="total")
        return f"{row['model']} {row['phase']}", row["tail_mean_s"] / total["tail_mean_s"]

    def missing_feature(self) -> tuple[str, float]:
        row = largest(self._view("drift"), "null_ratio")
        return f"{row['model']} {row['feature']}", only(self._view("drift"), feature=row["feature"], version="1")[
            "null_ratio"
        ]

    def scaled_feature(self) -> tuple[str, float]:
        row = largest(self._view("drift"), "location_cells")
        return f"{row['model']} {row['feature']}", row["psi"]

    def other_answers(self) -> tuple[str, float]:
        row = largest(self._view("classes"), "ratio")
        return f"{row['model']} {row['class']}", only(self._view("classes"), version="1", **{"class": row["class"]})[
            "ratio"
        ]

    def labels_stopped(self) -> tuple[str, float]:
        labelled: dict[str, float] = {}
        for row in self._view("labels"):
            labelled[row["model"]] = labelled.get(row["model"], 0) + row["labelled"]
        model = min(labelled, key=lambda each: labelled[each])
        return model, labelled[model]


class Rules:
    """The same questions to the rules that ship; to plain PromQL where no rule keeps what is asked for."""

    def __init__(self, prometheus: Any) -> None:
        self._ask: Callable[[str], list[dict[str, Any]]] = prometheus.ask

    def ask(self, fault: str) -> Answer:
        """Return the place with the largest figure."""
        return Answer(*getattr(self, fault.replace(" ", "_"))())

    def errors_in_a_cohort(self) -> tuple[str, float]:
        by = f"sum by ({MODEL}, {VERSION}, {COHORT}) (increase(radiosonde_prediction_"
        worst = largest(self._ask(f"{by}failures_total[1h])) / {by}calls_total[1h]))"), "value")
        return f"{worst['model']} {worst['version']} {worst[COHORT]}", worst["value"]

    def slow_phase(self) -> tuple[str, float]:
        rows = self._ask("radiosonde:tail:seconds1h")
        row = largest([row for row in rows if row["phase"] != "total"], "value")
        total = only(rows, model=row["model"], version=row["version"], phase="total")
        return f"{row['model']} {row['phase']}", row["value"] / total["value"]

    def missing_feature(self) -> tuple[str, float]:
        rows = self._ask("radiosonde:feature:null_ratio1h")
        row = only(rows, feature=largest(rows, "value")["feature"], version="1")
        return f"{row['model']} {row['feature']}", row["value"]

    def scaled_feature(self) -> tuple[str, float]:
        moved = largest(self._ask("radiosonde:feature:location1h"), "value")
        row = only(self._ask("radiosonde:feature:psi1h"), feature=moved["feature"], version=moved["version"])
        return f"{row['model']} {row['feature']}", row["value"]

    def other_answers(self) -> tuple[str, float]:
        rows = self._ask("radiosonde:class:ratio1h")
        row = only(rows, version="1", **{"class": largest(rows, "value")["class"]})
        return f"{row['model']} {row['class']}", row["value"]

    def labels_stopped(self) -> tuple[str, float]:
        found = self._ask(f"sum by ({MODEL}) (increase(radiosonde_label_arrived_total[1h]))")
        row = min(found, key=lambda each: float(each["value"]))
        return row["model"], row["value"]


FINDINGS: Mapping[str, tuple[str, Callable[[dict[str, Any]], str], str]] = {
    "errors in a cohort": ("version.errors", lambda at: f"{at['model']} {at['version']} {at['cohort']}", "rate"),
    "slow phase": ("latency.", lambda at: f"{at['model']} {at['phase']}", ""),
    "missing feature": ("data.missing", lambda at: f"{at['model']} {at['feature']}", "missing_after"),
    "scaled feature": ("data.unit", lambda at: f"{at['model']} {at['feature']}", "factor"),
    "labels stopped": ("label.feed", lambda at: at["model"], "share"),
    "other answers": ("answers.shift", lambda at: f"{at['model']} fraud", "share_answers 'fraud'"),
}
"""How the name of the finding begins, what its place is, and which evidence is its figure."""


def said(findings: list[dict[str, Any]], fault: str) -> Answer:
    """Return what findings say of a fault.

    Raises:
        AssertionError: none is of it, or several are.
    """
    begins, place, figure = FINDINGS[fault]
    found = [
        each for each in findings if each["name"].startswith(begins) and each["where"]["model"] == FAULTS[fault].model
    ]
    assert len(found) == 1, [each["title"] for each in findings]
    values = {each["name"]: each["value"] for each in found[0]["evidence"]}
    return Answer(place(found[0]["where"]), values[figure] if figure else math.nan, found[0]["onset"]["at_ns"])


@pytest.fixture(scope="module")
def diagnosed(engines) -> dict[str, Any]:
    """Return the diagnosis of the store."""
    return diagnosis_of(engines.lab, engines.lab.store)


@pytest.fixture(scope="module")
def watched(engines) -> list[dict[str, Any]]:
    """Return the findings of the events that a watch of the store sends at its first look."""
    return first_findings(engines.lab, engines.lab.store)


@pytest.fixture(scope="module")
def answers(engines, prometheus, diagnosed, watched) -> dict[str, dict[str, Answer]]:
    """Return what each reader says, by fault and reader; SQL engines over the scrapes in the hour of the rules."""
    rules, found = Rules(prometheus), {}
    views = {engine: Views(engines, engine, prometheus.interval(minutes=60)) for engine in ENGINES}
    for fault in FAULTS:
        found[fault] = {
            "Prometheus": rules.ask(fault),
            "ClickHouse": views["clickhouse"].ask(fault),
            "DuckDB": views["duckdb"].ask(fault),
            "diagnose": said([*diagnosed["findings"], *diagnosed["notes"]], fault),
        }
        if fault != "other answers":  # a note for the first hours, which nobody is sent
            found[fault]["watch"] = said(watched, fault)
    if os.environ.get("AGREEMENT_PAGE"):
        PAGE.write_text(page(found))
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_each_reader_names_the_place(answers, fault):
    """The place is where the fault was planted, for whoever reads."""
    planted = FAULTS[fault]
    assert {reader: answer.place for reader, answer in answers[fault].items()} == dict.fromkeys(
        answers[fault], f"{planted.model} {planted.place}".strip()
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_the_rules_and_the_views_give_the_same_figure(answers, fault):
    """Over the same scrapes, exports and windows."""
    ruled, clickhouse, duckdb = (answers[fault][reader].figure for reader in READERS[:3])
    assert clickhouse == pytest.approx(duckdb, rel=1e-6)
    assert ruled == pytest.approx(clickhouse, rel=TOLERANCE)


def pooled(rows: list[dict[str, Any]], part: str, whole: str, **where: str) -> float:
    """Return a share over several rows of a view: of counts, or of a ratio weighted by rows."""
    chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
    return sum(row[part] * (row[whole] if part.endswith("_ratio") else 1) for row in chosen) / sum(
        row[whole] for row in chosen
    )


def share_of_class(rows: list[dict[str, Any]]) -> float:
    """Return the share of one answer over all versions."""
    mine = [row for row in rows if row["model"] == "risk"]
    return sum(row["rows"] for row in mine if row["class"] == "fraud") / sum(row["rows"] for row in mine)


FIGURES: Mapping[str, tuple[str, Callable[[list[dict[str, Any]]], float]]] = {
    "errors in a cohort": ("cohorts", lambda rows: only(rows, version="2", value="UA")["failure_ratio"]),
    "missing feature": ("drift", lambda rows: pooled(rows, "null_ratio", "rows", feature="speed")),
    "other answers": ("classes", share_of_class),
    "labels stopped": ("labels", lambda rows: float(sum(row["labelled"] for row in rows if row["model"] == "risk"))),
    "scaled feature": ("latency", lambda rows: SCALE),
}
"""The view that has the figure of a finding, and how it is read; the factor is the one that was planted."""


@pytest.mark.parametrize("reader", ["diagnose", "watch"])
@pytest.mark.parametrize("fault", FIGURES)
def test_the_findings_give_the_figure_of_the_views(engines, answers, fault, reader):
    """Since the onset that the finding states."""
    answer = answers[fault].get(reader)
    if answer is None:
        pytest.skip("nobody is sent a note")
    name, read = FIGURES[fault]
    # Labels are counted by when they came there, and by when they were predicted here.
    since_ns = engines.lab.end_ns - 60 * MINUTE_NS if fault == "labels stopped" else answer.since_ns
    for engine in ENGINES:
        if (engine, fault) != ("duckdb", "labels stopped") or reader == "diagnose":
            figure = read(engines.view(engine, name, since_ns))
            assert answer.figure == pytest.approx(figure, rel=OF_CELLS if figure == SCALE else TOLERANCE, abs=1e-9)


@pytest.mark.parametrize("reader", ["diagnose", "watch"])
def test_the_tail_of_the_findings_is_in_the_bucket_of_the_views(engines, request, reader):
    """The 99th percentile since the onset, to a bucket of the histogram that is exported."""
    findings = (
        request.getfixturevalue("diagnosed")["findings"] if reader == "diagnose" else request.getfixturevalue("watched")
    )
    (slow,) = (each for each in findings if each["name"].startswith("latency."))
    (p99_s,) = (each["value"] for each in slow["evidence"] if each["name"] == "p99_after")
    for engine in ENGINES:
        counts: dict[tuple[float, float], float] = {}
        for row in engines.view(engine, "durations", slow["onset"]["at_ns"]):
            if row["model"] == "risk":
                bucket = (row["lower_s"], math.inf if row["bound_s"] is None else float(row["bound_s"]))
                counts[bucket] = counts.get(bucket, 0) + row["calls"]
        total = upto = 0.0
        total = sum(counts.values())
        for bucket in sorted(counts):
            upto += counts[bucket]
            if upto >= 0.99 * total:
                break
        assert bucket[0] / 1.1 <= p99_s <= bucket[1] * 1.1, engine


def by(rows: list[dict[str, Any]], figure: str, *key: str) -> dict[tuple[str, ...], float]:
    """Return a figure by what it is of, rows without one left out."""
    return {tuple(row[name] for name in key): float(row[figure]) for row in rows if row[figure] is not None}


FEATURE, RELEASE = ("model", "version", "feature"), ("model", "version", "variant")


def numeric(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of features that have an outside."""
    return [row for row in rows if row["location_cells"] is not None]


def failures(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Return the share of failed calls of each release."""
    keys = {tuple(row[name] for name in RELEASE) for row in rows}
    return {key: pooled(rows, "failed", "calls", **dict(zip(RELEASE, key, strict=True))) for key in keys}


def confidence(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Return the mean confidence of each release."""
    rows = [{**row, "sum": row["mean_confidence"] * row["rows"]} for row in rows]
    keys = {tuple(row[name] for name in RELEASE) for row in rows}
    return {key: pooled(rows, "sum", "rows", **dict(zip(RELEASE, key, strict=True))) for key in keys}


def wrong_change(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Return by how much a canary is wrong more often, by lag of the label."""
    return {
        (row["model"], row["measure"].removeprefix("wrong within ")): row["difference"]
        for row in rows
        if row["measure"].startswith("wrong within ")
    }


SHARED = {
    "error rate": ("radiosonde:failures:ratio1h", 60, "calls", failures, RELEASE),
    "PSI": ("radiosonde:feature:psi1h", 60, "drift", lambda rows: by(rows, "psi", *FEATURE), FEATURE),
    "missing": ("radiosonde:feature:null_ratio1h", 60, "drift", lambda rows: by(rows, "null_ratio", *FEATURE), FEATURE),
    "outside": ("radiosonde:feature:outside_ratio1h", 60, "drift", lambda rows: by(numeric(rows), "outside_ratio", *FEATURE), FEATURE),
    "location": ("radiosonde:feature:location1h", 60, "drift", lambda rows: by(rows, "location_cells", *FEATURE), FEATURE),
    "p99": ("radiosonde:duration:p99_5m", 5, "latency", lambda rows: by(rows, "p99_s", *RELEASE), RELEASE),
    "confidence": ("radiosonde:confidence:mean1h", 60, "confidence", confidence, RELEASE),
    "ECE": ("radiosonde:calibration:error1d", 0, "calibration", lambda rows: by(rows, "ece", *RELEASE), RELEASE),
    "canary difference": (
        "radiosonde:canary:wrong_change", 0, "canary", wrong_change, ("model", "lag"),
    ),
    "mean value": ("radiosonde:value:mean1h", 60, "predicted_values", lambda rows: by(rows, "mean_value", *RELEASE), RELEASE),
}  # fmt: skip
"""Rule, minutes of its window (0: all that there is), view, how its figure is read, and what it is of."""


@pytest.mark.parametrize("figure", SHARED)
def test_every_rule_gives_the_figure_of_its_view(engines, prometheus, figure):
    """For every model, version and feature: not for the faults alone."""
    rule, minutes, view, read, key = SHARED[figure]
    ruled = by(prometheus.ask(rule), "value", *key)
    for engine in ENGINES:
        seen = read(engines.view(engine, view, *prometheus.interval(minutes)))
        assert ruled.keys() == seen.keys()
        # A difference of shares is as exact as the shares, which are below one.
        wrong = {
            of: (ruled[of], seen[of]) for of in ruled if ruled[of] != pytest.approx(seen[of], rel=TOLERANCE, abs=0.002)
        }
        assert not wrong, engine


def page(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """Return the page with what each reader says."""
    lines = []
    for fault, told in answers.items():
        place = f"{FAULTS[fault].model} {FAULTS[fault].place}".strip()
        figures = [shown(told.get(reader)) for reader in READERS]
        lines.append(f"| {fault} | `{place}` | {' | '.join(figures)} |")
    return _HEAD + "\n".join(lines) + "\n" + _FOOT


def shown(answer: Answer | None) -> str:
    """Return the figure of an answer as the page has it."""
    if answer is None:
        return "(a note)"
    return "named" if math.isnan(answer.figure) else f"{answer.figure:.3g}"


_HEAD = """\
# Five readers, one answer

<!-- Made by tests/backends/test_agreement.py with AGREEMENT_PAGE=1; edit that, not this page. -->

A service with two replicas, two models, a canary and cohorts runs for three and a half hours of its own time. Six faults are planted in it, and one
replica is restarted in between. Five readers get its telemetry, each by its own road:

* **Prometheus**: scrapes, and the [rules that ship](alerts.md);
* **ClickHouse**: OTLP through rotel, and the [views](views.md);
* **DuckDB**: the sealed store, and the same views;
* **diagnose**: [`radiosonde diagnose`](diagnose.md) on the store;
* **watch**: what [`radiosonde watch`](watch.md) would send.

All of them name the place that the fault was planted in. Rules and views give the figure of the last hour, findings that since their onset, so the first
three columns are of one interval and the last two of another; a test holds the last two against the views over their own interval.

| fault | place | Prometheus | ClickHouse | DuckDB | diagnose | watch |
|---|---|---|---|---|---|---|
"""

_FOOT = """
Figures: the share of failed calls of the cohort; the share of the tail's seconds that the phase has; the share of missing values; PSI, and the
factor that a finding states; the share of the answer; labels that came.

`make test-backends` runs the comparison, and the same for every rule that has a view: error rate, PSI, missing and outside shares, location, 99th
percentile, confidence, calibration error, canary difference and mean value of every model, version and feature agree to 1 %.
"""


def test_the_page_shows_what_was_planted():
    """The table has every fault with its place."""
    text = PAGE.read_text()
    for fault, planted in FAULTS.items():
        assert f"| {fault} | `{f'{planted.model} {planted.place}'.strip()}` |" in text
