"""Whether the search for worse versions can find anything: its evidence, kept up step by step.

The search (`radiosonde.diagnose.arm_search`) processes all steps again for each arm and cohort, and nearly always finds nothing. Whether it
can find anything is known from the same sums (`radiosonde.diagnose.two_arms`), updated by one step. They have the resolution of the
windows, while the search of a long history uses coarser steps; the slack covers the difference.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.arm_search import LEVEL
from radiosonde.diagnose.two_arms import ODDS_RATIOS, Arms, log_increments
from radiosonde.model import OVERFLOW_COHORT, cohort_text, parse_cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.model import SeriesKey

    Numbers = NDArray[np.float64]

_SLACK_LN = 1.0
_CHUNK = 1024
_CHECKPOINTS = 16


class _State(NamedTuple):
    """Sums up to a step: log evidence per hypothesis and odds ratio, its peak per hypothesis, and events and trials of the rest per arm and stratum."""

    steps: int
    changes: int
    log_r: Numbers
    peak: Numbers
    known: tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass
class ArmGate:
    """The evidence that an arm, or a cohort of it, is worse than the others.

    Args:
        keys: the series.
    """

    keys: Sequence[SeriesKey]
    _arms: int = field(init=False)
    _mine: NDArray[np.bool_] = field(init=False)
    _stratum: NDArray[np.bool_] = field(init=False)
    _tested: Numbers = field(init=False)
    _states: deque[_State] = field(init=False)

    def __post_init__(self) -> None:
        arms = sorted({(key.version, key.variant) for key in self.keys})
        cohorts = sorted({key.cohort for key in self.keys})
        self._arms = len(arms)
        self._mine = np.array([[(key.version, key.variant) == arm for key in self.keys] for arm in arms], dtype=bool)
        self._stratum = np.array([[key.cohort == cohort for key in self.keys] for cohort in cohorts], dtype=bool)
        values: dict[str, list[int]] = {"": list(range(len(cohorts)))}
        for index, cohort in enumerate(cohorts):
            if cohort != OVERFLOW_COHORT:
                for name, value in parse_cohort(cohort).items():
                    values.setdefault(cohort_text({name: value}), []).append(index)
        self._tested = np.zeros((len(values), len(cohorts)))
        for row, inside in enumerate(values.values()):
            self._tested[row, inside] = 1.0
        self._states = deque(maxlen=_CHECKPOINTS)

    def advance(self, hits: Numbers, trials: Numbers, changes: int) -> bool:
        """Take the steps that are new, and return whether the search may find something.

        Args:
            hits: events per series and step, incidents left out; shape (series, steps).
            trials: trials, same shape.
            changes: a number that differs when steps of before are others than before.
        """
        if self._arms < 2:
            return False
        size = hits.shape[1]
        while self._states and (self._states[-1].changes != changes or self._states[-1].steps >= size):
            self._states.pop()
        state = self._states[-1] if self._states else self._nothing(changes)
        while state.steps < size:
            state = self._carried(state, hits, trials, min(state.steps + _CHUNK, size))
        self._states.append(state)
        return bool((state.peak - np.log(size)).max() >= np.log(1 / LEVEL) - _SLACK_LN)

    def _nothing(self, changes: int) -> _State:
        hypotheses, strata = self._tested.shape
        none = np.zeros((self._arms, strata), dtype=np.int64)
        shape = (self._arms, hypotheses, ODDS_RATIOS.size)
        return _State(0, changes, np.full(shape, -np.inf), np.full(shape[:2], -np.inf), (none, none))

    def _carried(self, state: _State, hits: Numbers, trials: Numbers, end: int) -> _State:
        """Return *state* carried on to step *end*."""
        inside = slice(state.steps, end)
        new_hits, new_trials = hits[:, inside], trials[:, inside]
        log_r, peak = state.log_r.copy(), state.peak.copy()
        gains, known_hits, known_trials = [], state.known[0].copy(), state.known[1].copy()
        for arm in range(self._arms):
            parts = [
                ((self._stratum & rows) @ part).astype(np.int64)
                for rows in (self._mine[arm], ~self._mine[arm])
                for part in (new_hits, new_trials)
            ]
            arms = Arms(*parts)
            made = log_increments(arms, known=(known_hits[arm], known_trials[arm]))
            gains.append(np.tensordot(self._tested, made, axes=(1, 0)))
            known_hits[arm] += arms.rest_hits.sum(axis=1)
            known_trials[arm] += arms.rest_trials.sum(axis=1)
        gain = np.stack(gains)  # (arms, hypotheses, steps, ratios)
        count = float(np.log(ODDS_RATIOS.size))
        for step in range(end - state.steps):
            log_r = np.logaddexp(0.0, log_r) + gain[:, :, step]
            highest = log_r.max(axis=-1)
            mixed = highest + np.log(np.exp(log_r - highest[..., None]).sum(axis=-1)) - count
            peak = np.maximum(peak, mixed)
        return _State(end, state.changes, log_r, peak, (known_hits, known_trials))
