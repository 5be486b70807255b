"""Checks Radiosonde's own telemetry: live processes that count no calls, clocks that were set back, and insufficient sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.clock_steps import clock_steps, least_step_s
from radiosonde.diagnose.finding import Evidence, Finding, Floor, Onset, Place, confidence
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.next_steps import look_at_health, look_before
from radiosonde.diagnose.registry import Check, count
from radiosonde.model.percent import percent
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.clock_steps import ClockStep
    from radiosonde.diagnose.registry import Report, View
    from radiosonde.model import Window

_LEAST_WINDOWS, _QUIET_WINDOWS, _BUSY = 20, 5, 0.9
_THIN_ROWS, _THIN_SHARE = 200.0, 0.1


def look(view: View, report: Report) -> None:
    """Check the telemetry of the processes that serve the model of *view*."""
    serving = {window.process for window in view.windows if window.calls}
    lived = [window for window in view.runtime if window.runtime is not None and speaker_of(window) in serving]
    if len({window.start_ns for window in lived}) < _LEAST_WINDOWS:
        because = f"there are fewer than {_LEAST_WINDOWS} windows with the health of processes beside the calls"
        report.gap(view, "our own telemetry", because)
        return
    silent, watched = _silent(view, lived)
    report.add(*silent, *(_clock_finding(view, step) for step in clock_steps(lived)), *_thin(view))
    if watched:
        floor = Floor(
            float(_QUIET_WINDOWS),
            "windows",
            f"a process that counts no call for {_QUIET_WINDOWS} windows while others do",
        )
        report.passed(view, f"calls of {count(len(watched), 'process')}", floors=[floor])
    unwatched = len(serving) - len(watched)
    if unwatched:
        because = f"it needs calls in nearly each of {_LEAST_WINDOWS} windows with health, and a second process with the same version"
        report.gap(view, f"calls that are no longer counted, of {count(unwatched, 'process')}", because)
    longest = max((window.end_ns - window.start_ns) / 1e9 for window in lived)
    back = least_step_s(longest)
    clock = Floor(back, "s", f"a clock that is set back by {back:.0f} s")
    report.passed(view, f"clocks of {count(len({speaker_of(window) for window in lived}), 'process')}", floors=[clock])


def _silent(view: View, lived: Sequence[Window]) -> tuple[list[Finding], list[str]]:
    """Return the live processes that stopped counting calls after having some in nearly each window, while others of the same version continue.

    The second list holds all processes in which that would have been detected.
    """
    made, watched = [], []
    counted: dict[str, set[int]] = {}
    versions: dict[str, set[str]] = {}
    newest_of: dict[str, int] = {}
    for window in view.windows:
        if window.calls:
            counted.setdefault(window.process, set()).add(window.start_ns)
            versions.setdefault(window.process, set()).add(window.key.version)
            newest_of[window.key.version] = max(newest_of.get(window.key.version, 0), window.start_ns)
    for process, times in sorted(counted.items()):
        # After a rollout the processes of the old version may live on for a while.
        newest = max(newest_of[version] for version in versions[process])
        health = np.array(sorted({window.start_ns for window in lived if speaker_of(window) == process}))
        since = health[health > max(times)]
        before = health[(health >= min(times)) & (health <= max(times))]
        share = float(np.mean([at in times for at in before.tolist()])) if before.size else 0.0
        if before.size < _LEAST_WINDOWS or share < _BUSY:
            continue
        if any(versions[process] & versions[other] for other in counted if other != process):
            watched.append(process)
        if since.size < _QUIET_WINDOWS or newest < since[_QUIET_WINDOWS - 1]:
            continue
        onset = Onset(int(since[0]), int(since[0]), int(since[0]))
        said = f"no call in {since.size} windows in which it lived, in {percent(share)} of {before.size} windows before"
        # Probability of no calls in so many windows at the former share.
        ln_e = -since.size * float(np.log(max(1 - share, 0.5 / before.size)))
        made.append(
            Finding(
                f"telemetry.silent.{process}", "telemetry", "ticket", f"process {process} is alive but no longer counts calls",
                "The other processes continue. Either it gets no calls (a load balancer removed it), or its calls are no longer recorded; calls it served are missing from all figures.",
                Place(view.model), onset, confidence(ln_e), (Evidence("silent_windows", float(since.size), "windows", said),),
                (look_at_health(onset), look_before(Place(view.model), onset)),
            )
        )  # fmt: skip
    return made, watched


def _clock_finding(view: View, step: ClockStep) -> Finding:
    onset = Onset(step.start_ns, step.start_ns, step.start_ns, step.end_ns)
    back = length_words(round((step.lived_s - step.whole_s) * 1e9))
    said = f"{step.lived_s:.0f} s by the monotonic clock in {count(step.windows, 'window')} of {step.whole_s:.0f} s"
    return Finding(
        f"telemetry.clock.{step.process}", "telemetry", "info", f"the clock of process {step.process} was set back by about {back}",
        "Calls at that time are counted in the wrong window: rates and onsets are off by as much. Their number is not compared with the usual one.",
        Place(view.model), onset, confidence(30.0), (Evidence("observed", step.lived_s, "s", said),), (look_at_health(onset),),
    )  # fmt: skip


def _thin(view: View) -> list[Finding]:
    """Return the finding that too few rows of the last windows were sampled for feature checks."""
    starts = sorted({window.start_ns for window in view.windows})[-_LEAST_WINDOWS:]
    parts = [window.features for window in view.windows if window.features is not None and window.start_ns >= starts[0]]
    rows = float(sum(int(part.cells[0].sum()) for part in parts if len(part.cells)))
    worth = float(sum(part.evidence_ratio * int(part.cells[0].sum()) for part in parts if len(part.cells)))
    if not rows or worth >= _THIN_ROWS or worth >= _THIN_SHARE * rows:
        return []
    onset = Onset(starts[0], starts[0], starts[0], whole_span=True)
    said = f"{rows:.0f} rows came in the last {len(starts)} windows; the sample is equivalent to {worth:.0f}"
    return [
        Finding(
            "telemetry.thin", "telemetry", "info", f"too few rows are sampled: {percent(worth / rows)} of the rows",
            "The CPU budget leaves too few rows to detect a change of a feature; raise RADIOSONDE_CPU_BUDGET, or observe fewer features.",
            Place(view.model), onset, confidence(30.0), (Evidence("worth", worth, "rows", said),), (look_at_health(onset),),
        )
    ]  # fmt: skip


CHECK = Check(
    name="telemetry",
    watches="processes that count no calls, clocks, and samples of features",
    subject="",
    measures=("windows with calls", "seconds by the monotonic clock", "rows looked at"),
    baselines=("past", "peers"),
    scales="windows",
    severity="ticket for a process that counts no calls; else note",
    look=look,
    about=("telemetry",),
    spoils=False,
)
