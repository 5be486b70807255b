"""Formulates the findings of the data checks: one finding per cause."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.data_signals import LARGE_RISE, TICKET_LN_E, TRANSIENT_H, Signal, find_signals
from radiosonde.diagnose.finding import Bars, Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_at_cells, look_before
from radiosonde.diagnose.version_scope import VersionScope, scope_words
from radiosonde.model import ABOVE, BELOW, NULL, UNSEEN
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import FeaturePanel
    from radiosonde.diagnose.finding import Kind, Severity

_BREAKS = ("unit", "far", "stuck", "range", "location", "spread")
"""Signals of one cause, most specific first; missing and unseen are separate causes."""


def data_findings(panel: FeaturePanel) -> tuple[list[Finding], list[Finding]]:
    """Return (findings, notes) of one panel; features that go missing together make one finding."""
    by_feature: dict[int, list[Signal]] = {}
    missing: list[Signal] = []
    for signal in find_signals(panel):
        if signal.check == "missing":
            missing.append(signal)
        else:
            by_feature.setdefault(signal.feature, []).append(signal)
    made = [_missing(panel, group) for group in _together(panel, missing)]
    for signals in by_feature.values():
        breaks = sorted((s for s in signals if s.check in _BREAKS), key=lambda signal: _BREAKS.index(signal.check))
        made.extend(_unseen(panel, signal) for signal in signals if signal.check == "unseen")
        if breaks:
            made.append(_break(panel, breaks))
        shares = [signal for signal in signals if signal.check.startswith("category:")]
        if shares:
            made.append(_category(panel, max(shares, key=lambda signal: signal.ln_e)))
    made.sort(key=lambda finding: -finding.confidence.ln_e)
    return [f for f in made if f.severity != "info"], [f for f in made if f.severity == "info"]


def _together(panel: FeaturePanel, missing: Sequence[Signal]) -> list[list[Signal]]:
    groups: list[list[Signal]] = []
    near = panel.axis.steps(3)
    for signal in sorted(missing, key=lambda s: -s.ln_e):
        for group in groups:
            lead = group[0]
            if (
                abs(lead.start - signal.start) <= near
                and abs(lead.end - signal.end) <= 2 * near
                and lead.versions == signal.versions
            ):
                group.append(signal)
                break
        else:
            groups.append([signal])
    return groups


def _missing(panel: FeaturePanel, group: Sequence[Signal]) -> Finding:
    signal, names = group[0], [panel.names[signal.feature] for signal in group]
    over, short = _over_and_short(panel, signal)
    # A short burst is a note until fresh hours confirm it, unless it is as large as only a broken feed is.
    severity: Severity = "info" if short and (over or signal.after - signal.before < LARGE_RISE) else "page"
    several = f" (with {', '.join(names[1:])})" if len(names) > 1 else ""
    ended = ", and stopped again" if over else ", not yet confirmed" if severity == "info" else ""
    title = f"{names[0]}{several}: missing values rose from {percent(signal.before)} to {percent(signal.after)}{ended}"
    verdict = (
        "The pipeline no longer delivers this value. "
        + ("Several features at once: check what they share (a feed, a join). " if len(names) > 1 else "")
        + _spread_over(panel, signal)
    )
    evidence = [
        Evidence(f"missing_{when}", value, "share", f"{percent(value)} of the rows had no {names[0]} {when}")
        for when, value in (("before", signal.before), ("after", signal.after))
    ]
    return _finding(panel, signal, "missing", (title, verdict), evidence, severity)


def _over_and_short(panel: FeaturePanel, signal: Signal) -> tuple[bool, bool]:
    """Return whether the segment has ended, and whether it is shorter than a day."""
    return signal.end < panel.axis.size, signal.end - signal.start < panel.axis.steps(TRANSIENT_H)


def _unseen(panel: FeaturePanel, signal: Signal) -> Finding:
    name = panel.names[signal.feature]
    what = (
        "categories that are not in the reference"
        if panel.is_categorical(signal.feature)
        else "values that are not numbers"
    )
    title = f"{name}: {what} rose from {percent(signal.before)} to {percent(signal.after)}"
    verdict = (
        "A value was renamed, added upstream or encoded differently; the model was not trained on it. "
        + _spread_over(panel, signal)
    )
    evidence = [
        Evidence(f"unseen_{when}", value, "share", f"{percent(value)} of the rows were unseen {when}")
        for when, value in (("before", signal.before), ("after", signal.after))
    ]
    return _finding(panel, signal, "unseen", (title, verdict), evidence, "page")


def _break(panel: FeaturePanel, breaks: Sequence[Signal]) -> Finding:
    signal = breaks[0]
    name = panel.names[signal.feature]
    fit = next((s.fit for s in breaks if s.fit is not None), None)
    ln_e = max(s.ln_e for s in breaks)
    evidence: list[Evidence] = []
    check = signal.check
    severity: Severity = "page"
    if signal.check in ("location", "spread") and fit is None:
        return _drift(panel, signal)
    if fit is not None:
        check = "unit"
        factor = fit.conversion.factor
        offset = f" and {fit.conversion.offset:+.4g}" if fit.conversion.offset else ""
        likely = f": {fit.conversion.name}" if fit.conversion.name else ""
        title = f"{name} arrives in another unit, x {fit.estimated:.4g}{offset}{likely}"
        how = (
            f"{percent(fit.share)} of the odd values return exactly to the old grid of values"
            if fit.by == "lattice"
            else "the quantiles before and after line up"
        )
        verdict = f"Undoing that conversion, {how}: a unit or scale change upstream, not drift. " + _spread_over(
            panel, signal
        )
        evidence.append(
            Evidence(
                "factor",
                round(fit.estimated, 6),
                "",
                f"estimated factor {fit.estimated:.5g}; named conversion {factor:.6g}",
            )
        )
        evidence.append(Evidence("fit", round(fit.share, 4), "share", f"{how} (by {fit.by})"))
    elif signal.check == "unit":
        title = f"{name}: the values no longer lie on their grid"
        verdict = "The resolution or unit of the source changed; no common conversion explains it. " + _spread_over(
            panel, signal
        )
    elif signal.check == "stuck":
        shown = f"{signal.after:.6g}" if name in panel.retained else f"cell {int(signal.after)}"
        title = f"{name} is stuck at {shown}"
        verdict = (
            "Every row has had the same value for far longer than ever before: a frozen source, a cache or a default. "
        )
    elif signal.check == "range":
        title = f"{name}: {percent(signal.after)} of the values are outside the reference range"
        verdict = "A sentinel, a scale error, or a season the reference has not seen: its values are not recorded, so the cells cannot distinguish these. "
        severity = "ticket"
    else:
        title = f"{name}: {percent(signal.after)} of the values are far outside anything seen before"
        verdict = "A sentinel, a scale error or a corrupt source; not seasonal. " + _spread_over(panel, signal)
    evidence.extend(_statistic(s) for s in breaks)
    if fit is None and all(_over_and_short(panel, signal)):
        # One cloudburst is a record, not a fault.
        severity, title = "info", f"{title}, for less than a day"
    return _finding(panel, replace(signal, ln_e=ln_e), check, (title, verdict), evidence, severity)


def _drift(panel: FeaturePanel, signal: Signal) -> Finding:
    name = panel.names[signal.feature]
    what = "level" if signal.check == "location" else "spread"
    title = f"{name}: its {what} moved from {signal.before:+.2f} to {signal.after:+.2f} reference standard deviations"
    intact = name in panel.retained
    verdict = "A real change of the inputs (a season, other users), not a pipeline fault" + (
        ": the values still lie on their grid, none is missing and none is out of range. "
        if intact
        else " as far as the cells show. "
    )
    severity: Severity = "ticket" if signal.ln_e >= TICKET_LN_E else "info"
    return _finding(panel, signal, signal.check, (title, verdict), [_statistic(signal)], severity, kind="drift")


def _category(panel: FeaturePanel, signal: Signal) -> Finding:
    name, value = panel.names[signal.feature], signal.check.removeprefix("category:")
    title = f"{name}: the share of {value} moved from {percent(signal.before)} to {percent(signal.after)}"
    severity: Severity = "ticket" if signal.ln_e >= TICKET_LN_E else "info"
    verdict = "The traffic mix changed, or two categories were swapped upstream. "
    return _finding(panel, signal, "category", (title, verdict), [_statistic(signal)], severity, kind="drift")


def _finding(
    panel: FeaturePanel, signal: Signal, check: str, words: tuple[str, str], evidence: Sequence[Evidence], severity: Severity,
    *, kind: Kind = "data",
) -> Finding:  # fmt: skip
    """Return the finding on *signal*; *words* are its title and its verdict."""
    axis, name = panel.axis, panel.names[signal.feature]
    versions = [panel.versions[index] for index in signal.versions]
    where = Place(panel.model, version=versions[0] if len(versions) == 1 else "", feature=name)
    ended = None if signal.end >= axis.size else axis.at_ns(signal.end)
    onset = Onset(axis.at_ns(signal.start), axis.at_ns(signal.earliest), axis.at_ns(signal.latest), ended)
    return Finding(
        name=f"{kind}.{check}.{name}",
        kind=kind,
        severity=severity,
        title=words[0],
        verdict=words[1].strip(),
        where=where,
        onset=onset,
        confidence=confidence(signal.ln_e),
        evidence=tuple(evidence),
        next_steps=(look_at_cells(where, onset), look_before(where, onset)),
        figures=(_timeline(panel, signal, check), _bars(panel, signal)),
    )


def _statistic(signal: Signal) -> Evidence:
    words = {
        "unit": ("share", f"{percent(signal.after)} of the rows are off the grid of values, none before"),
        "far": (
            "share",
            f"{percent(signal.after)} of the values are more than a whole reference range outside it, {percent(signal.before)} before",
        ),
        "range": (
            "share",
            f"{percent(signal.after)} of the values are outside the reference range, {percent(signal.before)} before",
        ),
        "stuck": ("value", f"one single value, {signal.after:.6g}, throughout"),
        "location": ("sd", f"level {signal.after:+.2f} reference sd, {signal.before:+.2f} before"),
        "spread": ("", f"spread {signal.after:+.2f}, {signal.before:+.2f} before (0 on the reference)"),
    }
    unit, text = words.get(signal.check, ("share", f"share {percent(signal.after)}, {percent(signal.before)} before"))
    return Evidence(signal.check.split(":")[0], round(signal.after, 6), unit, text)


def _spread_over(panel: FeaturePanel, signal: Signal) -> str:
    if len(panel.versions) < 2:
        return ""
    return scope_words(panel.versions, VersionScope(signal.versions, signal.untested))


def _timeline(panel: FeaturePanel, signal: Signal, check: str) -> Timeline:
    cells = panel.pooled[:, signal.feature]
    rows = cells.sum(axis=1)
    held = panel.retained.get(panel.names[signal.feature])
    if check == "missing":
        return _line(panel, "share missing", "share", cells[:, NULL] / np.maximum(rows, 1), rows)
    if check == "unseen":
        return _line(panel, "share unseen", "share", cells[:, UNSEEN] / np.maximum(rows, 1), rows)
    if held is not None:
        size = panel.axis.size
        mass = np.bincount(held.steps, held.rows, size)
        mean = np.bincount(held.steps, held.rows * held.values, size) / np.maximum(mass, 1e-12)
        return _line(panel, f"mean {panel.names[signal.feature]} per step", "value", mean, mass)
    outside = cells[:, BELOW] + cells[:, ABOVE]
    return _line(panel, "share outside the reference range", "share", outside / np.maximum(rows, 1), rows)


def _line(
    panel: FeaturePanel,
    title: str,
    unit: str,
    values: NDArray[np.float64],
    rows: NDArray[np.float64] | NDArray[np.int64],
) -> Timeline:
    points = [float(value) if count else None for value, count in zip(values, rows, strict=True)]
    return Timeline(title, unit, panel.axis.starts(), ((title, points),))


def _bars(panel: FeaturePanel, signal: Signal) -> Bars:
    cells = panel.pooled[:, signal.feature]
    inside = np.zeros(panel.axis.size, dtype=bool)
    inside[signal.start : signal.end] = True
    names, before = panel.cell_table(signal.feature, cells[~inside].sum(axis=0))
    _, after = panel.cell_table(signal.feature, cells[inside].sum(axis=0))
    groups = [("before", before), ("after", after)]
    profile = panel.profiles[signal.feature]
    if profile is not None:
        groups.insert(0, ("reference", list(profile.p0)))
    return Bars(f"cells of {panel.names[signal.feature]}", names, groups)
