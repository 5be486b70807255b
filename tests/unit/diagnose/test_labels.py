"""Diagnosis of labels: a stopped feed, known quality, and unknown quality."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from benchmarks.quality.bench_labels import HOUR_S
from benchmarks.quality.label_stream import DAY_S, START_NS, Stream, stream, windows
from radiosonde.diagnose import check, print_diagnosis, render_html

HOUR_NS = 3_600 * 10**9
REQUIRED = ("errors", "labels")
"""Subjects that the streams hold: their calls have no durations."""


def quick(days, seed, **drift):
    """Return a stream whose labels take hours: 3 for negatives, 9 for positives."""
    made = stream(days, seed=seed, **drift)
    lag_h = np.array([3.0, 9.0])[made.label] * np.exp(np.random.default_rng(seed).normal(0, 0.8, made.at_s.size))
    return Stream(made.at_s, made.score, made.label, lag_h * HOUR_S)


def text(diagnosis):
    """Return the diagnosis as people read it in a terminal."""
    out = io.StringIO()
    print_diagnosis(diagnosis, Console(file=out, width=400), command=str)
    return out.getvalue()


@pytest.fixture(scope="module", name="stopped")
def diagnosis_of_a_stopped_feed():
    """Return the diagnosis of three weeks whose labels stopped 12 hours before the end."""
    return check(windows(quick(21, 1), as_of_s=21 * DAY_S, step_s=HOUR_S, stopped_s=20.5 * DAY_S), {})


def test_a_stopped_feed_is_a_finding_with_its_time(stopped):
    """The moment within an hour, one ticket, and the query that shows it."""
    (finding,) = stopped.findings
    assert (finding.name, finding.kind, finding.severity) == ("label.feed.all", "label", "ticket")
    assert finding.title == "labels stopped at 2013-03-21T11:55Z"
    assert abs(finding.onset.at_ns - START_NS - 20.5 * 24 * HOUR_NS) < HOUR_NS
    assert finding.onset.earliest_ns <= finding.onset.at_ns <= finding.onset.latest_ns
    assert "json_each(labels, '$.outcomes')" in finding.next_steps[0].command


def test_a_stopped_feed_leaves_no_quality_figure_to_print(stopped):
    """The reason stands where the figure would; what confidence leads to expect is called that."""
    said = text(stopped)
    assert "error rate is unknown: labels stopped at 2013-03-21T11:55Z; confidence alone predicts 0.1" in said
    assert all(np.isnan(figure.corrected.value) and np.isnan(figure.raw.value) for figure in stopped.quality)
    assert "error rate is unknown" in render_html(stopped, title="t", command=str)
    document = json.loads(json.dumps(stopped.to_json(), allow_nan=False))
    assert document["quality"][0]["corrected"]["value"] is None
    assert document["quality"][0]["corrected"]["refused"] == "labels stopped at 2013-03-21T11:55Z"


def test_a_healthy_feed_gives_figures_with_interval_and_coverage():
    """Both scores of each version, no finding."""
    made = windows(quick(21, 2), as_of_s=21 * DAY_S, step_s=HOUR_S)
    canary = [replace(window, key=window.key._replace(version="2")) for window in windows(quick(21, 3), as_of_s=21 * DAY_S, step_s=HOUR_S)]  # fmt: skip
    diagnosis = check([*made, *canary], {}, require=REQUIRED)
    assert diagnosis.healthy
    assert [(figure.where.version, figure.metric) for figure in diagnosis.quality] == [
        ("1", "error_rate"), ("1", "auc"), ("2", "error_rate"), ("2", "auc"),
    ]  # fmt: skip
    for figure in diagnosis.quality[::2]:
        assert figure.corrected.low < 0.138 < figure.corrected.high
        assert figure.corrected.coverage > 0.9
    assert "1: error rate 0.1" in text(diagnosis)


def test_quality_of_predictions_too_young_for_the_slow_class_is_refused():
    """After 20 days of history with a median lag of 10, the curve itself is not known; the report says which."""
    diagnosis = check(windows(stream(20, seed=4), as_of_s=20 * DAY_S), {})
    assert "error rate is unknown: labels of class 1 still arrive at the age of the oldest predictions" in text(
        diagnosis
    )
    assert any(gap.check == "quality corrected for early labels" for gap in diagnosis.not_checked)


def test_a_concept_drift_behind_slow_labels_is_found_and_named():
    """Arrived labels of the last three weeks look better than ever; corrected ones show the rise and its day."""
    diagnosis = check(windows(stream(91, seed=3, drift_day=70), as_of_s=91 * DAY_S, step_s=6 * HOUR_S), {})
    (finding,) = diagnosis.findings
    assert (finding.name, finding.severity) == ("quality.corrected.all", "ticket")
    assert abs(finding.onset.at_ns - START_NS - 70 * 24 * HOUR_NS) <= 36 * HOUR_NS
    assert "concept drift" in finding.verdict
    evidence = {item.name: item.value for item in finding.evidence}
    assert evidence["error_before"] == pytest.approx(0.138, abs=0.01)
    assert evidence["error_after"] == pytest.approx(0.193, abs=0.02)
    assert evidence["error_foreseen"] == pytest.approx(0.138, abs=0.01)
    young = diagnosis.quality[0]
    assert young.raw.value < 0.1 < young.corrected.low


def test_scores_that_foresee_the_errors_are_not_called_concept_drift():
    """When inputs move to where the model is unsure, the finding says so."""
    made, harder = quick(21, 5), quick(21, 6)
    late = made.at_s >= 12 * DAY_S
    unsure = np.clip(0.5 + (harder.score - 0.5) * 0.4, 0.01, 0.99)
    label = np.where(late, np.random.default_rng(7).uniform(size=late.size) < unsure, made.label).astype(np.int64)
    lag_s = made.lag_s * np.where(label == made.label, 1.0, np.where(label == 1, 3.0, 1 / 3))
    moved = Stream(made.at_s, np.where(late, unsure, made.score), label, lag_s)
    diagnosis = check(windows(moved, as_of_s=21 * DAY_S, step_s=HOUR_S), {})
    (finding,) = diagnosis.findings
    (note,) = diagnosis.notes
    assert (finding.name, finding.severity) == ("answers.shift.all", "page")
    assert any(entry.text.startswith("explains: wrong answers rose from") for entry in finding.evidence)
    assert (note.name, note.severity) == ("quality.corrected.all", "info")
    assert note.verdict.startswith("The scores predicted it")


@pytest.mark.parametrize("seed", range(4))
def test_slow_labels_and_no_change_are_no_finding(seed):
    """Neither the feed nor the quality, though raw figures of young predictions look far better than old ones."""
    made = windows(stream(91, seed=seed), as_of_s=91 * DAY_S, step_s=6 * HOUR_S)
    assert check(made, {}, require=REQUIRED).healthy


def test_windows_without_lags_are_checked_as_before_and_say_what_is_missing():
    """Outcomes alone still compare versions; feed and quality are listed as not checked."""
    made = windows(quick(21, 8), as_of_s=21 * DAY_S, step_s=HOUR_S)
    bare = [replace(w, labels=replace(w.labels, lags=np.zeros((0, 0), np.int64), joint={})) for w in made if w.labels]
    diagnosis = check(bare, {})
    assert "label feed and quality" in {gap.check for gap in diagnosis.not_checked}
    assert diagnosis.quality == ()
