"""`check`: from windows and references to a `Diagnosis`. Pure: no clock, no file, no state; the same windows give the same findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radiosonde.diagnose.data_findings import data_findings
from radiosonde.diagnose.error_findings import error_findings, outcome_findings
from radiosonde.diagnose.error_signals import outcome_problems
from radiosonde.diagnose.feature_panel import FeaturePanel, make_feature_panels
from radiosonde.diagnose.finding import Diagnosis, Finding, NotChecked, Place, QualityFigure
from radiosonde.diagnose.label_findings import feed_finding
from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.panel import Panel, make_axis, make_panel
from radiosonde.diagnose.quality_figures import quality_figures
from radiosonde.diagnose.quality_findings import corrected_drops
from radiosonde.diagnose.unit_break import has_lattice
from radiosonde.errors import RadiosondeError
from radiosonde.model import RUNTIME_MODEL
from radiosonde.quality import label_table, lag_curves, lag_drift, watch_feed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

MIN_STEPS = 16
MIN_CALLS = 200
_SEVERITY = {"page": 0, "ticket": 1, "info": 2}


class NothingToCheckError(RadiosondeError):
    """There is not one window to look at; the message says what was looked for."""


def check(
    windows: Iterable[Window], references: Mapping[tuple[str, str], Reference], *, model: str | None = None
) -> Diagnosis:
    """Diagnose *windows*: what is wrong, where, since when, how sure, and what could not be checked.

    Args:
        windows: windows of any models, in any order; parts of one window count together. Windows with the health of
            the processes are evidence beside latency findings and count for nothing else.
        references: reference profile by (model, version); checks that need one say so when it is missing.
        model: look at this model only.

    Raises:
        NothingToCheckError: no window is left.
    """
    given = list(windows)
    runtime = [window for window in given if window.key.model == RUNTIME_MODEL]
    chosen = [window for window in given if window.key.model != RUNTIME_MODEL and model in (None, window.key.model)]
    if not chosen:
        what = f"of model {model!r} " if model else ""
        raise NothingToCheckError(
            f"there is no window {what}to diagnose; check --model, --since and --until, or let the model serve first"
        )
    report = _Report()
    for name in sorted({window.key.model for window in chosen}):
        _check_model(name, [window for window in chosen if window.key.model == name], runtime, references, report)
    report.findings.sort(key=lambda finding: (_SEVERITY[finding.severity], -finding.confidence.ln_e))
    return Diagnosis(
        findings=tuple(finding for finding in report.findings if finding.severity != "info"),
        notes=(*(finding for finding in report.findings if finding.severity == "info"), *report.notes),
        not_checked=tuple(report.gaps),
        checked=tuple(report.checked),
        start_ns=min(window.start_ns for window in chosen),
        end_ns=max(window.end_ns for window in chosen),
        calls=sum(window.calls for window in chosen),
        windows=len(chosen),
        quality=tuple(report.quality),
    )


@dataclass(slots=True)
class _Report:
    """What has been found so far."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    gaps: list[NotChecked] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    quality: list[QualityFigure] = field(default_factory=list)


def _check_model(
    name: str,
    windows: list[Window],
    runtime: list[Window],
    references: Mapping[tuple[str, str], Reference],
    report: _Report,
) -> None:
    panel = make_panel(name, windows, make_axis(windows))
    calls = int(panel.calls.sum())
    where = Place(name)
    if panel.axis.size < MIN_STEPS or calls < MIN_CALLS:
        because = (
            f"there are {_count(calls, 'call')} in {_count(panel.axis.size, 'step')} of time; "
            f"it takes {MIN_CALLS} calls in {MIN_STEPS} steps to know what is usual"
        )
        report.gaps.append(NotChecked("everything", where, because))
        return
    report.findings.extend(error_findings(panel))
    versions = f"{_count(len(panel.arms), 'version')} and {_cohorts(panel)}"
    report.checked.append(f"{name}: failures of {_count(calls, 'call')} by {versions}")
    if len(panel.arms) < 2:
        because = "there is one version only; a canary gives the comparison"
        report.gaps.append(NotChecked("versions against each other", where, because))
    _check_labels(panel, windows, report)
    slow, passed = latency_findings(panel, windows, runtime)
    report.findings.extend(slow)
    report.notes.extend(passed)
    report.checked.append(f"{name}: tail latency over time and by version, {_count(len(panel.phases), 'phase')}")
    if not panel.phases:
        because = "no phases were recorded; mark them with radiosonde.stage(...)"
        report.gaps.append(NotChecked("latency by phase", where, because))
    if (slow or passed) and not runtime:
        because = "nobody counted the health of the processes (RADIOSONDE_RUNTIME is off, or Radiosonde was older)"
        report.gaps.append(NotChecked("the machine while calls were slow", where, because))
    _check_features(panel, windows, references, report)


def _check_labels(panel: Panel, windows: list[Window], report: _Report) -> None:
    name, where = panel.model, Place(panel.model)
    outcomes = int((panel.correct + panel.incorrect).sum())
    table = label_table(windows)
    lagged = int(table.lags.sum())
    if max(outcomes, lagged) < MIN_CALLS:
        because = f"{_count(max(outcomes, lagged), 'label')} came; it takes {MIN_CALLS}"
        report.gaps.append(NotChecked("labelled outcomes", where, because))
        return
    report.checked.append(f"{name}: {_count(max(outcomes, lagged), 'label')} by version, cohort and lag")
    problems = outcome_problems(panel)
    if not lagged:
        report.findings.extend(outcome_findings(panel, problems, shared=True))
        because = "the windows hold no label lags, so what early labels stand for is not known"
        report.gaps.append(NotChecked("label feed and quality", where, because))
        return
    feed = watch_feed(windows, as_of_ns=table.as_of_ns)
    if feed.unknown:
        report.gaps.append(NotChecked("label feed", where, feed.unknown))
    else:
        report.checked.append(f"{name}: arrival of labels against what traffic and their usual lags lead to expect")
    if feed.is_broken:
        report.findings.append(feed_finding(panel, windows, feed))
        # Labels after a stop are not late but lost; what is known is what was known then.
        table = label_table(windows, as_of_ns=feed.at_ns)
    curves = lag_curves(table)
    doubt = next((curve.refused for curve in curves if curve.refused), "") or next(
        (f"labels of class {drift.name} no longer come as late as they did" for drift in lag_drift(table) if drift.is_material), ""
    )  # fmt: skip
    is_raw = bool(doubt) or not table.pairs.size or (feed.is_broken and not feed.is_stopped)
    report.findings.extend(outcome_findings(panel, problems, shared=is_raw))
    if not is_raw:
        report.findings.extend(corrected_drops(panel, windows, curves, table.as_of_ns, problems))
    if doubt:
        report.gaps.append(NotChecked("quality corrected for early labels", where, doubt))
    report.quality.extend(quality_figures(name, windows, table, curves, feed))


def _check_features(
    panel: Panel, windows: list[Window], references: Mapping[tuple[str, str], Reference], report: _Report
) -> None:
    name, where = panel.model, Place(panel.model)
    panels = make_feature_panels(windows, references, panel.axis)
    if not panels:
        report.gaps.append(NotChecked("features", where, "no features were recorded"))
    for features in panels:
        rows = round(float(features.cells[:, :, 0].sum()))
        if rows < MIN_CALLS:
            because = f"{_count(rows, 'row')} were counted on one of {len(panels)} grids; it takes {MIN_CALLS}"
            report.gaps.append(NotChecked("features", where, because))
            continue
        found, moved = data_findings(features)
        report.findings.extend(found)
        report.notes.extend(moved)
        amount = f"{_count(len(features.names), 'feature')} of {_count(rows, 'row')}"
        report.checked.append(f"{name}: {amount} for unit, range, missing, unseen, stuck, level and spread")
        report.gaps.extend(_feature_gaps(name, features))


def _feature_gaps(name: str, features: FeaturePanel) -> list[NotChecked]:
    gaps = []
    if all(profile is None for profile in features.profiles):
        because = "there is no reference profile; make one with radiosonde reference build"
        gaps.append(NotChecked("range, level and spread", Place(name), because))
    elif features.provisional:
        because = (
            "the reference is provisional, made of the first rows seen: what was wrong from the start looks normal"
        )
        gaps.append(NotChecked("features against training data", Place(name), because))
    numeric = [feature for index, feature in enumerate(features.names) if not features.is_categorical(index)]
    blind = [feature for feature in numeric if feature not in features.retained]
    if blind:
        because = "no sketches hold its values (pii or switched off); cells alone see large conversions only"
        gaps.append(NotChecked("units of " + ", ".join(blind), Place(name), because))
    smooth = [
        feature for feature in numeric if feature in features.retained and not has_lattice(features.retained[feature])
    ]
    if smooth:
        because = "values are too fine or too few to sit on a grid; only the level can show a changed unit"
        gaps.append(NotChecked("units by grid of " + ", ".join(smooth), Place(name), because))
    if features.unreadable_sketches:
        gaps.append(NotChecked("some sketches", Place(name), f"{features.unreadable_sketches} could not be read"))
    return gaps


def _cohorts(panel: Panel) -> str:
    return _count(len({key.cohort for key in panel.keys if key.cohort}), "cohort")


def _count(number: int, noun: str) -> str:
    return f"{number:,}".replace(",", " ") + f" {noun}" + ("" if number == 1 else "s")
