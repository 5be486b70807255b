"""Processes that are short of CPU, memory or a disk: findings where calls are slow of it, notes elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose import check
from radiosonde.diagnose.memory_growth import find_growth
from tests.factories import make_durations
from tests.unit.diagnose.test_runtime_findings import MINUTE_NS, MINUTES, ONSET, START_NS, lived, served

USUAL = {
    "cores": 2.0,
    "cpu_s": 30.0,
    "run_delay_s": 1.0,
    "cpu_stalled_s": 2.0,
    "memory_stalled_s": 0.0,
    "io_stalled_s": 0.5,
}
SHORTAGES = [
    ("throttling", {"throttled_periods": 400}),
    ("run_queue", {"run_delay_s": 60.0}),
    ("memory_stall", {"memory_stalled_s": 25.0}),
    ("io_stall", {"io_stalled_s": 40.0}),
]


@pytest.mark.parametrize(("name", "since"), SHORTAGES)
def test_a_shortage_explains_the_slow_calls_of_the_same_time(name, since):
    """One incident, a page: the slow calls are a note that names the cause."""
    diagnosis = check([*served(slow=True), *lived(since=since, **USUAL)], {})
    (finding,) = diagnosis.findings
    assert (finding.name, finding.severity) == (f"runtime.{name}.all", "page")
    assert abs(finding.onset.at_ns - START_NS - ONSET * MINUTE_NS) <= MINUTE_NS
    (symptom,) = [note for note in diagnosis.notes if note.kind == "latency"]
    assert f"(explained by: {finding.title})" in symptom.title


@pytest.mark.parametrize(("name", "since"), SHORTAGES)
def test_a_busy_machine_that_answers_in_time_is_a_note(name, since):
    """It is a note in the report."""
    diagnosis = check([*served(), *lived(since=since, **USUAL)], {})
    assert diagnosis.findings == ()
    assert [note.name for note in diagnosis.notes] == [f"runtime.{name}.all"]


def test_calls_that_compute_more_are_the_cause_of_a_full_cpu():
    """Three times the CPU per call, and the limit is reached: the slow calls stay the finding, the full CPU is what comes of it."""
    since = {"cpu_s": 118.0, "throttled_periods": 500}
    diagnosis = check([*served(slow=True), *lived(since=since, **USUAL)], {})
    assert [finding.kind for finding in diagnosis.findings] == ["latency"]
    notes = [note for note in diagnosis.notes if note.name.startswith("runtime.")]
    assert {note.name for note in notes} == {"runtime.throttling.all", "runtime.saturation.all"}
    assert all("compute more" in note.verdict for note in notes)


def test_a_collector_that_storms_is_the_nearer_cause():
    """It uses all the CPU as well."""
    since = {"gc_pauses": make_durations([0.001] * 30 + [4.6] * 2), "throttled_periods": 400}
    diagnosis = check([*served(slow=True), *lived(since=since, **USUAL)], {})
    assert [finding.name for finding in diagnosis.findings] == ["runtime.gc_pauses.all"]


@pytest.mark.parametrize("seed", range(3))
def test_a_machine_that_breathes_is_no_shortage(seed):
    """Shares that wander from minute to minute are neither findings nor notes."""
    rng = np.random.default_rng(seed)
    windows = []
    for minute in range(MINUTES):
        (one,) = lived(first=0, **USUAL)[minute : minute + 1]
        wander = float(np.exp(rng.normal(0, 0.3)))
        windows.append(replace(one, runtime=replace(one.runtime, run_delay_s=2.0 * wander, cpu_s=40.0 * wander**0.5, io_stalled_s=3.0 * wander)))  # fmt: skip
    diagnosis = check([*served(), *windows], {})
    assert [found.name for found in (*diagnosis.findings, *diagnosis.notes) if found.kind == "runtime"] == []


GIB = 1 << 30


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (lambda minute: 0.5 + 0.004 * minute, "page"),
        (lambda minute: 0.55 + 0.001 * minute, "ticket"),
        (lambda minute: 0.1 + 0.001 * minute, None),
        (lambda minute: 0.9, None),
        (lambda minute: 0.55 if minute < 60 else 0.8, None),
        (lambda minute: 0.9 - 0.4 * np.exp(-minute / 20), None),
    ],
    ids=["an hour left", "hours left", "far below", "high and steady", "a step", "a cache that filled"],
)
def test_memory_that_grows_steadily_towards_its_limit_is_told_before_it_is_reached(level, severity):
    """With noise of half a per cent; a level that is high, a step, or a cache that has filled grow towards nothing."""
    rng = np.random.default_rng(3)
    health = []
    for minute, window in enumerate(lived(memory_limit_bytes=GIB, **USUAL)):
        used = int(GIB * (level(minute) + rng.normal(0, 0.005)))
        health.append(replace(window, runtime=replace(window.runtime, memory_bytes=used)))
    found = [
        finding for finding in check([*served(), *health], {}).findings if finding.name.startswith("runtime.memory")
    ]
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_time_left_and_beginning_are_right():
    """From 30 % at minute 200 by a thousandth a minute: at minute 560 it is at 66 %, with 340 minutes left."""
    at = START_NS + np.arange(561) * MINUTE_NS
    level = np.where(np.arange(561) < 200, 0.3, 0.3 + 0.001 * (np.arange(561) - 200))
    growth = find_growth(at, level * GIB, GIB)
    assert growth.used == pytest.approx(0.66, abs=0.002)
    assert growth.left_ns / MINUTE_NS == pytest.approx(340, rel=0.02)
    assert (growth.start_ns - START_NS) / MINUTE_NS == pytest.approx(201, abs=6)
