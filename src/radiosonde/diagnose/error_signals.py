"""Detects versions that fail or are wrong more often than others, and increases shared by all versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_search import ArmProblem, cohort_values, find_bad_arms
from radiosonde.diagnose.share_scan import PAGE_LN_E, WORLD_H, block_steps, scan_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Panel
    from radiosonde.diagnose.scan import Step


class RateRise(NamedTuple):
    """A rate that rose in all versions and cohorts together."""

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


def shared_rise(
    panel: Panel,
    hits: NDArray[np.int64],
    totals: NDArray[np.int64],
    explained: Sequence[ArmProblem],
    *,
    min_rise: float,
) -> RateRise | None:
    """Return how hits/totals rose against its own past in all versions and cohorts together; None where it did not.

    Single cohorts are not checked: one bad day of one carrier is not a fault.

    Args:
        panel: whose series the counts belong to.
        hits: events, shape (series, steps).
        totals: trials, same shape.
        explained: errors already attributed to a version; its series are excluded.
        min_rise: least relevant rise.
    """
    left = np.ones(len(panel.keys), dtype=bool)
    for problem in explained:
        left &= ~series_of(panel, problem)
    hit, total = (part[left].sum(axis=0).astype(float) for part in (hits, totals))
    block = block_steps(panel.axis, WORLD_H)
    found = scan_share(panel.axis, hit, total, block, min_rise=min_rise, least=PAGE_LN_E)
    return None if found is None else RateRise(*found)
