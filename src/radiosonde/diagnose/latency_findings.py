"""Formulates findings of slower calls: the phase and the affected series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.finding import Bars, Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.host import HostComparison, host_of
from radiosonde.diagnose.latency_objective import ALLOWED_SLOW
from radiosonde.diagnose.latency_signals import Slower, slower_arms, slower_since
from radiosonde.diagnose.next_steps import look_at_traces, look_before
from radiosonde.diagnose.panel import MAX_STEPS, make_axis, make_panel
from radiosonde.diagnose.second_turn import second_turn_evidence, second_turn_words
from radiosonde.diagnose.severity import AffectedShares, far_slower_s, severity_of
from radiosonde.model import parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.finding import Severity
    from radiosonde.diagnose.latency_incidents import SlowSpan
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.panel import Panel
    from radiosonde.diagnose.replay import Precedent
    from radiosonde.diagnose.tail import Tail
    from radiosonde.model import Window

_OTHER = "other"
_MAIN_SHARE = 0.6
_SAME_RATIO, _SAME_S = 1.15, 0.0005
"""Up to which a mean counts as unchanged."""


class _Suffering(NamedTuple):
    """AffectedShares of slow calls.

    Attributes:
        severity: what follows from it.
        evidence: its words.
    """

    severity: Severity
    evidence: Evidence


def latency_findings(
    table: MeasureTable,
    panel: Panel,
    windows: Sequence[Window],
    spans: Sequence[SlowSpan],
    runtime: Sequence[Window],
    slo_s: float | None,
) -> list[Finding]:
    """Return the findings on slow calls, over or not: changes over time, then versions that are slower than the others all along.

    Args:
        table: the measures of the model.
        panel: its windows, laid out.
        windows: the same.
        spans: when and where calls were slower than before.
        runtime: windows with the health of the processes.
        slo_s: bound of p99 that the model's owners declared.
    """
    made, named = [], set()
    for span in spans:
        near = _near(table, windows, span)
        close = make_panel(panel.model, near, make_axis(near))
        since, is_new = slower_since(close, near, span, spans), False
        if since is None and span.place.cohort:
            close, since = _of_new_callers(panel, table, windows, span)
            is_new = since is not None
        if since is None:
            continue
        arm = None if since.arm is None else close.arms[since.arm]
        named.add(arm)
        host = host_of(windows, runtime, span.start_ns, span.end_ns or int(table.end_ns[-1]), arm)
        judged = table.calls[:, _steps(table, span.start_ns, span.judged_ns or span.end_ns)]
        impact = _impact(since, float(judged.sum()), slo_s)
        finding = replace(_finding(close, since, host, impact), opened_ns=span.opened_ns)
        finding = _about_new_callers(finding) if is_new else finding
        made.append(finding if span.second_turn is None else _about_second_turn(finding, *span.second_turn))
    for slower in slower_arms(panel, windows):
        arm = None if slower.arm is None else panel.arms[slower.arm]
        if arm in named:
            continue
        start_ns, end_ns = panel.axis.at_ns(slower.onset[0]), panel.axis.at_ns(slower.end)
        host = host_of(windows, runtime, start_ns, end_ns, arm)
        calls = float(panel.calls[:, slower.onset[0] : slower.end].sum())
        made.append(_finding(panel, slower, host, _impact(slower, calls, slo_s)))
    return made


def _steps(table: MeasureTable, start_ns: int, end_ns: int | None) -> slice:
    end = table.size if end_ns is None else int(np.searchsorted(table.start_ns, end_ns))
    return slice(int(np.searchsorted(table.start_ns, start_ns)), end)


def _impact(slower: Slower, all_calls: float, slo_s: float | None) -> _Suffering:
    """Return the calls above the objective, or those that are far slower than the slow ones were before.

    Args:
        slower: the change.
        all_calls: calls of the whole model at that time.
        slo_s: the declared bound of p99.
    """
    bound_s = far_slower_s(slower.before.quantile_s) if slo_s is None else slo_s
    share = slower.far_slower(bound_s, only_added=slo_s is None)
    part = min(slower.after.calls / max(all_calls, 1.0), 1.0)
    impact = AffectedShares(share, share * part)
    severity = severity_of(impact, None if slo_s is None else ALLOWED_SLOW)
    which = (
        f"the objective of {_ms(slo_s)}"
        if slo_s is not None
        else f"{_ms(bound_s)}, far above the slow calls {'of the others' if slower.against_others else 'before'}"
    )
    more = "" if slo_s is not None else " more than usual"
    text = f"{percent(share)} of the calls{more} took longer than {which}"
    if part < 0.995:
        text += f"; that is {percent(impact.of_all)} of all calls of the model"
    return _Suffering(severity, Evidence("suffering", impact.of_place, "share", text))


def _of_new_callers(
    panel: Panel, table: MeasureTable, windows: Sequence[Window], span: SlowSpan
) -> tuple[Panel, Slower | None]:
    """Return the change of the tail of all calls caused by a cohort without a past; None if it has one, or if the change is small."""
    wanted = parse_cohort(span.place.cohort).items()
    before = any(
        window.calls and window.start_ns < span.earliest_ns and wanted <= parse_cohort(window.key.cohort).items()
        for window in windows
    )
    if before:
        return panel, None
    of_all = span._replace(place=span.place._replace(cohort=""))
    near = _near(table, windows, of_all)
    close = make_panel(panel.model, near, make_axis(near))
    since = slower_since(close, near, of_all)
    return close, None if since is None else since._replace(cohort=span.place.cohort)


def _about_new_callers(finding: Finding) -> Finding:
    """Return *finding* reworded for callers without a known usual latency."""
    said = "These callers are new: how long their calls usually take is not known, and they are compared with all calls before. "
    severity: Severity = "ticket" if finding.severity == "page" else finding.severity
    return replace(finding, severity=severity, verdict=said + finding.verdict)


def _about_second_turn(finding: Finding, precedent: Precedent, at_ns: int) -> Finding:
    """Return *finding* reworded for what may be the second turn of a rhythm."""
    severity: Severity = "ticket" if finding.severity == "page" else finding.severity
    evidence = (*finding.evidence[:2], second_turn_evidence(precedent, at_ns), *finding.evidence[2:])
    verdict = f"{finding.verdict.rstrip()} {second_turn_words(precedent)}"
    return replace(finding, severity=severity, verdict=verdict, evidence=evidence)


def _near(table: MeasureTable, windows: Sequence[Window], span: SlowSpan) -> list[Window]:
    """Return the windows of the span and of the time before it, in as many steps as a panel keeps at the resolution of the windows."""
    start = int(np.searchsorted(table.start_ns, span.start_ns))
    # Some time after the end, so that an end is seen as one.
    over = table.size if span.end_ns is None else int(np.searchsorted(table.start_ns, span.end_ns)) + MAX_STEPS // 8
    end = min(over, table.size)
    first = max(start - max(MAX_STEPS - (end - start), MAX_STEPS // 2), 0)
    wanted = parse_cohort(span.place.cohort).items()
    low, high = int(table.start_ns[first]), int(table.end_ns[end - 1])
    return [
        window
        for window in windows
        if low <= window.start_ns < high and (not wanted or wanted <= parse_cohort(window.key.cohort).items())
    ]


def _finding(panel: Panel, slower: Slower, host: HostComparison | None, suffering: _Suffering) -> Finding:
    axis = panel.axis
    names = (*panel.phases, _OTHER)
    before, after = slower.before, slower.after
    change = after.phases_s - before.phases_s
    total = float(change.sum())
    lead = int(change.argmax())
    share = float(change[lead] / total) if total > 0 else 0.0
    one = share >= _MAIN_SHARE and bool(panel.phases)
    phase = names[lead] if one else ""
    version, variant = ("", "") if slower.arm is None else panel.arms[slower.arm]
    where = Place(panel.model, version, variant, slower.cohort, phase=phase)
    ended = None if slower.end >= axis.size else axis.at_ns(slower.end)
    whole = slower.arm is not None and not panel.calls[panel.arm_of == slower.arm][:, : slower.onset[0]].any()
    start, earliest, latest = (axis.at_ns(step) for step in slower.onset)
    onset = Onset(start, earliest, latest, ended, whole_span=whole)
    slow = f"p99 {_ms(before.quantile_s)} to {_ms(after.quantile_s)}"
    whom = [f"version {panel.arm_name(slower.arm)}"] if slower.arm is not None else []
    who = ", ".join([*whom, *([slower.cohort] if slower.cohort else [])])
    who += ": " if who else ""
    whose = f"phase {phase} made the slow calls slower" if phase else "several phases made the slow calls slower"
    title = f"{who}{whose if panel.phases else 'the slow calls became slower'}, {slow}"
    evidence = [*_phase_evidence(names, before, after), *_slow_share(panel, slower)]
    verdict = _verdict(panel, slower, phase, names, evidence) + _computing(host)
    evidence.insert(2, suffering.evidence)
    if host is not None:
        evidence.insert(2, host.evidence())  # after the latency, before the place: a report shows the first few
        if host.is_to_blame:
            verdict = f"The machine, not the model: {host.blame()}. Raise the CPU limit or add replicas."
    figures = (_timeline(panel, slower), _split(names, slower))
    return Finding(
        f"latency.{phase or 'phases'}.{version or 'all'}", "latency", suffering.severity, title, verdict, where, onset,
        confidence(slower.ln_e), tuple(evidence), (look_at_traces(where, onset), look_before(where, onset)), figures,
    )  # fmt: skip


def _phase_evidence(names: Sequence[str], before: Tail, after: Tail) -> list[Evidence]:
    made = [
        Evidence("p99_before", before.quantile_s, "s", f"p99 {_ms(before.quantile_s)} before, mean of the slowest 1 % {_ms(before.shortfall_s)}"),
        Evidence("p99_after", after.quantile_s, "s", f"p99 {_ms(after.quantile_s)} after, mean of the slowest 1 % {_ms(after.shortfall_s)}"),
    ]  # fmt: skip
    order = np.argsort(-(after.phases_s - before.phases_s))
    made.extend(
        Evidence(
            f"phase_{names[i]}", float(after.phases_s[i] - before.phases_s[i]), "s",
            f"{names[i]}: {_ms(before.phases_s[i])} to {_ms(after.phases_s[i])} of the slowest 1 % "
            f"(all calls: {_ms(before.means_s[i])} to {_ms(after.means_s[i])})",
        )
        for i in order
    )  # fmt: skip
    return made


def _slow_share(panel: Panel, slower: Slower) -> list[Evidence]:
    """Return the share of slow calls by version, and the part of its rise due to a change of traffic mix."""
    inside = slice(slower.onset[0], slower.end)
    made = [
        Evidence("mix", slower.mix, "share", f"of the rise of calls above {_ms(slower.threshold_s)}, {100 * slower.mix:+.2f} points are traffic mix, {100 * slower.within:+.2f} points are real")
    ]  # fmt: skip
    for arm in range(len(panel.arms)):
        rows = panel.arm_of == arm
        hits, calls = int(slower.hits[rows][:, inside].sum()), int(panel.calls[rows][:, inside].sum())
        out_hits, out_calls = int(slower.hits[rows].sum()) - hits, int(panel.calls[rows].sum()) - calls
        made.append(
            Evidence(
                f"slow_{panel.arm_name(arm)}", hits / max(calls, 1), "share",
                f"version {panel.arm_name(arm)}: {hits} of {calls} calls above {_ms(slower.threshold_s)}, {out_hits} of {out_calls} before",
            )
        )  # fmt: skip
    return made


def _verdict(panel: Panel, slower: Slower, phase: str, names: Sequence[str], evidence: list[Evidence]) -> str:
    if slower.against_others:
        return (
            f"The model version, not infrastructure: in the same hours and cohorts the other versions' tail is {_ms(slower.before.shortfall_s)}"
            f" against {_ms(slower.after.shortfall_s)}."
        )
    quiet = [
        name
        for index, name in enumerate(names[:-1])
        if name != phase and slower.after.means_s[index] < _SAME_RATIO * slower.before.means_s[index] + _SAME_S
    ]
    parts = [part for part in [_alike(panel, slower, evidence), *(f"{name} is unchanged" for name in quiet)] if part]
    if not phase:
        return f"Several phases, or time outside all phases ({'; '.join(parts) or 'see evidence'})."
    return f"The time is lost in {phase}" + (f"; {'; '.join(parts)}." if parts else ".")


def _computing(host: HostComparison | None) -> str:
    """Describe whether slow calls compute or wait, by the CPU time of a call; ``""`` if it was not recorded."""
    if host is None or host.other is None or not (host.now.calls and host.other.calls):
        return ""
    now, other = host.now.cpu_per_call_s, host.other.cpu_per_call_s
    if now <= _SAME_RATIO * other + _SAME_S:
        return f" Calls wait there rather than compute: a call takes {_ms(now)} of CPU, {_ms(other)} {host.word}."
    return f" Calls compute more: a call takes {_ms(now)} of CPU, {_ms(other)} {host.word}."


def _alike(panel: Panel, slower: Slower, evidence: list[Evidence]) -> str:
    """Return the words for "all versions and cohorts alike", tested on the slow share of every series, or ``""``."""
    inside = slice(slower.onset[0], slower.end)
    hits, calls = slower.hits[:, inside].sum(axis=1), panel.calls[:, inside].sum(axis=1)
    rate = hits.sum() / max(calls.sum(), 1)
    labels = [*((panel.arm_name(arm), panel.arm_of == arm) for arm in range(len(panel.arms)))]
    cohorts = sorted({key.cohort for key in panel.keys})
    labels += [(cohort or "(no cohort)", np.array([key.cohort == cohort for key in panel.keys])) for cohort in cohorts]
    worst, name = 0.0, ""
    for label, rows in labels:
        n = calls[rows].sum()
        if n and n < calls.sum():
            z = float((hits[rows].sum() - n * rate) / np.sqrt(max(n * rate * (1 - rate), 1e-12)))
            if z > worst and hits[rows].sum() >= 5:
                worst, name = z, label
    if len(labels) < 3:
        return ""
    if worst < 4:
        evidence.append(
            Evidence(
                "most_uneven",
                round(worst, 2),
                "sd",
                f"most affected: {name or 'nobody'}, {worst:.1f} sd above the average of all",
            )
        )
        return "all versions and cohorts alike"
    evidence.append(
        Evidence("most_uneven", round(worst, 2), "sd", f"{name} is {worst:.1f} sd above the average of all")
    )
    return f"most of all {name}"


def _timeline(panel: Panel, slower: Slower) -> Timeline:
    block = max(1, panel.axis.size // 96)
    edges = np.arange(0, panel.axis.size, block)
    groups = [("all calls", np.ones(len(panel.keys), dtype=bool))]
    if slower.arm is not None:
        mine = panel.arm_of == slower.arm
        groups = [(panel.arm_name(slower.arm), mine), ("others", ~mine)]
    lines = []
    for label, rows in groups:
        hits, calls = (np.add.reduceat(table[rows].sum(axis=0), edges) for table in (slower.hits, panel.calls))
        lines.append((label, [float(h / c) if c else None for h, c in zip(hits, calls, strict=True)]))
    return Timeline(
        f"share of calls above {_ms(slower.threshold_s)}", "share", [panel.axis.at_ns(int(e)) for e in edges], lines
    )


def _split(names: Sequence[str], slower: Slower) -> Bars:
    first, second = ("other versions", "this version") if slower.against_others else ("before", "after")
    groups = [
        (first, [1000 * float(v) for v in slower.before.phases_s]),
        (second, [1000 * float(v) for v in slower.after.phases_s]),
    ]
    return Bars("slowest 1 % of calls: where the time goes", names, groups, unit="ms", stacked=True)


def _ms(seconds: float) -> str:
    milli = 1000 * float(seconds)
    return f"{milli:.0f} ms" if milli >= 99.5 else f"{milli:.1f} ms" if milli >= 1 else f"{milli:.2g} ms"
