"""Names the models whose calls or labels began to come, or stopped coming, differently from before: those to diagnose at once.

The detectors that are kept up (`radiosonde.diagnose.live`) cover failing and slow calls. Whether traffic changed, or labels stopped, is decided
by a diagnosis, which is made in turn for a model with new windows. A model that is not called any more has no new windows and would never
have its turn. So calls and labels are counted here as they arrive, in steps of one window by the end of the newest window of *any* model:

* *calls*: the last two steps hold much less or much more than two steps usually do, by the median of the last hour of steps, or no call came
  for so long that `_MISSED` were to be expected;
* *labels*: none came for so long that `_MISSED` were to be expected.

This is a filter, not a verdict: it may name a model too often, and a diagnosis decides. While a suspicion lasts, the model is named again each
time that it has lasted a quarter longer. Memory is bounded by `_STEPS` numbers per model; a step costs some tens of microseconds per model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.model import RUNTIME_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from radiosonde.model import Window

_STEPS, _USUAL, _LEAST = 240, 60, 10
"""Steps that are kept, those that make a median, and the fewest for one."""
_MISSED, _FEWEST = 8.0, 2
_FALL, _RISE, _SPREADS = 0.25, 0.8, 3.0
_LONGEST, _CALM = 60, 10


@dataclass(slots=True)
class _Suspicion:
    """One reason to diagnose a model.

    Attributes:
        since: step since which it holds; None while it does not.
        last: last step at which it held.
        again: step from which on it is a reason again.
    """

    since: int | None = None
    last: int = 0
    again: int = 0

    def is_due(self, now: int, *, holds: bool) -> bool:
        """Return whether the model has to be diagnosed in step *now*, in which the suspicion *holds* or not."""
        if not holds:
            self.since = None if now - self.last > _CALM else self.since
            return False
        self.last = now
        if self.since is None:
            self.since = self.again = now
        if now < self.again:
            return False
        self.again = now + min(max((now - self.since) // 4, 1), _LONGEST)
        return True


@dataclass(slots=True)
class _Counts:
    """The last steps of one model.

    Attributes:
        calls: calls by step of their window.
        labels: labels by step of their arrival.
        changed: calls are more or fewer than before.
        silent: no calls come.
        unlabelled: no labels come.
    """

    calls: dict[int, int] = field(default_factory=dict)
    labels: dict[int, int] = field(default_factory=dict)
    changed: _Suspicion = field(default_factory=_Suspicion)
    silent: _Suspicion = field(default_factory=_Suspicion)
    unlabelled: _Suspicion = field(default_factory=_Suspicion)

    def forget(self, step: int) -> None:
        """Drop what is older than *step*."""
        for table in (self.calls, self.labels):
            for old in [each for each in table if each < step]:
                del table[old]


class Arrivals:
    """Counts of calls and labels as they arrive, for any number of models.

    Args:
        window_ns: length of a step.
    """

    def __init__(self, window_ns: int) -> None:
        self._step_ns = max(window_ns, 1)
        self._newest = 0
        self._counts: dict[str, _Counts] = {}

    def know(self, windows: Iterable[Window]) -> None:
        """Count *windows* of the past. When their labels arrived is not known; they are counted at their predictions."""
        for window in windows:
            self._count(window, None)

    def add(self, windows: Iterable[Window]) -> set[str]:
        """Count *windows* that came since the last call, and return the models to diagnose at once."""
        came = list(windows)
        if not came:
            return set()
        newest = max(self._newest, *(self._step(window) for window in came))
        for window in came:
            self._count(window, newest)
        if newest == self._newest:
            return set()
        self._newest = newest
        return {model for model, counts in self._counts.items() if self._is_due(counts)}

    def _step(self, window: Window) -> int:
        return (window.end_ns - 1) // self._step_ns

    def _count(self, window: Window, arrived: int | None) -> None:
        if window.end_ns - window.start_ns > 1.5 * self._step_ns:
            return  # windows that were added up: they were counted before
        if window.key.model == RUNTIME_MODEL or window.is_of_sketches:
            self._newest = self._newest if arrived is not None else max(self._newest, self._step(window))
            return
        counts, step = self._counts.setdefault(window.key.model, _Counts()), self._step(window)
        counts.calls[step] = counts.calls.get(step, 0) + window.calls
        if arrived is None:
            self._newest = max(self._newest, step)
        if window.labels is not None:
            at = step if arrived is None else arrived
            counts.labels[at] = counts.labels.get(at, 0) + sum(window.labels.outcomes.values())

    def _is_due(self, counts: _Counts) -> bool:
        """Return whether there is a suspicion that has to be followed now."""
        now = self._newest
        counts.forget(now - _STEPS)
        calls, labels = self._recent(counts.calls), self._recent(counts.labels)
        due = [
            counts.changed.is_due(now, holds=_is_changed(calls)),
            counts.silent.is_due(now, holds=_has_stopped(calls)),
            counts.unlabelled.is_due(now, holds=_has_stopped(labels)),
        ]
        return any(due)

    def _recent(self, table: dict[int, int]) -> NDArray[np.float64]:
        """Return the counts of each step from the first known one to the newest."""
        if not table:
            return np.zeros(0)
        first = min(table)
        made = np.zeros(max(self._newest - first + 1, 0))
        for step, count in table.items():
            made[step - first] = count
        return made


def _has_stopped(counts: NDArray[np.float64]) -> bool:
    """Return whether nothing came for so long that `_MISSED` were to be expected, and for two steps at least: one may be late."""
    held = np.flatnonzero(counts)
    if not held.size or held[-1] + 1 < _LEAST:
        return False
    known = held[-1] + 1
    missing = counts.size - known
    return bool(missing >= _FEWEST and missing * counts[:known].mean() >= _MISSED)


def _is_changed(counts: NDArray[np.float64]) -> bool:
    """Return whether the last two steps are unlike those of the last hour; an empty one may be late, or is a silence."""
    if counts.size < _LEAST + 2 or not counts[-1]:
        return False
    pairs = counts[1:] + counts[:-1]
    usual = float(np.median(pairs[-2 - _USUAL : -2]))
    apart, spread = float(pairs[-1]) - usual, _SPREADS * np.sqrt(usual)
    return bool(apart < -max(_FALL * usual, spread) or apart > max(_RISE * usual, spread + _MISSED))
