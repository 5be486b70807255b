"""The rate of an incident at its place, window by window, for verification.

Each check declares its own (`radiosonde.diagnose.registry.Check.measured`); a check without one is verified by its own state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.config.values import duration_words
from radiosonde.diagnose.latency_incidents import count_above
from radiosonde.diagnose.places import rows_at
from radiosonde.diagnose.verification import MeasuredRate
from radiosonde.model import LATENCY, NULL, UNSEEN

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.registry import View

_CELLS = {"missing": (NULL, "rows without a value"), "unseen": (UNSEEN, "rows with an unseen value")}
_ALLOWED = 0.01


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
    hits, trials = np.zeros(table.size), np.zeros(table.size)
    for window in view.windows:
        part = window.features
        if (
            part is None
            or finding.where.feature not in part.names
            or finding.where.version not in ("", window.key.version)
        ):
            continue
        counts = part.cells[part.names.index(finding.where.feature)]
        step = int(np.searchsorted(table.start_ns, window.start_ns, side="right")) - 1
        hits[step] += float(counts[cell])
        trials[step] += float(counts.sum())
    return MeasuredRate(table.start_ns, table.end_ns, hits, trials, f"{noun} of {finding.where.feature}")
