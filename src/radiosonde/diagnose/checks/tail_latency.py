"""Have the slow calls become slower, over time or in one version, and which phase made them so?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.registry import Check, count

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Look at the tail of the latency of the model of *view*."""
    if view.too_short:
        report.gap(view, "tail latency", view.too_short, "latency")
        return
    slow, passed = latency_findings(view.panel, view.windows, view.runtime)
    report.findings.extend(slow)
    report.notes.extend(passed)
    phases = len(view.panel.phases)
    report.passed(view, f"tail latency over time and by version, {count(phases, 'phase')}", "latency")
    if not phases:
        report.gap(view, "latency by phase", "no phases were recorded; mark them with radiosonde.stage(...)")
    if (slow or passed) and not view.runtime:
        because = "nobody counted the health of the processes (RADIOSONDE_RUNTIME is off, or Radiosonde was older)"
        report.gap(view, "the machine while calls were slow", because)


CHECK = Check(
    name="tail_latency",
    watches="p99 and the mean beyond it, split over phases",
    subject="latency",
    measures=("share of calls above a bound", "seconds per phase"),
    baselines=("past", "peers"),
    scales="blocks",
    severity="page; a burst that is over is a note",
    look=look,
)
