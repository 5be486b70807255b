"""Checks the label feed and the outcomes by version and cohort, over time, corrected for missing labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radiosonde.config.values import duration_words
from radiosonde.diagnose.error_findings import outcome_findings
from radiosonde.diagnose.error_signals import outcome_problems
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.label_findings import feed_finding
from radiosonde.diagnose.label_objective import label_age, objective_evidence, stale_finding
from radiosonde.diagnose.quality_figures import quality_figures
from radiosonde.diagnose.quality_findings import corrected_drops
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.quality import label_table, lag_curves, lag_drift, watch_feed

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.label_objective import LabelAge
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Look at the labels of the model of *view*."""
    age = None if view.config.slo.labels is None else label_age(view.windows, view.config.slo.labels)
    _look_at_feed(view, report, None if age is None or not age.is_stale else age)
    if age is None:
        return
    what = f"age of the newest label against its objective of {duration_words(age.bound_ns / 1e9)}"
    if not age.is_stale and not age.has_labels:
        because = f"no label came yet, and the first prediction is {duration_words(age.age_ns / 1e9)} old"
        report.gap(view, what, because)
        return
    floor = Floor(age.bound_ns / 1e9, "s", f"no label of the last {duration_words(age.bound_ns / 1e9)}")
    report.passed(view, what, "labels", [floor])


def _look_at_feed(view: View, report: Report, stale: LabelAge | None) -> None:
    """Look at labels and outcomes over time; of *stale* labels a broken feed is the cause."""
    feed = _look_at_outcomes(view, report)
    if stale is None:
        return
    if feed is None:
        report.add(stale_finding(view.model, stale))
        return
    report.findings.remove(feed)
    report.add(replace(feed, evidence=(*feed.evidence, objective_evidence(stale))))


def _look_at_outcomes(view: View, report: Report) -> Finding | None:
    """Look at labels and outcomes over time, and return the finding on a broken feed, if there is one."""
    if view.too_short:
        report.gap(view, "labelled outcomes", view.too_short, "labels")
        return None
    panel, windows = view.panel, view.windows
    outcomes = int((panel.correct + panel.incorrect).sum())
    table = label_table(windows)
    lagged = int(table.lags.sum())
    if max(outcomes, lagged) < MIN_CALLS:
        because = f"{count(max(outcomes, lagged), 'label')} came; it takes {MIN_CALLS}"
        report.gap(view, "labelled outcomes", because, "labels")
        return None
    report.passed(view, f"{count(max(outcomes, lagged), 'label')} by version, cohort and lag", "labels")
    problems = outcome_problems(panel)
    if not lagged:
        report.add(*outcome_findings(panel, problems, shared=True))
        because = "the windows hold no label lags, so what early labels stand for is not known"
        report.gap(view, "label feed and quality", because)
        return None
    broken = None
    feed = watch_feed(windows, as_of_ns=table.as_of_ns)
    if feed.unknown:
        report.gap(view, "label feed", feed.unknown)
    else:
        report.passed(view, "arrival of labels against what traffic and their usual lags lead to expect")
    if feed.is_broken:
        broken = feed_finding(panel, windows, feed)
        report.add(broken)
        # Labels after a stop are not late but lost; what is known is what was known then.
        table = label_table(windows, as_of_ns=feed.at_ns)
    curves = lag_curves(table)
    doubt = next((curve.refused for curve in curves if curve.refused), "") or next(
        (f"labels of class {drift.name} no longer come as late as they did" for drift in lag_drift(table) if drift.is_material), ""
    )  # fmt: skip
    is_raw = bool(doubt) or not table.pairs.size or (feed.is_broken and not feed.is_stopped)
    report.add(*outcome_findings(panel, problems, shared=is_raw))
    if not is_raw:
        report.add(*corrected_drops(panel, windows, curves, table.as_of_ns, problems))
    if doubt:
        report.gap(view, "quality corrected for early labels", doubt)
    report.quality.extend(quality_figures(view.model, windows, table, curves, feed))
    return broken


CHECK = Check(
    name="labels",
    watches="arrival of labels, and wrong answers by version, cohort and over time",
    subject="labels",
    measures=("arrival hazard", "error rate"),
    baselines=("objective", "past", "peers"),
    scales="blocks",
    severity="ticket; a rise that is over is a note",
    look=look,
)
