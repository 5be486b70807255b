"""`check`: from windows and references to a `Diagnosis`. Pure: no clock, no file, no state; the same windows give the same findings.

The checks are discovered by `radiosonde.diagnose.registry`; none is named here. The status of the whole diagnosis is decided by
`radiosonde.diagnose.status`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Diagnosis, LeftOut, NotChecked, Place
from radiosonde.diagnose.fold import fold
from radiosonde.diagnose.hypotheses import weigh
from radiosonde.diagnose.incidents import name_incidents
from radiosonde.diagnose.known_bad import add_hidden, can_be_spoiled, going_on, in_force, look_again, view_without
from radiosonde.diagnose.lost import hole_words, unseen_models
from radiosonde.diagnose.policy import Policy
from radiosonde.diagnose.registry import Report, View, all_checks
from radiosonde.diagnose.status import missing_checks, required_subjects, window_length_ns
from radiosonde.model import RUNTIME_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.known_bad import KnownBad
    from radiosonde.diagnose.registry import Check
    from radiosonde.diagnose.status import Freshness
    from radiosonde.diagnose.verification import MeasuredRate
    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

_SEVERITY = {"page": 0, "ticket": 1, "info": 2}


def check(
    windows: Iterable[Window],
    references: Mapping[tuple[str, str], Reference],
    *,
    model: str | None = None,
    require: Collection[str] | None = None,
    freshness: Freshness | None = None,
    past: bool = False,
    policy: Policy | None = None,
) -> Diagnosis:
    """Diagnose *windows*: what is wrong, where, since when, with which confidence, and what could not be checked.

    Args:
        windows: windows of any models, in any order; parts of one window count together. Windows with the health of
            the processes are evidence beside latency findings and count for nothing else. Without any, the status is
            ``not checked``.
        references: reference profile by (model, version); checks that need one report a gap when it is missing.
        model: check this model only.
        require: subjects (of `radiosonde.diagnose.status.SUBJECTS`) without which no model is healthy; None for errors,
            latency, and features where there is a fitted reference.
        freshness: when the store was last written to; None to take the data for fresh.
        policy: declared objectives, owners and excluded intervals.
        past: check a past interval: ended incidents count, and nothing is stale.
    """
    given, policy = list(windows), policy or Policy()
    runtime = [window for window in given if window.key.model == RUNTIME_MODEL]
    counting = [window for window in given if not window.is_of_sketches]
    chosen = [window for window in counting if window.key.model != RUNTIME_MODEL and model in (None, window.key.model)]
    written_ns = None if freshness is None else freshness.written_ns
    lost = unseen_models({window.key.model for window in chosen}, runtime, model)
    if not chosen and lost:
        return Diagnosis((), (), (), (), 0, 0, 0, 0, missing=tuple(lost), written_ns=written_ns)
    if not chosen:
        return _nothing(model or "", sorted({window.key.model for window in given} - {RUNTIME_MODEL}), written_ns)
    whole, missing, left_out = Report(), [], []
    for name in sorted({window.key.model for window in chosen}):
        view, excluded = _view(name, given, runtime, references, past=past, policy=policy)
        mine = [window for window in chosen if window.key.model == name]
        reports, ended = _reports(view)
        left_out += [
            LeftOut(Place(name), each.start_ns, each.end_ns, each.why, each.number) for each in (*excluded, *ended)
        ]
        for each in going_on(policy.known_bad, name, mine):
            because = f"exclusion {each.number} reaches to the last window; ongoing incidents are still checked"
            whole.gap(view, "an excluded interval", because)
        name_incidents(view.table, reports, policy.marks, window_length_ns(view.windows))
        whole.add_all(_attributed(view, reports))
        missing += missing_checks(name, required_subjects(name, references, require), whole.checked, whole.gaps)
    whole.gaps += lost
    missing += lost + policy.gaps()
    whole.findings.sort(key=lambda finding: (_SEVERITY[finding.severity], -finding.confidence.ln_e))
    whole.notes.sort(key=lambda finding: -finding.confidence.ln_e)
    found = [policy.with_responsible(finding) for finding in whole.findings]
    return Diagnosis(
        findings=tuple(finding for finding in found if finding.state != "muted"),
        notes=tuple(policy.with_responsible(note) for note in whole.notes),
        not_checked=tuple(whole.gaps),
        checked=tuple(whole.checked),
        start_ns=min(window.start_ns for window in chosen),
        end_ns=max(window.end_ns for window in chosen),
        calls=sum(window.calls for window in chosen if window.key.kind == "model"),
        requests=sum(window.calls for window in chosen if window.key.kind == "request"),
        windows=len(chosen),
        quality=tuple(whole.quality),
        missing=tuple(missing),
        is_stale=freshness is not None and not past and freshness.is_stale(window_length_ns(chosen)),
        written_ns=written_ns,
        left_out=tuple(left_out),
        hypotheses=tuple(whole.hypotheses),
        muted=tuple(finding for finding in found if finding.state == "muted"),
    )


def view_of(
    windows: Iterable[Window], references: Mapping[tuple[str, str], Reference], model: str, policy: Policy
) -> View:
    """Return the view of *model* for the checks: of all *windows*, without the time that *policy* excludes."""
    given = list(windows)
    runtime = [window for window in given if window.key.model == RUNTIME_MODEL]
    return _view(model, given, runtime, references, past=False, policy=policy)[0]


def rate_of(
    finding: Finding, windows: Iterable[Window], references: Mapping[tuple[str, str], Reference], policy: Policy
) -> MeasuredRate | None:
    """Return the rate by which the incident *finding* is verified; None if only its state is used.

    Args:
        finding: the incident.
        windows: windows of any models and of the processes.
        references: reference by (model, version).
        policy: declarations and exclusions, as for `check`.
    """
    declared = next((each.measured for each in all_checks() if each.name == finding.check), None)
    return None if declared is None else declared(view_of(windows, references, finding.where.model, policy), finding)


def _view(
    name: str, given: list[Window], runtime: list[Window], references: Mapping[tuple[str, str], Reference], *, past: bool, policy: Policy
) -> tuple[View, list[KnownBad]]:  # fmt: skip
    """Return the view of model *name* for the checks, and the applied exclusions."""
    counting = [window for window in given if not window.is_of_sketches]
    mine = [window for window in counting if window.key.model == name]
    sketched = [window for window in given if window.key.model == name and window.is_of_sketches]
    beside = sorted({(each.start_ns, each.end_ns) for each in counting if each.key.model not in (name, RUNTIME_MODEL)})
    view = View(name, mine, runtime, references, past, beside, policy.configuration.of(name), sketched)
    excluded = in_force(policy.known_bad, name, mine)
    return view_without(view, excluded), excluded


def _reports(view: View) -> tuple[dict[Check, Report], list[KnownBad]]:
    """Return the report of each check on the model of *view*, and the ended incidents excluded from baselines."""
    window_ns = window_length_ns(view.windows)
    reports = _look(view, window_ns)
    again = look_again(view, reports)
    if again is None:
        return reports, []
    rest, ended = again
    add_hidden(reports, _look(rest, window_ns, can_be_spoiled), ended, window_ns)
    fold(reports, window_ns)
    return reports, ended


def _look(view: View, window_ns: int, is_chosen: Callable[[Check], bool] = lambda _: True) -> dict[Check, Report]:
    reports = {each: each.examine(view) for each in all_checks() if is_chosen(each)}
    if not view.wants_past:
        for report in reports.values():
            report.settle()
    fold(reports, window_ns)
    return reports


def _attributed(view: View, reports: Mapping[Check, Report]) -> Report:
    """Merge all *reports*, with their evidence and that of losses on the possible causes; a check with findings rules out no cause."""
    whole = Report()
    for each, report in reports.items():
        is_clear = not report.findings and not any(note.onset.ended_ns is None for note in report.notes)
        about = each.about if is_clear else ()
        report.checked = [replace(said, about=about, name=each.name) for said in report.checked]
        report.gaps = [replace(said, about=each.about, name=each.name) for said in report.gaps]
        whole.add_all(report)
    lost = "" if view.hole is None else hole_words(view.hole)
    whole.hypotheses += weigh(view.model, whole.findings, whole.checked, whole.gaps, lost)
    if lost:
        whole.gap(view, "what was lost", lost)
    return whole


def _nothing(model: str, others: list[str], written_ns: int | None) -> Diagnosis:
    if model and others:
        because = f"there is no window of model {model!r}; there are windows of {', '.join(map(repr, others))}"
    else:
        what = f"of model {model!r} " if model else ""
        because = (
            f"there is no window {what}to look at; check --model, --since and --until, or let the model serve first"
        )
    gap = NotChecked("everything", Place(model), because, "all")
    return Diagnosis((), (), (), (), 0, 0, 0, 0, missing=(gap,), written_ns=written_ns)
