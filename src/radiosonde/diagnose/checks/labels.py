"""Checks the label feed and the outcomes by version and cohort, over time, corrected for missing labels."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from radiosonde.config.values import duration_words
from radiosonde.diagnose.error_findings import MIN_OUTCOME_RISE, outcome_findings
from radiosonde.diagnose.error_signals import outcome_problems
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.label_findings import feed_finding
from radiosonde.diagnose.label_objective import label_age, objective_evidence, stale_finding
from radiosonde.diagnose.measured import wrong_rate
from radiosonde.diagnose.quality_figures import quality_figures
from radiosonde.diagnose.quality_findings import MIN_RISE, RATIO, corrected_drops, corrected_rate
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.diagnose.share_floors import ShareRule, lasting_floor
from radiosonde.diagnose.share_scan import WORLD_H, block_steps
from radiosonde.quality import label_table, lag_curves, lag_drift, watch_feed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.label_objective import LabelAge
    from radiosonde.diagnose.panel import Axis, Panel
    from radiosonde.diagnose.quality_findings import CorrectedRate
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the labels of the model of *view*."""
    age = None if view.config.slo.labels is None else label_age(view.windows, view.config.slo.labels)
    _look_at_feed(view, report, None if age is None or not age.is_stale else age)
    if age is None:
        return
    what = f"age of the newest label against its objective of {duration_words(age.bound_ns / 1e9)}"
    if not age.is_stale and not age.has_labels:
        because = f"no label has arrived yet, and the first prediction is {duration_words(age.age_ns / 1e9)} old"
        report.gap(view, what, because)
        return
    floor = Floor(age.bound_ns / 1e9, "s", f"no label of the last {duration_words(age.bound_ns / 1e9)}")
    report.passed(view, what, "labels", [floor])


def _look_at_feed(view: View, report: Report, stale: LabelAge | None) -> None:
    """Check labels and outcomes over time; a broken feed is the cause of *stale* labels."""
    feed = _look_at_outcomes(view, report)
    if stale is None:
        return
    if feed is None:
        report.add(stale_finding(view.model, stale))
        return
    report.findings.remove(feed)
    report.add(replace(feed, evidence=(*feed.evidence, objective_evidence(stale))))


def _look_at_outcomes(view: View, report: Report) -> Finding | None:
    """Check labels and outcomes over time, and return the finding on a broken feed, if any."""
    if view.too_short:
        report.gap(view, "labelled outcomes", view.too_short, "labels")
        return None
    panel, windows = view.panel, view.windows
    outcomes = int((panel.correct + panel.incorrect).sum())
    table = label_table(view.labels)
    lagged = int(table.lags.sum())
    if max(outcomes, lagged) < MIN_CALLS:
        because = f"{count(max(outcomes, lagged), 'label')} arrived; at least {MIN_CALLS} are needed"
        report.gap(view, "labelled outcomes", because, "labels")
        return None
    what = f"{count(max(outcomes, lagged), 'label')} by version, cohort and lag"
    problems = outcome_problems(panel)
    if not lagged:
        report.passed(view, what, "labels", _raw_floors(panel))
        report.add(*outcome_findings(panel, problems, shared=True))
        because = "the windows hold no label lags, so early labels cannot be weighted"
        report.gap(view, "label feed and quality", because)
        return None
    broken = None
    feed = watch_feed(view.labels, as_of_ns=table.as_of_ns, with_floor=not view.findings_only)
    if feed.unknown:
        report.gap(view, "label feed", feed.unknown)
    else:
        floors = [] if feed.is_broken else [_silence(feed.floor_s)]
        report.passed(view, "arrival of labels, compared with what traffic and usual lags predict", floors=floors)
    if feed.is_broken:
        broken = feed_finding(panel, windows, feed)
        report.add(broken)
        # Labels after a stop are not late but lost; quality is known as of then.
        table = label_table(view.labels, as_of_ns=feed.at_ns)
    curves = lag_curves(table)
    doubt = next((curve.refused for curve in curves if curve.refused), "") or next(
        (f"labels of class {drift.name} no longer have their former lag" for drift in lag_drift(table) if drift.is_material), ""
    )  # fmt: skip
    is_raw = bool(doubt) or not table.pairs.size or (feed.is_broken and not feed.is_stopped)
    report.add(*outcome_findings(panel, problems, shared=is_raw))
    rate = None if is_raw else corrected_rate(panel, view.labels, curves, table.as_of_ns, problems)
    if rate is not None:
        report.add(*corrected_drops(panel, rate, curves))
    if view.findings_only:
        return broken
    floors = _raw_floors(panel) if is_raw else [] if rate is None else [_corrected_floor(panel.axis, rate)]
    report.passed(view, what, "labels", floors)
    if doubt:
        report.gap(view, "quality corrected for early labels", doubt)
    report.quality.extend(quality_figures(view.model, view.labels, table, curves, feed))
    return broken


def _raw_floors(panel: Panel) -> list[Floor]:
    wrong, labelled = (
        part.sum(axis=(0, 1)).astype(float) for part in (panel.incorrect, panel.incorrect + panel.correct)
    )
    return [_floor(panel.axis, wrong, labelled, ShareRule(MIN_OUTCOME_RISE).of_few())]


def _corrected_floor(axis: Axis, rate: CorrectedRate) -> Floor:
    return _floor(axis, rate.hits, rate.totals, ShareRule(MIN_RISE, RATIO).of_few())


def _floor(axis: Axis, hits: NDArray[np.float64], totals: NDArray[np.float64], rule: ShareRule) -> Floor:
    """Return the smallest rise of wrong answers over the last quarter of the time, or more of it, that would have been reported."""
    rise, length = lasting_floor(axis, hits, totals, block_steps(axis, WORLD_H), rule, max(axis.size // 4, 1))
    words = f"wrong answers of all versions for {length_words(length * axis.step_ns)}"
    text = f"nothing yet of more {words}" if isnan(rise) else f"{100 * rise:.2g} points more {words}"
    return Floor(rise, "share", text)


def _silence(floor_s: float) -> Floor:
    text = (
        "nothing yet, however long labels are missing"
        if isnan(floor_s)
        else f"no label for {length_words(round(floor_s * 1e9))}"
    )
    return Floor(floor_s, "s", text)


CHECK = Check(
    name="labels",
    watches="arrival of labels, and wrong answers by version, cohort and over time",
    subject="labels",
    measures=("arrival hazard", "error rate"),
    baselines=("objective", "past", "peers"),
    scales="blocks",
    severity="ticket; note for a rise that has ended",
    look=look,
    about=("labels", "world"),
    measured=wrong_rate,
)
