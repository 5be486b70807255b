"""Our own telemetry: a process that lives and counts nothing, a clock that was set back, a sample that shows nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import START_NS as START
from benchmarks.quality.incidents.service import Traffic, calls, failing
from benchmarks.quality.incidents.service import series as timed_series
from radiosonde.diagnose import check
from radiosonde.model import FeatureCounts
from tests.factories import START_NS, make_runtime_window
from tests.unit.diagnose.test_runtime_findings import MINUTE_NS, MINUTES, lived, served


def told(windows, severities=("ticket", "info")):
    """Return the findings and notes on our own telemetry."""
    diagnosis = check(windows, {})
    return [each for each in (*diagnosis.findings, *diagnosis.notes) if each.kind == "telemetry" and each.severity in severities]  # fmt: skip


def until(windows, minute, *, since=0):
    """Return the windows from minute *since* to before *minute*."""
    return [window for window in windows if since <= (window.start_ns - START_NS) // MINUTE_NS < minute]


def newer(windows):
    """Return the windows as those of another version."""
    return [replace(window, key=window.key._replace(version="next")) for window in windows]


@pytest.mark.parametrize(("last", "found"), [(MINUTES, 0), (MINUTES - 4, 0), (MINUTES - 5, 1), (60, 1)])
def test_a_process_that_lives_and_counts_no_call_is_a_ticket(last, found):
    """Two others serve on; five windows are enough."""
    windows = [*served("worker-1"), *served("worker-2"), *until(served("worker-3"), last)]
    health = [window for name in ("worker-1", "worker-2", "worker-3") for window in lived(name)]
    said = told([*windows, *health])
    assert [finding.name for finding in said] == ["telemetry.silent.worker-3"] * found
    assert all(finding.onset.at_ns == START_NS + last * MINUTE_NS for finding in said)


@pytest.mark.parametrize(
    "windows",
    [
        lambda: [
            *served("worker-1"),
            *lived("worker-1"),
            *until(served("worker-2"), 60),
            *until(lived("worker-2"), 60),
        ],
        lambda: [*until(served("worker-1"), 60), *lived("worker-1")],
        lambda: [*served("worker-1"), *lived("worker-1"), *until(served("worker-2"), 60)[::3], *lived("worker-2")],
        lambda: [*served("worker-1"), *lived("worker-1"), *lived("worker-2")],
        lambda: [*until(served("worker-1"), 60), *lived("worker-1"), *newer(served("worker-2")), *lived("worker-2")],
    ],
    ids=["it ended", "nobody serves", "called now and then", "it never served", "another version took over"],
)
def test_a_process_that_ended_or_is_seldom_called_is_none(windows):
    """Nor is a silence of all, which is a matter of traffic."""
    assert told(windows()) == []


def test_a_clock_that_was_set_back_is_a_note():
    """Five minutes by the monotonic clock in a window of one."""
    health = lived()
    health[50] = replace(health[50], runtime=replace(health[50].runtime, observed_s=300.0))
    (note,) = told([*served(), *health])
    assert note.title == "the clock of process worker-1 was set back by about 4 min"
    assert note.onset.at_ns == START_NS + 50 * MINUTE_NS


@pytest.mark.parametrize(("weight", "found"), [(1, 0), (20, 0), (1000, 1)])
def test_a_sample_too_thin_to_show_anything_is_a_note(weight, found):
    """Each sampled row has weight *weight*; a thousand leaves forty of 40 000."""
    rows = 2000
    cells = np.zeros((1, 14), dtype=np.int64)
    cells[0, 0] = rows
    features = FeatureCounts(
        "g",
        "r",
        True,
        ("x",),
        cells,
        np.zeros(1, np.uint64),
        counted_rows=rows // weight,
        weight_square_sum=rows * weight,
    )
    windows = [replace(window, features=features) for window in served()]
    assert [note.name for note in told([*windows, *lived()])] == ["telemetry.thin"] * found


@pytest.mark.parametrize("minutes", [-60, -10, -1, 10, 600], ids=str)
@pytest.mark.parametrize("is_ill", [False, True], ids=["healthy", "slow"])
def test_a_clock_that_steps_is_one_note_and_neither_makes_nor_hides_a_fault(minutes, is_ill):
    """Set back or forward by a minute to ten hours: no finding of its own, one note if back, and a version that is slow is found as ever."""
    rng, size, at = np.random.default_rng(3), 260, 200
    keys = timed_series(2, region=2)
    made = calls(rng, size, keys, 300.0)
    faults = {"v2": slow(steady(rng, size), 0.3, 20, 150)} if is_ill else None
    true = timed(rng, Traffic(keys, made, failing(rng, made, 0.002)), steady(rng, size), faults)

    def stamped(minute):
        return START + (minute + (minutes if minute >= at else 0)) * MINUTE_NS

    windows = [
        replace(window, process="p1", start_ns=shown, end_ns=shown + MINUTE_NS)
        for window in true
        for shown in [stamped((window.start_ns - START) // MINUTE_NS)]
    ]
    observed = Counter(stamped(minute) for minute in range(size))
    health = [make_runtime_window(start, start + MINUTE_NS, process="p1", observed_s=60.0 * times) for start, times in observed.items()]  # fmt: skip
    answer = check([*windows, *health], {})
    assert [finding.where.version for finding in answer.findings] == (["v2"] if is_ill else [])
    clocks = [note.title for note in answer.notes if note.name.startswith("telemetry.clock")]
    back = {-60: "60 min", -10: "10 min", -1: "60 s"}.get(minutes)
    assert clocks == ([] if back is None else [f"the clock of process p1 was set back by about {back}"])
