"""Failures by version and cohort, and failures that all versions share; the same for labelled outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_search import ArmProblem, cohort_values, find_bad_arms
from radiosonde.diagnose.share_scan import MACHINE_H, MACHINE_LN_E, PAGE_LN_E, WORLD_H, block_steps, scan_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Panel
    from radiosonde.diagnose.scan import Step


class RateRise(NamedTuple):
    """A rate that rose in all versions alike: everywhere (cohort ``""``) or in one cohort."""

    cohort: str
    step: Step
    onset: tuple[int, int, int]


def version_problems(panel: Panel) -> list[ArmProblem]:
    """Return versions, or cohorts of versions, that raise more often than the other versions."""
    return find_bad_arms(panel, panel.errors[None], panel.calls[None], min_hits=5, min_gap=0.005)


def outcome_problems(panel: Panel) -> list[ArmProblem]:
    """Return versions, or cohorts of versions, that are wrong more often, labels compared within one lag class.

    Wrong answers cluster (one storm, many late flights), hence the dispersion of 2.
    """
    return find_bad_arms(
        panel, panel.incorrect, panel.incorrect + panel.correct, min_hits=20, min_gap=0.02, dispersion=2.0
    )


def series_of(panel: Panel, problem: ArmProblem) -> NDArray[np.bool_]:
    """Return the series that *problem* is about."""
    mine = np.asarray(panel.arm_of == problem.arm, dtype=np.bool_)
    return mine if not problem.cohort else mine & rows_of_cohort(panel, problem.cohort)


def rows_of_cohort(panel: Panel, cohort: str) -> NDArray[np.bool_]:
    """Return the series that have the one dimension value of *cohort*."""
    for text, rows in cohort_values(panel):
        if text == cohort:
            return rows
    return np.zeros(len(panel.keys), dtype=bool)


def shared_rises(
    panel: Panel,
    hits: NDArray[np.int64],
    totals: NDArray[np.int64],
    explained: Sequence[ArmProblem],
    *,
    min_rise: float,
    by_cohort: bool,
) -> list[RateRise]:
    """Return where hits/totals rose against its own past in all versions: in single cohorts, or everywhere.

    Args:
        panel: whose series the counts belong to.
        hits: events, shape (series, steps).
        totals: trials, same shape.
        explained: what is already blamed on a version; its series are left out.
        min_rise: least rise that matters.
        by_cohort: look into single cohorts too. Not for wrong answers: one bad day of one carrier is no fault.
    """
    left = np.ones(len(panel.keys), dtype=bool)
    for problem in explained:
        left &= ~series_of(panel, problem)
    least = MACHINE_LN_E if by_cohort else PAGE_LN_E
    block = block_steps(panel.axis, MACHINE_H if by_cohort else WORLD_H)

    def scan(rows: NDArray[np.bool_]) -> tuple[Step, tuple[int, int, int]] | None:
        chosen = rows & left
        return scan_share(
            panel.axis,
            hits[chosen].sum(axis=0).astype(float),
            totals[chosen].sum(axis=0).astype(float),
            block,
            min_rise=min_rise,
            least=least,
        )

    everywhere = scan(left)
    values = cohort_values(panel) if by_cohort else []
    limit = least + float(np.log(max(len(values), 1)))
    cohorts = [
        RateRise(text, *found)
        for text, rows in values
        if (found := scan(rows)) is not None and found[0].ln_e >= limit and (rows & left).sum() < left.sum()
    ]
    if not cohorts:
        return [] if everywhere is None else [RateRise("", *everywhere)]
    cohorts.sort(key=lambda rise: -rise.step.ln_e)
    inside = np.any([rows_of_cohort(panel, rise.cohort) for rise in cohorts], axis=0)
    if everywhere is not None and (len(cohorts) > len(values) / 2 or scan(~inside) is not None):
        return [RateRise("", *everywhere)]
    return cohorts
