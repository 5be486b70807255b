"""Do calls still arrive: fewer or more than usual, none, one cohort unlike the others, versions in another proportion?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.clock_steps import clock_steps
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.measured import traffic_rate
from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.registry import Check, count
from radiosonde.diagnose.traffic_days import MIN_DAYS
from radiosonde.diagnose.traffic_findings import days_finding, silence_finding, traffic_finding, whom_of
from radiosonde.diagnose.traffic_incidents import MOST_COHORTS, find_traffic, parts_of
from radiosonde.diagnose.traffic_scan import MIN_FORECASTS
from radiosonde.diagnose.traffic_seldom import look_at_part, look_at_whole
from radiosonde.diagnose.traffic_series import covering, make_grid, without_spans
from radiosonde.model.percent import percent
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from radiosonde.diagnose.registry import Report, View
    from radiosonde.diagnose.traffic_incidents import Traffic
    from radiosonde.diagnose.traffic_seldom import Seldom
    from radiosonde.diagnose.traffic_series import TrafficGrid
    from radiosonde.model import SeriesKey


def look(view: View, report: Report) -> None:
    """Check the traffic of the model of *view*."""
    served_beside = {*view.beside, *((window.start_ns, window.end_ns) for window in view.runtime)}
    beside = covering(view.windows, sorted(served_beside))
    grid = make_grid(view.windows, beside)
    serving = {window.process for window in view.windows}
    set_back = clock_steps(window for window in view.runtime if speaker_of(window) in serving)
    if grid is not None and set_back:
        grid = without_spans(grid, [(step.start_ns, step.end_ns) for step in set_back])
    found = None if grid is None else find_traffic(grid)
    if grid is None or found is None or found.forecasts < MIN_FORECASTS:
        _look_at_seldom(view, report, beside)
        return
    for incident in found.incidents:
        report.add(traffic_finding(view.model, grid, incident, wants_past=view.wants_past))
    steps = f"{count(int(grid.known.sum()), 'step')} of {length_words(grid.step_ns)}"
    what = f"traffic: calls in {steps}, and of {count(found.cohorts, 'cohort')} against the others"
    report.passed(view, what, "", _floors(grid, found))
    _look_at_days(view, report, beside, found)
    served = {incident.place for incident in found.incidents}
    unseen = [
        (place, {key for key, is_in in zip(grid.keys, rows, strict=True) if is_in}) for place, rows in found.unseen
    ]
    _look_at_parts(view, report, beside, [part for part in unseen if part[0] not in served])


def _look_at_days(view: View, report: Report, beside: Sequence[tuple[int, int]], found: Traffic) -> None:
    """Check whole days, too: a forecast by steps has little power for few calls, and nightly jobs are intermittent."""
    seen = look_at_whole(view.windows, beside)
    is_known = any(each.place == PlaceName() and each.excursion.recovered is None for each in found.incidents)
    if seen.change is not None and not is_known:
        _report(view, report, seen._replace(is_silent=False))
    if seen.floor is not None:
        report.passed(view, "traffic: calls by day", "", [_day_floor(seen)])


def _look_at_seldom(view: View, report: Report, beside: Sequence[tuple[int, int]]) -> None:
    """Check a model that is called occasionally, or has a short history."""
    seen = look_at_whole(view.windows, beside)
    if seen.rhythm is None:
        called = count(len({window.start_ns for window in view.windows if window.calls}), "window")
        because = f"calls came in {called}; about 100 windows of ten calls, or 7 runs with pauses between them, are needed to know what is usual"
        report.gap(view, "traffic", because)
        return
    _report(view, report, seen)
    report.passed(view, f"pauses between calls ({count(seen.rhythm.pauses.size, 'pause')})", "", [_pause_floor(seen)])
    if seen.floor is None:
        because = f"there are too few calls, or windows are too long, to know the usual number; by day, {MIN_DAYS} days and about 40 calls in a week are needed"
        report.gap(view, "how many calls come", because)
    else:
        report.passed(view, "calls by day", "", [_day_floor(seen)])
    if seen.is_silent or seen.change is not None:
        return  # of all, so of each part
    keys = tuple(sorted({window.key for window in view.windows}))
    calls = dict.fromkeys(keys, 0.0)
    for window in view.windows:
        calls[window.key] += window.calls
    parts = parts_of(keys, np.array([calls[key] for key in keys]))
    named = [(place, {key for key, is_in in zip(keys, rows, strict=True) if is_in}) for place, rows in parts]
    _look_at_parts(view, report, beside, named)


def _look_at_parts(
    view: View, report: Report, beside: Sequence[tuple[int, int]], parts: Iterable[tuple[PlaceName, set[SeriesKey]]]
) -> None:
    """Check the pauses and days of *parts*, cohorts first; a version that ends is a rollout."""
    cohorts = [part for part in parts if part[0].cohort]
    seen = [look_at_part(place, keys, view.windows, beside, len(cohorts)) for place, keys in cohorts[:MOST_COHORTS]]
    for each in seen:
        _report(view, report, each)
    known = [each for each in seen if each.rhythm is not None]
    if known:
        worst = max(known, key=lambda each: (each.allowed_ns, each.place))
        where = f" in {whom_of(worst.place)}"
        floors = [_pause_floor(worst, where), *([] if worst.floor is None else [_day_floor(worst, where)])]
        report.passed(view, f"pauses and days of {count(len(known), 'cohort')} with few calls", "", floors)
    unknown = [whom_of(each.place) for each in seen if each.rhythm is None]
    if unknown:
        some = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        report.gap(view, f"traffic of {count(len(unknown), 'cohort')}", f"{some}: too few calls to know how many are usual")  # fmt: skip


def _report(view: View, report: Report, seen: Seldom) -> None:
    if seen.is_silent and seen.rhythm is not None:
        report.add(silence_finding(view.model, seen.rhythm, seen.place))
    elif seen.change is not None:
        report.add(days_finding(view.model, seen.place, seen.change, max(window.end_ns for window in view.windows)))


def _pause_floor(seen: Seldom, where: str = "") -> Floor:
    return Floor(seen.allowed_ns / 1e9, "s", f"no call{where} for {length_words(seen.allowed_ns)}")


def _day_floor(seen: Seldom, where: str = "") -> Floor:
    if seen.floor is None:
        return Floor(float("nan"), "share", f"nothing yet by day{where}, whatever is missing")
    low, high, days = seen.floor
    length = "a day" if days == 1 else f"{days} days"
    return Floor(low, "share", f"a drop to {percent(low)}, or a rise to {high:.2g} times,{where} for {length}")


def _floors(grid: TrafficGrid, found: Traffic) -> list[Floor]:
    if np.isnan(found.floor.fall):
        text = "no drop would be reported yet"
        return [Floor(float("nan"), "share", text)]
    short, lasting = (
        length_words(steps * grid.step_ns) for steps in (grid.pace.short, max(grid.pace.long, grid.pace.surge))
    )
    share, factor = float(np.exp(-found.floor.fall)), float(np.exp(found.floor.rise))
    floors = [
        Floor(share, "share", f"a drop to {percent(share)} for {short}"),
        Floor(factor, "times", f"a rise to {factor:.2g} times for {lasting}"),
    ]
    worst = found.worst
    if worst is not None:
        where, length = whom_of(worst.place), length_words(worst.steps * grid.step_ns)
        share, factor = float(np.exp(-worst.floor.fall)), float(np.exp(worst.floor.rise))
        text = f"a drop to {percent(share)}, or a rise to {factor:.2g} times, in {where} for {length}"
        floors.append(Floor(share, "share", text if share > 0 else f"nothing yet in {where}, whatever is missing"))
    return floors


CHECK = Check(
    name="traffic",
    watches="calls that arrive",
    subject="",
    measures=("calls", "calls of a cohort or version over those of the others", "pauses between calls", "calls by day"),
    baselines=("past", "peers"),
    scales="windows",
    severity="page when half of all calls are gone (in windows above ten minutes, two thirds), or a rise brings failures or slow calls; else ticket; note once it has ended",
    look=look,
    about=("traffic",),
    spoils=False,  # weekends and peaks end, too, and are usual for every other check
    measured=traffic_rate,
)
