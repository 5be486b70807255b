"""Do calls still arrive: fewer or more than usual, none, one cohort unlike the others, versions in another proportion?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.registry import Check, count
from radiosonde.diagnose.traffic_findings import silence_finding, traffic_finding
from radiosonde.diagnose.traffic_incidents import find_traffic
from radiosonde.diagnose.traffic_scan import BASE
from radiosonde.diagnose.traffic_series import make_grid, make_rhythm
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View
    from radiosonde.diagnose.traffic_incidents import Traffic
    from radiosonde.diagnose.traffic_series import TrafficGrid

_LEAST_PAUSES, _LONGER, _SLACK_STEPS = 6, 1.5, 3


def look(view: View, report: Report) -> None:
    """Look at the traffic of the model of *view*."""
    beside = sorted({*view.beside, *((window.start_ns, window.end_ns) for window in view.runtime)})
    grid = make_grid(view.windows, beside)
    found = None if grid is None else find_traffic(grid)
    if grid is None or found is None or found.forecasts < BASE:
        _look_at_pauses(view, report, beside)
        return
    for incident in found.incidents:
        report.add(traffic_finding(view.model, grid, incident, wants_past=view.wants_past))
    steps = f"{count(int(grid.known.sum()), 'step')} of {length_words(grid.step_ns)}"
    what = f"traffic: calls in {steps}, and of {count(found.cohorts, 'cohort')} against the others"
    report.passed(view, what, "", _floors(grid, found))


def _look_at_pauses(view: View, report: Report, beside: list[tuple[int, int]]) -> None:
    """Look at a model that is called now and then: has it been silent for longer than it ever was?"""
    rhythm = make_rhythm(view.windows, beside)
    pauses = np.diff(rhythm.start_ns)
    if pauses.size < _LEAST_PAUSES:
        because = (
            f"calls came in {count(rhythm.start_ns.size, 'window')}; it takes about 100 windows of ten calls, "
            f"or {_LEAST_PAUSES} pauses between runs, to know what is usual"
        )
        report.gap(view, "traffic", because)
        return
    longest = int(pauses.max())
    allowed = int(_LONGER * longest) + _SLACK_STEPS * rhythm.step_ns
    if rhythm.until_ns - rhythm.last_ns > allowed:
        report.add(silence_finding(view.model, rhythm, longest))
    floor = Floor(allowed / 1e9, "s", f"no call for {length_words(allowed)}")
    report.passed(view, f"pauses between calls ({count(pauses.size, 'pause')})", "", [floor])
    report.gap(view, "how many calls come", "calls are too few, or windows too long, to know how many are usual")


def _floors(grid: TrafficGrid, found: Traffic) -> list[Floor]:
    if np.isnan(found.floor):
        text = "nothing yet, whatever is missing"
        return [Floor(float("nan"), "share", text)]
    share = float(np.exp(-found.floor))
    return [Floor(share, "share", f"a drop to {percent(share)} for {length_words(3 * grid.step_ns)}")]


CHECK = Check(
    name="traffic",
    watches="calls that arrive",
    subject="",
    measures=("calls", "calls of a cohort or version over those of the others", "pauses between calls"),
    baselines=("past", "peers"),
    scales="windows",
    severity="page when half of all calls are gone, or a rise brings failures or slow calls; else ticket; a note when it is over",
    look=look,
    about=("traffic",),
    spoils=False,  # weekends and peaks end, too, and are usual for every other check
)
