"""Checks the processes for memory that grows towards its limit."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.memory_growth import MIN_POINTS, look_at_memory
from radiosonde.diagnose.registry import Check, count
from radiosonde.model.percent import percent
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the memory of the processes that serve the model of *view*."""
    serving = {window.process for window in view.windows}
    mine = [window for window in view.runtime if window.runtime is not None and speaker_of(window) in serving]
    seen = look_at_memory(view.model, mine)
    report.add(*seen.findings)
    if seen.looked_at:
        floor = Floor(
            seen.floor, "share", f"steady growth of {percent(seen.floor)} of the limit an hour above half of it"
        )
        if isnan(seen.floor):
            floor = Floor(seen.floor, "share", "nothing yet of growth: the memory wanders too much")
        report.passed(view, f"memory of {count(len(seen.looked_at), 'process')} towards the limit", floors=[floor])
    what = "memory towards its limit"
    if seen.unlimited or not mine:
        which = f"{_some(seen.unlimited)}: " if seen.looked_at or seen.short else ""
        report.gap(view, what, f"{which}no memory limit is known, or memory was not recorded")
    if seen.short:
        because = f"{_some(seen.short)}: fewer than {MIN_POINTS} windows with health in the last six hours"
        report.gap(view, what, because)


def _some(processes: Sequence[str]) -> str:
    return f"process {processes[0]}" + (f" and {len(processes) - 1} more" if len(processes) > 1 else "")


CHECK = Check(
    name="memory",
    watches="memory that grows towards its limit",
    subject="",
    measures=("memory over its limit",),
    baselines=("objective",),
    scales="windows",
    severity="page when the limit is reached within an hour, ticket within a day",
    look=look,
    about=("host",),
    explains=("tail_latency", "pressure"),
)
