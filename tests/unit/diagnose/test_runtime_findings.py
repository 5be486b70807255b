"""Processes that stand still are findings of their own, and explain the slow calls of the same time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.diagnose import check
from tests.factories import KEY, START_NS, make_durations, make_latency, make_runtime_window, make_window

MINUTE_NS = 60_000_000_000
MINUTES, ONSET = 120, 90


def served(process="worker-1", *, slow=False):
    """Return a window per minute of twenty calls; with *slow*, four of them take two seconds from the onset on."""
    windows = []
    for minute in range(MINUTES):
        taken = [0.004] * 16 + [2.0 if slow and minute >= ONSET else 0.005] * 4
        at_ns = START_NS + minute * MINUTE_NS
        made = make_window(KEY, start_ns=at_ns, end_ns=at_ns + MINUTE_NS, process=process, durations_s=taken)
        windows.append(replace(made, latency=make_latency(taken, {"work": taken})))
    return windows


def lived(process="worker-1", *, since=None, first=ONSET, last=MINUTES, **before):
    """Return the health of *process* per minute, with the fields *since* from minute *first* to *last*."""
    return [
        make_runtime_window(
            START_NS + minute * MINUTE_NS, START_NS + (minute + 1) * MINUTE_NS, process=process,
            **{**before, **((since or {}) if first <= minute < last else {})},
        )
        for minute in range(MINUTES)
    ]  # fmt: skip


STORMS = [
    ("gc_pauses", [0.001] * 30 + [4.6] * 2, "garbage collections take longer than 1 s"),
    ("loop_lags", [0.002] * 100 + [1.5] * 10, "turns of the event loop take longer than 0.5 s"),
    ("pool_waits", [5.0] * 20, "waits for a thread of the pool take longer than 1 s"),
]


@pytest.mark.parametrize(("field", "durations", "title"), STORMS)
@pytest.mark.parametrize("first", [0, ONSET])
def test_a_process_that_stands_still_for_seconds_is_a_page(field, durations, title, first):
    """From some minute on, and from the first minute on too: it takes no history to know that this is too long."""
    usual = {field: make_durations([0.001] * 30)}
    runtime = lived(since={field: make_durations(durations)}, first=first, **usual)
    (finding,) = check([*served(), *runtime], {}).findings
    assert (finding.name, finding.severity) == (f"runtime.{field}.all", "page")
    assert title in finding.title
    assert finding.onset.at_ns == START_NS + first * MINUTE_NS
    assert finding.onset.whole_span == (first == 0)


@pytest.mark.parametrize(("field", "durations", "title"), STORMS)
def test_slow_calls_of_the_same_time_are_its_symptom(field, durations, title):
    """One incident: the cause is the finding, the slow calls are a note that names it."""
    runtime = lived(since={field: make_durations(durations)}, **{field: make_durations([0.001] * 30)})
    diagnosis = check([*served(slow=True), *runtime], {})
    (finding,) = diagnosis.findings
    assert finding.kind == "runtime"
    assert "explains" in {item.name for item in finding.evidence}
    assert any("explained by" in note.title and note.kind == "latency" for note in diagnosis.notes)


def test_one_process_of_three_is_named():
    """The other two collect as ever."""
    storm = {"gc_pauses": make_durations([0.001] * 30 + [4.6] * 2)}
    usual = {"gc_pauses": make_durations([0.001] * 30)}
    names = ("worker-1", "worker-2", "worker-3")
    windows = [window for name in names for window in served(name)]
    runtime = [window for name in names for window in lived(name, since=storm if name == "worker-2" else {}, **usual)]
    (finding,) = check([*windows, *runtime], {}).findings
    assert finding.name == "runtime.gc_pauses.worker-2"


def test_what_is_rare_short_or_somebody_else_s_is_nobody_s_incident():
    """One long collection in an hour, eighty milliseconds each, or the storm of a process that serves another model."""
    usual = {"gc_pauses": make_durations([0.001] * 300)}
    rare = lived(since={"gc_pauses": make_durations([0.001] * 299 + [2.0])}, first=95, last=96, **usual)
    assert check([*served(), *rare], {}).healthy
    short = lived(since={"gc_pauses": make_durations([0.08] * 300)}, **usual)
    assert check([*served(), *short], {}).healthy
    elsewhere = lived("worker-9", since={"gc_pauses": make_durations([4.6] * 20)})
    assert check([*served(), *lived(**usual), *elsewhere], {}).healthy


def test_a_storm_that_is_over_is_a_note():
    """Twenty minutes of collections, seventy minutes ago."""
    usual = {"gc_pauses": make_durations([0.001] * 30)}
    runtime = lived(since={"gc_pauses": make_durations([0.001] * 30 + [4.6] * 2)}, first=30, last=50, **usual)
    diagnosis = check([*served(), *runtime], {})
    assert diagnosis.findings == ()
    (note,) = diagnosis.notes
    assert note.onset.ended_ns == START_NS + 50 * MINUTE_NS
