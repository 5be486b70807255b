"""Windows of minutes, hours and days in one store: the same incidents, dated to the resolution of the tier they lie in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import check
from radiosonde.model import LATENCY
from radiosonde.sketches import KllSketch
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.compact import DAY_NS, Tiers
from tests.factories import EDGES_S, make_feature, make_features, make_reference, make_window

DAYS, MINUTES, HOURS = 8, 1, 3
"""How long the traffic is, and how long minutes and hours are kept, in days."""

TIERS = [(MINUTE_NS, 7.5), (60 * MINUTE_NS, 6.25), (DAY_NS, 3)]
"""The length of the windows of each tier, and a day that lies in it at the end."""


@pytest.fixture(scope="module")
def served():
    """Return eight days of healthy traffic of two regions, and the generator that drew it."""
    rng = np.random.default_rng(11)
    keys = series(1, region=2)
    made = calls(rng, DAYS * DAY, keys, 60.0, swing=0.3)
    return rng, Traffic(keys, made, failing(rng, made, 0.002))


def incidents(path):
    """Return the failures that a store shows, as (place, onset, end), the past included."""
    found = check(open_source(path, sketches=False).windows(), {}, past=True)
    return [(each.where.cohort, each.onset.at_ns, each.onset.ended_ns) for each in found.findings if each.where.cohort]


def stored(path, windows, references=None):
    """Return the writer of a store into which *windows* were written at the end of their days."""
    now = [0]
    writer = StoreWriter(path, clock_ns=lambda: now[0], tiers=Tiers(MINUTES * DAY_NS, HOURS * DAY_NS))
    writer._compacted_ns = 2**62  # by hand here
    for each in range(DAYS):
        now[0] = START_NS + (each + 1) * DAY_NS
        writer.write([window for window in windows if each == (window.start_ns - START_NS) // DAY_NS], references)
    return writer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tier_ns", "day"),
    TIERS,
    ids=["minutes", "hours", "days"],
)
def test_a_fault_is_found_in_every_tier(tier_ns, day, served, tmp_path):
    """One fault in a third of the calls of a region, for a while: it is found at its place before and after windows are added up."""
    rng, healthy = served
    onset = round(day * DAY)
    last = onset + max(180, tier_ns // MINUTE_NS)
    traffic = plant(rng, healthy, 0.3, onset, last, cohort="region=r1")
    writer = stored(tmp_path / "a.db", traffic.windows())
    before = incidents(tmp_path / "a.db")
    writer.compact(START_NS + DAYS * DAY_NS + 10 * MINUTE_NS)
    lengths = {window.end_ns - window.start_ns for window in open_source(tmp_path / "a.db", sketches=False).windows()}
    assert lengths == {MINUTE_NS, 60 * MINUTE_NS, DAY_NS}
    after = incidents(tmp_path / "a.db")
    for found, resolution_ns in ((before, MINUTE_NS), (after, tier_ns)):
        ((place, at_ns, ended_ns),) = found
        assert place == "region=r1"
        assert abs(at_ns - (START_NS + onset * MINUTE_NS)) <= 2 * resolution_ns
        assert abs(ended_ns - (START_NS + last * MINUTE_NS)) <= 2 * resolution_ns


REFERENCE = make_reference(
    [make_feature("wind", (100,) * 10 + (0, 0, 0, 0)), make_feature("gust", (500, 500, 0, 0, 0, 0))]
)
CALLS = 20


def minute(rng, at, *, is_faulty=False):
    """Return a minute of calls with two features: wind is even over its cells, gust is a whole number of knots."""
    durations = rng.lognormal(-5, 0.4, CALLS) + (0.1 if is_faulty else 0)
    bucket = np.searchsorted(LATENCY.upper_bounds_s(), durations)
    missing = CALLS // 2 if is_faulty else 0
    wind = [*np.bincount(rng.integers(0, 10, CALLS - missing), minlength=10), 0, 0, missing, 0]
    low = int(rng.binomial(CALLS, 0.5))
    knots = KllSketch()
    knots.update(rng.integers(1, 40, CALLS) * (0.514444 if is_faulty else 1.0))
    cells = {"wind": wind, "gust": (low, CALLS - low, 0, 0, 0, 0)}
    start_ns = START_NS + at * MINUTE_NS
    window = make_window(durations_s=[0.0] * CALLS, start_ns=start_ns, end_ns=start_ns + MINUTE_NS, process="p1")
    latency = replace(
        window.latency,
        counts=np.bincount(bucket, minlength=LATENCY.size),
        sums_s=np.bincount(bucket, durations, minlength=LATENCY.size),
        edge_counts=np.bincount(np.searchsorted(EDGES_S, durations), minlength=len(EDGES_S) + 1),
    )
    features = make_features(REFERENCE, cells, {("gust", "kll_double"): knots.to_bytes()}, CALLS)
    return replace(window, latency=latency, features=features)


@pytest.fixture(scope="module")
def healthy():
    """Return eight days of healthy minutes."""
    rng = np.random.default_rng(12)
    return [minute(rng, at) for at in range(DAYS * DAY)]


FAULTS = [("latency", ""), ("data", "wind"), ("data", "gust")]
"""What each fault of `minute` is found as: its kind and its feature."""


def shown(path):
    """Return when each fault that a store shows began, the past included."""
    source = open_source(path)
    found = check(source.windows(), source.references(), past=True)
    return {(each.kind, each.where.feature): each.onset.at_ns for each in found.findings}


@pytest.mark.slow
@pytest.mark.parametrize(("tier_ns", "day"), [*TIERS[:2], (DAY_NS, 4)], ids=["minutes", "hours", "days"])
def test_slow_calls_and_faulty_features_are_found_in_every_tier(tier_ns, day, healthy, tmp_path):
    """Calls that take 0.1 s longer, a feature that goes missing, a unit that changes: all are found, dated to their tier."""
    rng = np.random.default_rng(13)
    onset = round(day * DAY)
    windows = [*healthy[:onset], *(minute(rng, at, is_faulty=True) for at in range(onset, DAYS * DAY))]
    writer = stored(tmp_path / "a.db", windows, {("delays", "1"): REFERENCE})
    before = shown(tmp_path / "a.db")
    assert writer.compact(START_NS + DAYS * DAY_NS + 10 * MINUTE_NS)
    after = shown(tmp_path / "a.db")
    step_ns = 10 * MINUTE_NS  # of a panel of eight days
    assert sorted(before) == sorted(after) == sorted(FAULTS)
    for fault in FAULTS:
        # Sketches, which show units, lie a tier further than counts.
        kept_ns = DAY_NS if fault == ("data", "gust") and tier_ns > MINUTE_NS else tier_ns
        assert abs(before[fault] - (START_NS + onset * MINUTE_NS)) <= 2 * step_ns
        assert abs(after[fault] - (START_NS + onset * MINUTE_NS)) <= 2 * max(step_ns, kept_ns)
