"""Lays out a rollout: the compared versions, the steps, and the counts in each cohort.

Steps are windows, beginning with the first window of the new version. Up to `_MOST_CELLS` cells they are not merged, so that a look after
every window and one look at the end use the same steps. The baseline is the old version in the day before, without ended incidents of that
day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.canary.ended import ended_incidents
from radiosonde.diagnose.known_bad import without
from radiosonde.diagnose.panel import Axis
from radiosonde.diagnose.status import window_length_ns
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.known_bad import KnownBad
    from radiosonde.model import SeriesKey, Window

    Counts = NDArray[np.int64]

_HISTORY_NS = 86_400_000_000_000
_PAST_NS = 2 * _HISTORY_NS
"""Range searched for ended incidents: the baseline day, and a day before it."""
_MOST_CELLS, _MOST_STEPS = 2_000_000, 20_000


class Arm(NamedTuple):
    """A version, or one variant of it; an empty variant means all."""

    version: str
    variant: str = ""

    def has(self, key: SeriesKey) -> bool:
        """Return whether the series of *key* belongs to this arm."""
        return key.version == self.version and self.variant in ("", key.variant)

    def __str__(self) -> str:
        return (self.version or "(no version)") + (f"/{self.variant}" if self.variant else "")


class NothingToCompare(Exception):  # noqa: N818 - no error: the rollout has not begun
    """Only one of the two versions has served."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The windows of both versions.

    Attributes:
        model: the model.
        old: the baseline version.
        new: the version being rolled out.
        axis: steps from the first window of the new version on.
        cohorts: cohort cells, the rows of all tables.
        windows: windows on the axis, each with whether it is the new version's, its row and its step.
        before: windows of the old version in the day before, each with its row, without its ended incidents.
        ended: those incidents.
    """

    model: str
    old: Arm
    new: Arm
    axis: Axis
    cohorts: tuple[str, ...]
    windows: tuple[tuple[Window, bool, int, int], ...]
    before: tuple[tuple[Window, int], ...]
    ended: tuple[KnownBad, ...] = ()

    def counted(self, count: Callable[[Window, int], int]) -> tuple[Counts, Counts, Counts]:
        """Return *count* of each window and step, summed: of the new version, of the old one, and of the old one before the first step.

        The first two have the shape (cohorts, steps), the last one (cohorts, steps before).
        """
        shape = (len(self.cohorts), self.axis.size)
        new, old = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for window, is_new, row, step in self.windows:
            (new if is_new else old)[row, step] += count(window, step)
        # Steps without a window were excluded or not recorded: counting them as steps without an event would look like the end of a
        # cluster.
        begin, step_ns = self.axis.start_ns, self.axis.step_ns
        held = sorted({(window.start_ns - begin) // step_ns for window, _ in self.before})
        column = {step: index for index, step in enumerate(held)}
        known = np.zeros((len(self.cohorts), len(held)), dtype=np.int64)
        for window, row in self.before:
            known[row, column[(window.start_ns - begin) // step_ns]] += count(window, 0)
        return new, old, known


def make_rollout(windows: Sequence[Window], old: str | None, new: str | None) -> Rollout:
    """Choose the versions and lay out *windows*, all of one model.

    Raises:
        ConfigurationError: a given version has never served, or the versions are ambiguous.
        NothingToCompare: only one version has served.
    """
    model = windows[0].key.model
    before, after = _chosen(windows, old, new)
    begin = min(window.start_ns for window in windows if after.has(window.key))
    last = max(window.end_ns for window in windows if after.has(window.key) or before.has(window.key))
    served = [
        window for window in windows if window.start_ns >= begin and (after.has(window.key) or before.has(window.key))
    ]
    past = [
        window
        for window in windows
        if before.has(window.key) and begin - _PAST_NS <= window.start_ns and window.end_ns <= begin
    ]
    day_ns = begin - _HISTORY_NS
    ended = tuple(each for each in ended_incidents(model, past) if each.end_ns > day_ns)
    earlier = without([window for window in past if window.start_ns >= day_ns], ended)
    cohorts = tuple(sorted({window.key.cohort for window in served}))
    row_of = {cohort: row for row, cohort in enumerate(cohorts)}
    axis = _axis(served, begin, last, len(cohorts))
    if not any(before.has(window.key) for window in served):
        raise NothingToCompare(f"version {before} has not served since version {after} began")
    return Rollout(
        model, before, after, axis, cohorts,
        tuple((window, after.has(window.key), row_of[window.key.cohort], axis.index(window.start_ns)) for window in served),
        tuple((window, row_of[window.key.cohort]) for window in earlier if window.key.cohort in row_of),
        ended,
    )  # fmt: skip


def _axis(served: Sequence[Window], begin: int, last: int, rows: int) -> Axis:
    step = max(window_length_ns(served), 1)
    most = max(min(_MOST_STEPS, _MOST_CELLS // max(rows, 1)), 1)
    merged = max(1, -(-(last - begin) // step // most))
    return Axis(begin, step * merged, max(1, -(-(last - begin) // (step * merged))))


def _chosen(windows: Sequence[Window], old: str | None, new: str | None) -> tuple[Arm, Arm]:
    """Return the old and the new arm: as named, else the one that began last and the one with the most calls beside it."""
    seen: dict[Arm, int] = {}
    for window in windows:
        arm = Arm(window.key.version, window.key.variant)
        seen[arm] = min(seen.get(arm, window.start_ns), window.start_ns)
    first = dict(sorted(seen.items(), key=lambda item: item[1]))
    held = ", ".join(map(str, first))
    after = None if new is None else _named(new, first)
    before = None if old is None else _named(old, first)
    if old is not None and before is None:
        raise ConfigurationError(f"no version {old!r} has served; pass one of these to --old: {held}")
    if new is not None and after is None:
        raise NothingToCompare(f"version {new} has not served yet; those that have: {held}")
    rest = [arm for arm in first if before is None or not _overlap(arm, before)]
    if after is None:
        newest = max(first[arm] for arm in rest) if rest else 0
        latest = [arm for arm in rest if first[arm] == newest]
        latest = [arm for arm in latest if arm.variant == "canary"] or latest
        if before is None and len(first) > 1 and len(latest) > 1:
            raise ConfigurationError(f"versions began at the same time; name them with --old and --new: {held}")
        after = latest[0] if latest else None
    others = [arm for arm in first if after is None or not _overlap(arm, after)]
    if before is None and after is not None and others:
        begin = min(start for arm, start in first.items() if _overlap(arm, after))
        calls = dict.fromkeys(others, 0)
        for window in windows:
            arm = Arm(window.key.version, window.key.variant)
            if arm in calls and window.start_ns >= begin:
                calls[arm] += window.calls
        before = max(others, key=lambda arm: calls[arm])
    if before is None or after is None:
        raise NothingToCompare(f"only version {held} has served")
    if _overlap(before, after):
        raise ConfigurationError(f"--old and --new name the same version; name two of these: {held}")
    return before, after


def _named(name: str, first: dict[Arm, int]) -> Arm | None:
    """Return the arm called *name*: a version, or version/variant; None if it has not served."""
    if any(arm.version == name for arm in first):
        return Arm(name)
    return next((arm for arm in first if f"{arm.version}/{arm.variant}" == name), None)


def _overlap(one: Arm, other: Arm) -> bool:
    return one.version == other.version and (not one.variant or not other.variant or one.variant == other.variant)
