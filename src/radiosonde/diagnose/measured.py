"""The rate of an incident at its place, window by window, for verification.

Each check declares its own (`radiosonde.diagnose.registry.Check.measured`); a check without one is verified by its own state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.config.values import duration_words
from radiosonde.diagnose.latency_incidents import count_above
from radiosonde.diagnose.places import rows_at
from radiosonde.diagnose.pressure_incidents import SHORTAGES, look_at_shortage
from radiosonde.diagnose.runtime_incidents import WATCHED, look_at_durations
from radiosonde.diagnose.traffic_series import covering, make_grid
from radiosonde.diagnose.verification import MeasuredRate
from radiosonde.model import LATENCY, NULL, UNSEEN
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import View

    Numbers = NDArray[np.float64]
    Starts = NDArray[np.int64]

_CELLS = {"missing": (NULL, "rows without a value"), "unseen": (UNSEEN, "rows with an unseen value")}
_ALLOWED = 0.01
_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000


def failure_rate(view: View, finding: Finding) -> MeasuredRate:
    """Return the share of calls that fail at the place of *finding*."""
    table = view.table
    rows = rows_at(table.keys, finding.where)
    hits, trials = table.failures[rows].sum(axis=0), table.calls[rows].sum(axis=0)
    slo = view.config.slo.failures if not (finding.where.version or finding.where.cohort) else None
    return MeasuredRate(table.start_ns, table.end_ns, hits, trials, "calls that fail", slo)


def slow_rate(view: View, finding: Finding) -> MeasuredRate | None:
    """Return the share of calls above a bound at the place of *finding*: the objective, or half-way between p99 before and after."""
    told = {item.name: item.value for item in finding.evidence}
    bound = told.get("objective") if finding.name.startswith("latency.objective") else None
    objective = None if bound is None else _ALLOWED
    if bound is None:
        before, after = told.get("p99_before"), told.get("p99_after")
        if not isinstance(before, float) or not isinstance(after, float) or before <= 0 or after <= before:
            return None
        bound = float(np.sqrt(before * after))
    bucket = min(int(np.searchsorted(LATENCY.upper_bounds_s(), float(bound) * (1 - 1e-9))), LATENCY.size - 1)
    table = view.table
    calls, (slow,) = count_above(view.windows, table.keys, table.start_ns, [bucket])
    rows = rows_at(table.keys, finding.where)
    noun = f"calls above {duration_words(float(LATENCY.upper_bounds_s()[bucket]))}"
    return MeasuredRate(table.start_ns, table.end_ns, slow[rows].sum(axis=0), calls[rows].sum(axis=0), noun, objective)


def cell_rate(view: View, finding: Finding) -> MeasuredRate | None:
    """Return the share of rows in the special cell that *finding* is about; None for findings about values."""
    kind = finding.name.split(".")[1] if finding.name.count(".") >= 2 else ""
    if kind not in _CELLS:
        return None
    cell, noun = _CELLS[kind]
    table = view.table
    mine = {key for key, is_there in zip(table.keys, rows_at(table.keys, finding.where), strict=True) if is_there}
    hits, trials = np.zeros(table.size), np.zeros(table.size)
    for window in view.windows:
        part = window.features
        if part is None or finding.where.feature not in part.names or window.key not in mine:
            continue
        counts = part.cells[part.names.index(finding.where.feature)]
        step = int(np.searchsorted(table.start_ns, window.start_ns, side="right")) - 1
        hits[step] += float(counts[cell])
        trials[step] += float(counts.sum())
    return MeasuredRate(table.start_ns, table.end_ns, hits, trials, f"{noun} of {finding.where.feature}")


def traffic_rate(view: View, finding: Finding) -> MeasuredRate | None:
    """Return the share of the usual calls that are missing, or of all calls that are unusual, at the place of *finding*; None for few calls.

    Usual is what came at the same time of the week before the onset, or of the day, or lately, as far as there is a past.
    """
    beside = covering(view.windows, sorted({*view.beside, *((each.start_ns, each.end_ns) for each in view.runtime)}))
    grid = make_grid(view.windows, beside)
    told = {item.name: item.value for item in finding.evidence}
    now, was = told.get("calls_per_minute"), told.get("calls_per_minute_before")
    if grid is None or not isinstance(now, float) or not isinstance(was, float):
        return None
    starts = grid.start_ns + np.flatnonzero(grid.known) * grid.step_ns
    calls = grid.calls[rows_at(grid.keys, finding.where)][:, grid.known].sum(axis=0)
    before = starts < finding.onset.at_ns
    if not before.any():
        return None
    usual = _usual_course(starts, calls, before, finding.onset.at_ns)
    if now < was:
        hits, trials, noun = np.maximum(usual - calls, 0.0), usual, "usual calls that are missing"
    else:
        hits, trials, noun = np.maximum(calls - usual, 0.0), calls, "calls beyond the usual number"
    return MeasuredRate(starts, starts + grid.step_ns, hits, trials, noun)


def _usual_course(starts: Starts, calls: Numbers, before: NDArray[np.bool_], onset_ns: int) -> Numbers:
    """Return the usual calls of each step: the median of those *before* at the same hour of the week, else of the day, else of the last of them."""
    known_ns = onset_ns - int(starts[0])
    cells = 168 if known_ns >= 14 * _DAY_NS else 24 if known_ns >= 2 * _DAY_NS else 1
    cell = starts // _HOUR_NS % cells
    lately = before & (starts >= onset_ns - _DAY_NS) if cells == 1 else before
    level = float(np.median(calls[lately])) if lately.any() else float(np.median(calls[before]))
    course = [calls[before & (cell == each)] for each in range(cells)]
    return np.array([np.median(part) if part.size else level for part in course])[cell]


def wrong_rate(view: View, finding: Finding) -> MeasuredRate | None:
    """Return the share of labelled answers that are wrong at the place of *finding*, by time of prediction; None for what is about the labels themselves."""
    if finding.kind == "label":
        return None
    panel = view.panel
    rows = rows_at(panel.keys, finding.where)
    wrong, right = (part.sum(axis=0)[rows].sum(axis=0).astype(np.float64) for part in (panel.incorrect, panel.correct))
    starts = np.array(panel.axis.starts(), dtype=np.int64)
    return MeasuredRate(starts, starts + panel.axis.step_ns, wrong, wrong + right, "labelled answers that are wrong")


def process_rate(view: View, finding: Finding) -> MeasuredRate | None:
    """Return the share of durations above the bound, or of time lost, of the processes of *finding*."""
    _, name, process = finding.name.split(".", 2)
    serving = {window.process for window in view.windows}
    lived = [window for window in view.runtime if window.runtime is not None and speaker_of(window) in serving]
    if process != "all":
        lived = [window for window in lived if window.process == process]
    ends = {window.start_ns: window.end_ns for window in lived}
    watched = next((each for each in WATCHED if each.field == name), None)
    shortage = next((each for each in SHORTAGES if each.name == name), None)
    if not lived or (watched is None and shortage is None):
        return None
    if watched is not None:
        health = look_at_durations(watched, lived).health
        starts, hits, trials = health.start_ns, health.hits, health.trials
        noun = f"{watched.noun} above {health.bound_s:g} s"
    elif shortage is not None:
        look = look_at_shortage(shortage, lived)
        if look is None:
            return None
        starts, hits, trials, noun = (
            look.start_ns,
            np.rint(look.lost),
            np.rint(look.whole),
            shortage.noun.removeprefix("of the "),
        )
    end_ns = np.array([ends[int(start)] for start in starts], dtype=np.int64)
    return MeasuredRate(starts, end_ns, hits.sum(axis=0), trials.sum(axis=0), noun)
