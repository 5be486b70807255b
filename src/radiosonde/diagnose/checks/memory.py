"""Checks the processes for memory that grows towards its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.memory_growth import MIN_POINTS, growth_findings
from radiosonde.diagnose.registry import Check
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the memory of the processes that serve the model of *view*."""
    serving = {window.process for window in view.windows}
    mine = [window for window in view.runtime if window.runtime is not None and speaker_of(window) in serving]
    longest = len({window.start_ns for window in mine})
    found, limited = growth_findings(view.model, mine)
    if not limited or longest < MIN_POINTS:
        because = (
            f"there are {longest} windows with the health of processes; at least {MIN_POINTS} are needed"
            if limited
            else "no process has a memory limit, or it was not recorded"
        )
        report.gap(view, "memory towards its limit", because)
        return
    report.add(*found)
    floor = Floor(0.5, "share", "steady growth above half of the limit that reaches it within a day")
    report.passed(view, f"memory of {limited} process{'' if limited == 1 else 'es'} towards the limit", floors=[floor])


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
