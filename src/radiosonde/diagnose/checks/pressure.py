"""Checks the processes for a shortage of CPU, memory, or input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.measured import process_rate
from radiosonde.diagnose.pressure_incidents import SHORTAGES, shortage_findings
from radiosonde.diagnose.registry import Check
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View

_WHAT = "shortage of CPU, memory, or input and output"


def look(view: View, report: Report) -> None:
    """Check the resource shortages of the processes that serve the model of *view*."""
    serving = {window.process for window in view.windows}
    mine = [window for window in view.runtime if window.runtime is not None and speaker_of(window) in serving]
    found, floors = shortage_findings(view.model, view.windows, mine, wants_past=view.wants_past) if mine else ([], {})
    uncounted = [shortage.name.replace("_", " ") for shortage in SHORTAGES if shortage.name not in floors]
    if uncounted:
        which = f"{', '.join(uncounted)}: " if floors else ""
        because = (
            "not recorded (RADIOSONDE_RUNTIME is off, Radiosonde was an older version, or the kernel does not count it)"
        )
        report.gap(view, _WHAT, which + because)
    if floors:
        report.add(*found)
        counted = ", ".join(name.replace("_", " ") for name in floors)
        report.passed(view, f"{_WHAT}: {counted}", floors=list(floors.values()))


CHECK = Check(
    name="pressure",
    watches="throttling, run queues, saturation and stalls of the processes",
    subject="",
    measures=("share of time lost",),
    baselines=("objective", "past"),
    scales="windows",
    severity="that of the slow calls that it explains; without any a note",
    look=look,
    about=("host",),
    explains=("tail_latency",),
    only_with_symptoms=True,
    spoils=False,
    measured=process_rate,
)
"""A busy process that answers in time is not an incident."""
