"""Law: incremental detectors give the same result as one diagnosis of all windows, for any sequence of updates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.quality.incidents.latency import BOUNDS_S, slow, steady
from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose.check import check
from radiosonde.diagnose.known_bad import KnownBad
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.live import CHECKS, LiveDiagnosis
from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.policy import Policy
from radiosonde.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from radiosonde.diagnose.finding import Finding
    from radiosonde.model import Window

PLACES = (("", ""), ("v2", ""), ("", "region=r1"), ("v1", "region=r0"))


class Fault(NamedTuple):
    """A share of the calls at a place fails for some time."""

    place: tuple[str, str]
    rate: float
    start: int
    minutes: int


def served(seed: int, minutes: int, faults: list[Fault], per_minute: float = 300.0, rate: float = 0.002) -> Traffic:
    """Return traffic of two versions in three regions with *faults*."""
    rng = np.random.default_rng(seed)
    keys = series(2, region=3)
    made = calls(rng, minutes, keys, per_minute)
    traffic = Traffic(keys, made, failing(rng, made, rate))
    for (version, cohort), share, start, lasting in faults:
        traffic = plant(rng, traffic, share, start, min(start + lasting, minutes), version=version, cohort=cohort)
    return traffic


def cold(windows: list[Window], policy: Policy | None = None) -> dict[str, Finding]:
    """Return the findings of the live checks in one diagnosis of *windows*, by id."""
    whole = check(windows, {}, policy=policy)
    return {each.id: each for each in (*whole.findings, *whole.notes) if each.check in CHECKS and each.id}


def warm(live: LiveDiagnosis) -> dict[str, Finding]:
    """Return the incidents of *live*, by id."""
    return {each.id: each for each in live.incidents}


@settings(
    max_examples=12, derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)  # each example is a hundred looks
@given(
    seed=st.integers(0, 10_000),
    faults=st.lists(
        st.builds(
            Fault,
            st.sampled_from(PLACES),
            st.sampled_from([0.03, 0.1, 0.5, 1.0]),
            st.integers(0, 80),
            st.sampled_from([1, 2, 4, 12, 40, 999]),
        ),
        max_size=4,
    ),
    looks=st.lists(st.sampled_from([1, 1, 1, 2, 3, 7, 30]), min_size=1, max_size=12),
    restarts=st.sets(st.integers(0, 40), max_size=3),
    late=st.sets(st.integers(0, 89), max_size=6),
    per_minute=st.sampled_from([6.0, 300.0, 3000.0]),
)
def test_looks_at_new_windows_say_what_one_look_at_all_says(
    tmp_path_factory, seed, faults, looks, restarts, late, per_minute
):
    """However windows are cut into looks, come late or out of order, and wherever the process is started again, the findings are those of one look."""
    minutes = 90
    traffic = served(seed, minutes, faults, per_minute)
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("live") / "watch.state"
    live, given_so_far, kept = LiveDiagnosis(path), [], []
    at = number = 0
    while at < minutes:
        until = min(at + looks[number % len(looks)], minutes)
        new = traffic.windows(at, until)
        held = [window for window in new if (window.start_ns - START_NS) // MINUTE_NS in late and rng.random() < 0.5]
        batch = [window for window in new if window not in held] + kept
        rng.shuffle(batch)
        live.advance(batch)
        given_so_far += batch
        at, number, kept = until, number + 1, held
        if number in restarts:
            live.close()
            live = LiveDiagnosis(path)
    live.advance(kept)
    assert warm(live) == cold(given_so_far + kept)
    live.close()


@pytest.mark.parametrize(
    ("faults", "rate"),
    [
        ([Fault(("", ""), 0.1, 100, 20), Fault(("v2", ""), 0.2, 110, 999)], 0.002),  # spreads while another goes on
        ([Fault(("v2", ""), 0.3, 0, 999)], 0.002),  # bad from the first call on
        ([Fault(("", "region=r1"), 0.03, start, 2) for start in range(20, 180, 25)], 0.001),  # bursts
        ([Fault(("v1", "region=r0"), 1.0, 90, 5), Fault(("v1", "region=r0"), 1.0, 100, 999)], 0.0),  # comes back
    ],
)
def test_every_look_says_what_a_cold_look_at_that_moment_says(faults, rate):
    """While incidents spread, overlap, end and come back, no look differs from one that starts from nothing."""
    traffic = served(5, 200, faults, rate=rate)
    with LiveDiagnosis() as live:
        for minute in range(200):
            live.advance(traffic.windows(minute, minute + 1))
            if minute % 19 == 0 or minute in range(101, 116, 3):
                assert warm(live) == cold(traffic.windows(0, minute + 1)), minute


def test_each_change_is_reported_once_over_restarts(tmp_path):
    """An incident is opened, recovered and verified once each, though the process is started again before every look."""
    traffic = served(3, 271, [Fault(("", ""), 0.2, 100, 30)])
    path = tmp_path / "watch.state"
    with LiveDiagnosis(path) as live:
        live.advance(traffic.windows(0, 95))
    seen = []
    for minute in [*range(95, 139), *range(139, 260, 12)]:
        until = minute + (1 if minute < 139 else 12)
        with LiveDiagnosis(path) as live:
            seen += [(each.what, each.incident) for each in live.advance(traffic.windows(minute, until))]
    assert [what for what, _ in seen] == ["opened", "recovered", "verified"]
    assert len({incident for _, incident in seen}) == 1


def test_a_change_that_could_not_be_delivered_is_reported_again(tmp_path):
    """When delivery fails nothing is written down: the next process takes the same windows and says the same."""
    traffic = served(3, 130, [Fault(("", ""), 0.3, 120, 999)])

    def refuse(changes):
        raise ConnectionError(len(changes))

    live = LiveDiagnosis(tmp_path / "watch.state")
    live.advance(traffic.windows(0, 120))
    before = live.seen_until_ns("m")
    with pytest.raises(ConnectionError):
        live.advance(traffic.windows(120, 130), refuse)
    live.close()
    with LiveDiagnosis(tmp_path / "watch.state") as again:
        assert again.seen_until_ns("m") == before
        delivered: list[str] = []
        again.advance(traffic.windows(120, 130), lambda changes: delivered.extend(each.what for each in changes))
        assert delivered == ["opened"]


def timed_windows(
    seed: int, minutes: int, faults: list[tuple[str, float, float, int, int]], per_minute: float = 400.0
) -> list[list[Window]]:
    """Return the windows of each minute of traffic in which a share of the calls at a place takes some times as long from one minute to another."""
    rng = np.random.default_rng(seed)
    keys = series(2, region=3)
    made = calls(rng, minutes, keys, per_minute)
    traffic = Traffic(keys, made, failing(rng, made, 0.002))
    tables = {key: steady(rng, minutes) for key in keys}
    for where, share, factor, start, end in faults:
        for key in keys:
            if where in ("", key.version, key.cohort):
                tables[key] = slow(tables[key], share, factor, start, end)
    found: list[list[Window]] = [[] for _ in range(minutes)]
    for window in traffic.windows():
        minute = (window.start_ns - START_NS) // MINUTE_NS
        counts = rng.multinomial(window.calls, tables[window.key][minute])
        latency = replace(window.latency, counts=counts, sums_s=counts * BOUNDS_S)
        found[minute].append(replace(window, latency=latency))
    return found


SLOWDOWNS = {
    "none": [],
    "body": [("", 1.0, 2.5, 100, 400)],
    "tail of a version": [("v2", 0.05, 20.0, 110, 400)],
    "a cohort and a fix": [("region=r1", 0.5, 8.0, 90, 120)],
    "mild, then worse elsewhere": [("", 0.3, 3.0, 80, 400), ("region=r2", 0.6, 30.0, 120, 400)],
    "comes back": [("v1", 0.2, 10.0, 90, 96), ("v1", 0.2, 10.0, 110, 116), ("v1", 0.2, 10.0, 130, 400)],
}


@pytest.mark.parametrize("fault", SLOWDOWNS)
def test_spans_of_slow_calls_are_those_of_one_look(tmp_path, fault):
    """Of body and tail, by version and cohort: looks of any length, late and shuffled windows, restarts and bounds that move with the data change nothing."""
    minutes = timed_windows(7, 160, SLOWDOWNS[fault])
    rng = np.random.default_rng(3)
    live, given_so_far, kept, slowed = LiveDiagnosis(tmp_path / "watch.state"), [], [], 0
    at = 0
    while at < 160:
        until = min(at + int(rng.choice([1, 1, 1, 2, 9])), 160)
        new = [window for part in minutes[at:until] for window in part]
        held = [window for window in new if rng.random() < 0.03]
        batch = [window for window in new if window not in held] + kept
        rng.shuffle(batch)
        live.advance(batch)
        slowed += "m" in live.slowed
        given_so_far += batch
        at, kept = until, held
        if rng.random() < 0.1:
            live.close()
            live = LiveDiagnosis(tmp_path / "watch.state")
        if at % 5 == 0:
            assert live.slow_spans("m") == slow_spans(make_table("m", given_so_far), given_so_far).spans, at
    live.advance(kept)
    whole = slow_spans(make_table("m", given_so_far + kept), given_so_far + kept).spans
    assert live.slow_spans("m") == whole
    assert bool(whole) is bool(SLOWDOWNS[fault])
    assert (slowed > 0) is bool(SLOWDOWNS[fault])
    live.close()


def test_a_model_that_becomes_slow_and_fast_again_is_named_once_each():
    """`slowed` holds the model in the look that opens the span and in the one that sees its end, and in none between."""
    minutes = timed_windows(5, 200, [("", 0.5, 10.0, 120, 150)])
    with LiveDiagnosis() as live:
        named = []
        for minute, windows in enumerate(minutes):
            live.advance(windows)
            named += [minute] if live.slowed else []
    first, last = named[0], named[-1]
    assert 120 <= first <= 124
    assert 150 <= last <= 160
    assert len(named) <= 4


def test_excluded_time_is_left_out_as_in_a_cold_look(tmp_path):
    """An excluded interval, declared at any moment, is not in the baseline of the live detectors either."""
    traffic = served(4, 200, [Fault(("", ""), 0.05, 40, 60), Fault(("", ""), 0.05, 150, 999)])
    policy = Policy(known_bad=(KnownBad(START_NS + 40 * MINUTE_NS, START_NS + 100 * MINUTE_NS, "m", "load test", 1),))
    with LiveDiagnosis(tmp_path / "watch.state") as live:
        for minute in range(200):
            if minute == 120:
                live.policy = policy
            live.advance(traffic.windows(minute, minute + 1))
        assert warm(live) == cold(traffic.windows(), policy)


def test_an_incident_that_goes_on_keeps_its_id_when_older_windows_become_hours(tmp_path):
    """Four days of minutes are added up to hours behind an incident that goes on, and nothing is withdrawn or opened again."""
    minutes = 4 * DAY + 120
    traffic = served(6, minutes, [Fault(("", ""), 0.1, 2 * DAY + 300, 9 * DAY)], per_minute=60.0)
    seen = []
    with LiveDiagnosis(tmp_path / "watch.state") as live:
        for first in range(0, minutes, 240):
            seen += [change.what for change in live.advance(traffic.windows(first, min(first + 240, minutes)))]
        assert live.steps("m") < 3 * DAY
        (finding,) = live.incidents
    assert seen == ["opened"]
    assert finding.onset.at_ns == START_NS + (2 * DAY + 300) * MINUTE_NS


def test_a_file_of_something_else_is_refused(tmp_path):
    """A file without the state of live detectors is not written to, and the message says what to do."""
    path: Path = tmp_path / "watch.state"
    path.write_bytes(b"no database, but long enough to look like a page " * 100)
    with pytest.raises(StoreError, match="move it aside"):
        LiveDiagnosis(path)
