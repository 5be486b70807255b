"""Checks the processes for stalls: garbage collection, event loop, thread pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.measured import process_rate
from radiosonde.diagnose.registry import Check
from radiosonde.diagnose.runtime_incidents import WATCHED, runtime_findings
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the health of the processes that serve the model of *view*."""
    serving = {window.process for window in view.windows}
    lived = [window for window in view.runtime if window.runtime is not None and window.runtime.observed_s]
    processes = {window.process for window in lived if speaker_of(window) in serving}
    if not processes:
        because = "the health of the processes was not recorded (RADIOSONDE_RUNTIME is off, or Radiosonde was an older version)"
        report.gap(view, "the processes that serve it", because)
        return
    found, floors = runtime_findings(view.model, view.windows, view.runtime, wants_past=view.wants_past)
    report.add(*found)
    unknown = [watched.noun for watched in WATCHED if watched.field not in floors]
    if unknown:
        report.gap(view, ", ".join(unknown), "none was recorded: there was none, or the process does not have them")
    if floors:
        nouns = ", ".join(watched.noun for watched in WATCHED if watched.field in floors)
        what = f"{nouns} of {len(processes)} process{'' if len(processes) == 1 else 'es'}"
        report.passed(view, what, floors=list(floors.values()))


CHECK = Check(
    name="runtime",
    watches="garbage collection, event loop and thread pool of the processes",
    subject="",
    measures=("share of durations above a bound",),
    baselines=("objective", "past"),
    scales="windows",
    severity="page where 2 % of a process's calls or 0.5 % of all come while it stands still, or have to wait; else ticket; note once it has ended",
    look=look,
    about=("host",),
    explains=("tail_latency", "pressure"),
    measured=process_rate,
)
