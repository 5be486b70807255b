"""Finds versions, and cohorts of versions, that fail more than the others, and the smallest explaining set.

Hypotheses: each arm (version) as a whole, and each arm within each value of each cohort dimension. Each is judged against the other
arms in the same cohort and step, so neither a bad hour nor a different mix of users can look like a bad version. A child that its parent
explains is dropped, and a parent that one child explains is dropped, by testing the parent without the child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.scan import sharpen
from radiosonde.diagnose.two_arms import Arms, ArmVerdict, e_benjamini_hochberg, judge, log_increments
from radiosonde.model import OVERFLOW_COHORT, cohort_text, parse_cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.panel import Panel

LEVEL = 0.001
"""False-discovery level of e-BH: about one report in a thousand healthy ones names an innocent arm."""


class ArmProblem(NamedTuple):
    """An arm that is worse than the others.

    Attributes:
        arm: index of the arm.
        cohort: canonical cohort text; ``""`` for the arm as a whole.
        verdict: evidence and onset.
        hits: events of the arm in the cohort since the onset.
        trials: its trials.
        rest_hits: events of the other arms in the same cohort and time.
        rest_trials: their trials.
        hypotheses: number of tests.
    """

    arm: int
    cohort: str
    verdict: ArmVerdict
    hits: int
    trials: int
    rest_hits: int
    rest_trials: int
    hypotheses: int


def cohort_values(panel: Panel) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return each value of each cohort dimension as canonical text, with the series that have it."""
    values: dict[str, NDArray[np.bool_]] = {}
    for row, key in enumerate(panel.keys):
        if key.cohort == OVERFLOW_COHORT:
            continue
        for name, value in parse_cohort(key.cohort).items():
            text = cohort_text({name: value})
            values.setdefault(text, np.zeros(len(panel.keys), dtype=bool))[row] = True
    return sorted(values.items())


def find_bad_arms(
    panel: Panel,
    hits: NDArray[np.int64],
    trials: NDArray[np.int64],
    *,
    min_hits: int,
    min_gap: float,
    dispersion: float = 1.0,
) -> list[ArmProblem]:
    """Return the arms, or cohorts of arms, with more events than the others; worst first.

    Args:
        panel: whose series the counts belong to.
        hits: events, shape (layers, series, steps); layers (lag classes) are strata of their own.
        trials: trials, same shape.
        min_hits: events an arm needs since the onset.
        min_gap: least difference of the two rates that matters.
        dispersion: see `judge`.
    """
    cohorts = sorted({key.cohort for key in panel.keys})
    cohort_of = np.array([cohorts.index(key.cohort) for key in panel.keys])
    values = cohort_values(panel)
    problems: list[ArmProblem] = []
    for arm in range(len(panel.arms)):
        arms = _stratify(hits, trials, panel.arm_of == arm, cohort_of, len(cohorts))
        both = (arms.trials.sum(axis=1) > 0) & (arms.rest_trials.sum(axis=1) > 0)
        if not both.any():
            continue
        gains = log_increments(arms)
        members = [("", np.ones(len(cohorts), dtype=bool))]
        for text, rows in values:
            inside = np.zeros(len(cohorts), dtype=bool)
            inside[cohort_of[rows]] = True
            members.append((text, inside))
        layers = hits.shape[0]
        tested = [(text, np.tile(inside, layers) & both) for text, inside in members]
        tested = [(text, inside) for text, inside in tested if inside.any() and (text == "" or not inside[both].all())]
        problems.extend(_select(arm, arms, gains, tested, min_hits=min_hits, min_gap=min_gap, dispersion=dispersion))
    return sorted(problems, key=lambda problem: -problem.verdict.ln_e)


def _stratify(
    hits: NDArray[np.int64],
    trials: NDArray[np.int64],
    mine: NDArray[np.bool_],
    cohort_of: NDArray[np.int64],
    count: int,
) -> Arms:
    layers, _, steps = hits.shape
    parts = []
    for rows in (mine, ~mine):
        for table in (hits, trials):
            summed = np.zeros((layers, count, steps), dtype=np.int64)
            for layer in range(layers):
                np.add.at(summed[layer], cohort_of[rows], table[layer, rows])
            parts.append(summed.reshape(layers * count, steps))
    return Arms(*parts)


def _select(
    arm: int, arms: Arms, gains: NDArray[np.float64], tested: Sequence[tuple[str, NDArray[np.bool_]]], *,
    min_hits: int, min_gap: float, dispersion: float,
) -> list[ArmProblem]:  # fmt: skip
    verdicts = [judge(gains[inside].sum(axis=0), dispersion) for _, inside in tested]
    rejected = e_benjamini_hochberg(np.array([verdict.ln_e for verdict in verdicts]), LEVEL)
    found = [
        problem
        for (text, inside), verdict, bad in zip(tested, verdicts, rejected, strict=True)
        if bad and _matters(problem := _count(arm, text, verdict, arms.strata(inside), len(tested)), min_hits, min_gap)
    ]
    if not found:
        return []
    where = dict(tested)
    limit = float(np.log(len(tested) / LEVEL))
    whole = next((problem for problem in found if problem.cohort == ""), None)
    children = sorted((problem for problem in found if problem.cohort), key=lambda problem: -problem.verdict.ln_e)
    named: list[ArmProblem] = []
    left = np.any([inside for _, inside in tested], axis=0)
    for child in children:
        inside = where[child.cohort] & left
        if not inside.any() or judge(gains[inside].sum(axis=0), dispersion).ln_e < limit:
            continue  # fully explained by a larger culprit
        named.append(child)
        left &= ~where[child.cohort]
    remainder = judge(gains[left].sum(axis=0), dispersion).ln_e if left.any() else -np.inf
    if whole is None:
        return named
    # Half of the arm's traffic, or a handful of cohorts, is not "some cohorts": with every cohort a little worse the
    # strongest few use up the evidence of the rest.
    many = len(named) > 3 or (len(named) > 1 and sum(child.trials for child in named) > whole.trials / 2)
    if remainder >= limit or many or not named:
        return [whole]
    return named


def _count(arm: int, text: str, verdict: ArmVerdict, arms: Arms, hypotheses: int) -> ArmProblem:
    hits, trials = arms.hits.sum(axis=0), arms.trials.sum(axis=0)
    # The odds ratios of the test are a coarse grid; the arm's own rates place the onset far better.
    start, earliest, latest = sharpen(hits, trials, verdict.start, hits.size, hits.size, 1.0)
    if hits[:start].sum() == 0:
        # Nothing failed before: the onset lies after the last good call and not after the first failure.
        good = np.flatnonzero(trials[:start] > 0)
        earliest = max(earliest, int(good[-1]) + 1 if good.size else 0)
        latest = min(latest, start)
    verdict = verdict._replace(start=start, earliest=min(earliest, start), latest=max(latest, start))
    mine, all_mine, rest, all_rest = (int(part[:, start:].sum()) for part in arms)
    return ArmProblem(arm, text, verdict, mine, all_mine, rest, all_rest, hypotheses)


def _matters(problem: ArmProblem, min_hits: int, min_gap: float) -> bool:
    rate = problem.hits / max(problem.trials, 1)
    rest = problem.rest_hits / max(problem.rest_trials, 1)
    return problem.hits >= min_hits and rate - rest >= min_gap
