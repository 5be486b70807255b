"""Windows that the host counted and could not store, as recorded by the host: gaps in the data that weaken checks.

A share of calls and not of windows: windows are added up to longer ones as they grow old.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from radiosonde.diagnose.finding import NotChecked, Place
from radiosonde.model import OVERFLOW_COHORT
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from radiosonde.model import Window


_MOST = 0.5


class Hole(NamedTuple):
    """The missing data of one model.

    Attributes:
        start_ns: where it begins.
        end_ns: where it ends.
        windows: windows by reason.
        calls: calls that were counted in them.
        kept: calls in the windows of the same span that were stored.
    """

    start_ns: int
    end_ns: int
    windows: Counter[str]
    calls: int
    kept: int

    @property
    def share(self) -> float:
        """Share of the calls of the span that is missing."""
        return self.calls / max(self.calls + self.kept, 1)

    def hides(self, end_ns: int) -> bool:
        """Return whether most of the latest calls are missing, where the last window that was stored ends with *end_ns*."""
        return self.end_ns >= end_ns and self.share > _MOST


def hole_of(model: str, windows: Sequence[Window], runtime: Sequence[Window]) -> Hole | None:
    """Return the missing data of *model*, over all processes; None if complete.

    Args:
        model: name of the model.
        windows: its windows.
        runtime: windows with the health of the processes, which record their losses.
    """
    counts: Counter[str] = Counter()
    calls, spans = 0, []
    for window in runtime:
        if window.lost is None:
            continue
        mine = [place for place in window.lost.windows if place[0] in (model, OVERFLOW_COHORT)]
        if mine:
            spans.append((window.start_ns, window.end_ns))
        for place in mine:
            counts[place[1]] += window.lost.windows[place]
            calls += window.lost.calls.get(place, 0)
    if not spans:
        return None
    start, end = min(first for first, _ in spans), max(last for _, last in spans)
    kept = sum(window.calls for window in windows if window.start_ns < end and window.end_ns > start)
    return Hole(start, end, counts, calls, kept)


def unseen_models(seen: Collection[str], runtime: Sequence[Window], model: str | None) -> list[NotChecked]:
    """Return a gap for each model of which not one window was stored.

    Args:
        seen: models that have windows.
        runtime: windows with the health of the processes.
        model: only this one; None for all.
    """
    told = {name for window in runtime if window.lost is not None for name, _ in window.lost.windows}
    names = sorted(name for name in told - {OVERFLOW_COHORT} - {*seen} if model in (None, name))
    holes = [(name, hole_of(name, (), runtime)) for name in names]
    return [NotChecked("everything", Place(name), hole_words(hole), "all") for name, hole in holes if hole is not None]


def hole_words(hole: Hole) -> str:
    """Describe the missing data: amount, interval and reason."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(hole.windows.items()))
    windows = sum(hole.windows.values())
    said = f"{windows} window{'s were' if windows != 1 else ' was'} counted and could not be stored ({reasons})"
    share = f"{percent(hole.share)} of the calls" if hole.calls else "labels"
    return f"{share} between {_time(hole.start_ns)} and {_time(hole.end_ns)} UTC were lost: {said}"


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
