"""Law: no check is silent about what it could not see. Whatever the windows lack, each says what it would have seen, or that it was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest

from radiosonde.diagnose import check
from radiosonde.diagnose.finding import Finding, Floor, Onset, Place, confidence
from radiosonde.diagnose.registry import Check, Report, View, all_checks
from radiosonde.diagnose.status import EXIT_CODES, SUBJECTS
from radiosonde.model import RUNTIME_MODEL, SeriesKey, Window
from radiosonde.model.lost import LostCounts
from tests.factories import (
    HOUR_NS,
    START_NS,
    make_durations,
    make_features,
    make_labels,
    make_output,
    make_reference,
    make_runtime_window,
    make_window,
)

MINUTE_NS, MINUTES, CALLS = 60_000_000_000, 40, 30
REFERENCE = make_reference()
REFERENCES = {("m", version): REFERENCE for version in ("v1", "v2")}
CHECKS = all_checks()


def served(minute: int, version: str, region: str, calls: int = CALLS) -> Window:
    """Return a minute in which one series was served, with everything that a window can hold."""
    rng = np.random.default_rng([minute, int(version[1:]), int(region[1:])])
    cells = {
        "wind": [*rng.multinomial(calls, [0.5, 0.5]), 0, 0, 0, 0],
        "carrier": [*rng.multinomial(calls, [0.6, 0.4]), 0, 0],
    }
    return make_window(
        SeriesKey("m", version, "", f"region={region}"),
        start_ns=START_NS + minute * MINUTE_NS,
        end_ns=START_NS + (minute + 1) * MINUTE_NS,
        process=f"p{version[1:]}",
        durations_s=rng.lognormal(-4.6, 0.3, calls).tolist(),
        errors={"ValueError": 1} if rng.random() < 0.1 else {},
        output=make_output([("yes" if rng.random() < 0.4 else "no", 0.7) for _ in range(calls)]),
        features=make_features(REFERENCE, cells),
        labels=make_labels({("correct", "1h"): calls - 1, ("wrong", "1h"): 1}, lags_s={"yes": [30.0] * 5}),
    )


RICH = [served(minute, version, region) for minute in range(MINUTES) for version in ("v1", "v2") for region in ("r0", "r1")]  # fmt: skip
LIVED = [
    make_runtime_window(
        START_NS + minute * MINUTE_NS,
        START_NS + (minute + 1) * MINUTE_NS,
        process=process,
        loop_lags=make_durations([0.001] * 5),
        memory_limit_bytes=10**9,
    )
    for minute in range(MINUTES)
    for process in ("p1", "p2")
]


def each(change: Callable[[Window], Window], windows: list[Window] = RICH) -> list[Window]:
    """Return *windows*, changed."""
    return [change(window) for window in windows]


def slept(window: Window) -> Window:
    """Return *window* as one in which nobody called."""
    empty = make_window(
        window.key, start_ns=window.start_ns, end_ns=window.end_ns, process=window.process, durations_s=()
    )
    return replace(empty, latency=replace(window.latency, counts=window.latency.counts * 0, sums_s=window.latency.sums_s * 0))  # fmt: skip


def lost(windows: list[Window]) -> list[Window]:
    """Return health in which nearly all calls could not be stored."""
    counted = LostCounts(windows=Counter({("m", "store"): 90}), calls=Counter({("m", "store"): 10**7}))
    return each(lambda window: replace(window, lost=counted), windows)


FEW = [served(minute, "v1", "r0", 2) for minute in range(5)]
POOR: dict[str, tuple[list[Window], list[Window]]] = {
    "nothing but one call": ([served(0, "v1", "r0", 1)], []),
    "few rows": (FEW, []),
    "few rows in many windows": ([served(minute, "v1", "r0", 1) for minute in range(MINUTES)], LIVED),
    "one window": (RICH[:4], LIVED[:2]),
    "no past": (RICH[:12], LIVED[:6]),
    "no labels": (each(lambda window: replace(window, labels=None)), LIVED),
    "labels and no lags": (each(lambda window: replace(window, labels=make_labels({("correct", "1h"): 20}))), LIVED),
    "no answers": (each(lambda window: replace(window, output=make_output())), LIVED),
    "no features": (each(lambda window: replace(window, features=None)), LIVED),
    "no latency": (each(lambda window: replace(slept(window), calls=CALLS, rows=CALLS)), LIVED),
    "no calls": (each(slept), LIVED),
    "no calls lately": (RICH[:-8] + each(slept, RICH[-8:]), LIVED),
    "every call fails": (each(lambda window: replace(window, errors={"ValueError": window.calls})), LIVED),
    "a gap of a day": (RICH[:60] + each(lambda window: replace(window, start_ns=window.start_ns + 24 * HOUR_NS, end_ns=window.end_ns + 24 * HOUR_NS), RICH[60:]), LIVED),
    "every third window": ([window for window in RICH if (window.start_ns - START_NS) // MINUTE_NS % 3 == 0], LIVED),
    "few rows looked at": (each(lambda window: replace(window, features=replace(window.features, counted_rows=1))), LIVED),
    "one cohort only": ([window for window in RICH if window.key.cohort == "region=r0"], LIVED),
    "a small cohort": ([*RICH, *(served(minute, "v1", "r7", 1) for minute in range(4))], LIVED),
    "a version of one call": ([*RICH, served(MINUTES - 1, "v3", "r0", 1)], LIVED),
    "no health": (RICH, []),
    "health of others": (RICH, [replace(window, process="stranger") for window in LIVED]),
    "health without a limit": (RICH, each(lambda window: replace(window, runtime=replace(window.runtime, memory_limit_bytes=0)), LIVED)),
    "processes of a minute": (each(lambda window: replace(window, process=f"p{window.start_ns}")), each(lambda window: replace(window, process=f"p{window.start_ns}"), LIVED)),
    "nearly all calls lost": (RICH, lost(LIVED)),
}  # fmt: skip


def sees(floors) -> bool:
    """Return whether one of *floors* is known."""
    return any(not isnan(floor.value) for floor in floors)


@pytest.mark.parametrize("poor", POOR)
@pytest.mark.parametrize("registered", CHECKS, ids=[each.name for each in CHECKS])
def test_nothing_passes_without_a_floor(registered, poor):
    """Of every check and every poor input: there is something said, nothing passes that could not have been seen, and every gap has its reason."""
    windows, lived = POOR[poor]
    references = {} if poor == "few rows" else REFERENCES
    report = registered.examine(View("m", windows, lived, references))
    going_on = [found for found in (*report.findings, *report.notes) if found.onset.ended_ns is None]
    assert report.checked or report.gaps or going_on
    assert all(sees(said.floors) or (going_on and said.floors) for said in report.checked)
    assert all(gap.because and gap.check for gap in report.gaps)


@pytest.mark.parametrize("poor", POOR)
def test_healthy_means_that_errors_and_latency_would_have_been_seen(poor):
    """The whole answer is healthy only where failing and slow calls have known floors; else its exit code says so, and why."""
    windows, lived = POOR[poor]
    answer = check([*windows, *lived], {}, model="m")
    seen = {said.subject for said in answer.checked if sees(said.floors)}
    if answer.status == "healthy":
        assert {"errors", "latency"} <= seen
        return
    assert answer.findings or {gap.subject for gap in answer.missing} & {"errors", "latency", "all"}
    assert EXIT_CODES[answer.status] == (1 if answer.findings else 3)
    assert all(gap.because for gap in answer.missing)


@pytest.mark.parametrize(
    "poor", ["nothing but one call", "few rows", "one window", "no latency", "no calls", "nearly all calls lost"]
)
def test_what_cannot_be_seen_is_no_health(poor):
    """Windows in which no slow or failing call would be reported are not checked, exit code 3, with a reason for each subject."""
    windows, lived = POOR[poor]
    answer = check([*windows, *lived], {}, model="m")
    assert not answer.findings
    assert (answer.status, EXIT_CODES[answer.status]) == ("not checked", 3)
    assert "latency" in {gap.subject for gap in answer.missing}
    assert not {said.subject for said in answer.checked} & {"latency"}


@pytest.mark.parametrize("poor", ["a small cohort", "a version of one call"])
def test_places_in_which_nothing_would_be_seen_are_named(poor):
    """A cohort or version with too few calls for any rate to be reported stands among what was not checked, by name."""
    windows, lived = POOR[poor]
    said = [gap.because for gap in check([*windows, *lived], {}, model="m").not_checked]
    whose = "region=r7" if poor == "a small cohort" else "version v3"
    assert sum(whose in because for because in said) >= 2  # failures and latency


def examined(look) -> Report:
    """Return what the engine makes of a check that does *look*."""
    made = Check("made", "what is made up", "latency", ("calls",), ("past",), "windows", "none", look)
    return made.examine(View("m", RICH, LIVED, {}))


BLIND = Floor(nan, "share", "nothing yet for two windows")
SEEING = Floor(0.1, "share", "10 % for an hour")


@pytest.mark.parametrize("floors", [(), (BLIND,), (BLIND, BLIND)], ids=["none", "one", "two"])
def test_the_engine_takes_no_check_for_passed_that_has_no_floor(floors):
    """A check that says it passed, with floors of which none is known or without any, is not checked; the subject is not covered."""
    report = examined(lambda view, report: report.passed(view, "made up", "latency", floors))
    assert report.checked == []
    (gap,) = report.gaps
    assert (gap.check, gap.subject) == ("made up", "latency")
    assert gap.because
    assert (BLIND.text in gap.because) is bool(floors)


def test_the_engine_keeps_what_would_have_been_seen_and_says_what_not():
    """A known floor beside an unknown one passes; a check that says nothing at all is not checked."""
    report = examined(lambda view, report: report.passed(view, "made up", "latency", (BLIND, SEEING)))
    assert [said.floors for said in report.checked] == [(BLIND, SEEING)]
    (gap,) = examined(lambda view, report: None).gaps
    assert (gap.check, gap.subject) == ("what is made up", "latency")


@pytest.mark.parametrize("ended", [None, START_NS + HOUR_NS], ids=["going on", "over"])
def test_a_finding_that_goes_on_is_a_floor_of_its_own(ended):
    """Beside what is found and goes on a check passes, and says that nothing else would be seen; beside what is over it does not."""
    onset = Onset(START_NS, START_NS, START_NS, ended)
    found = Finding("made", "errors", "page", "t", "v", Place("m"), onset, confidence(30.0), (), ())

    def look(view, report):
        report.add(found)
        report.passed(view, "made up", "latency")

    report = examined(look)
    assert [bool(said.floors) for said in report.checked] == ([True] if ended is None else [])
    assert len(report.gaps) == (0 if ended is None else 1)


def test_subjects_and_the_model_of_processes_are_known():
    """The words of this file are those of the engine."""
    assert {"errors", "latency"} <= set(SUBJECTS)
    assert {window.key.model for window in LIVED} == {RUNTIME_MODEL}
