"""Finds the time in which a process lived for longer than its windows last: its clock was set back, and calls of two times share a window.

A clock that is set back by an hour lives through each window of that hour twice, which is one step. One that is set forward leaves a gap, which is no
different from an outage of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from radiosonde.model import Window

_LONGER, _SLACK_S = 1.25, 2.0
_APART = 2


class ClockStep(NamedTuple):
    """A clock that was set back.

    Attributes:
        process: whose clock.
        start_ns: start of the first window that the process lived through twice.
        end_ns: end of the last.
        windows: how many there are.
        lived_s: seconds that the process lived in them, by the monotonic clock.
        whole_s: seconds that they last.
    """

    process: str
    start_ns: int
    end_ns: int
    windows: int
    lived_s: float
    whole_s: float


def clock_steps(runtime: Iterable[Window]) -> list[ClockStep]:
    """Return the clocks that were set back in *runtime*, windows with the health of processes, by process and time."""
    lived: dict[tuple[str, int], float] = {}
    lengths: dict[tuple[str, int], int] = {}
    for window in runtime:
        if window.runtime is not None:
            place = window.process, window.start_ns
            lived[place] = lived.get(place, 0.0) + window.runtime.observed_s
            lengths[place] = window.end_ns - window.start_ns
    steps: list[ClockStep] = []
    for process, start_ns in sorted(lived):
        place = process, start_ns
        length_s = lengths[place] / 1e9
        if lived[place] <= _LONGER * length_s + _SLACK_S:
            continue
        new = ClockStep(process, start_ns, start_ns + lengths[place], 1, lived[place], length_s)
        last = steps[-1] if steps else None
        if last is not None and last.process == process and start_ns - last.end_ns <= (_APART - 1) * lengths[place]:
            new = ClockStep(process, last.start_ns, new.end_ns, last.windows + 1, last.lived_s + new.lived_s, last.whole_s + length_s)  # fmt: skip
            steps.pop()
        steps.append(new)
    return steps


def least_step_s(length_s: float) -> float:
    """Return by how many seconds a clock must be set back to be seen in windows of *length_s* seconds."""
    return (_LONGER - 1) * length_s + _SLACK_S
