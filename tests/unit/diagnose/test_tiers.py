"""Windows of minutes, hours and days in one store: the same incidents, dated to the resolution of the tier they lie in."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.service import DAY, MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import check
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.compact import DAY_NS, Tiers

DAYS, MINUTES, HOURS = 8, 1, 3
"""How long the traffic is, and how long minutes and hours are kept, in days."""


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tier_ns", "day"),
    [(MINUTE_NS, 7.5), (60 * MINUTE_NS, 6.25), (DAY_NS, 3)],
    ids=["minutes", "hours", "days"],
)
def test_a_fault_is_found_in_every_tier(tier_ns, day, served, tmp_path):
    """One fault in a third of the calls of a region, for a while: it is found at its place before and after windows are added up."""
    rng, healthy = served
    onset = round(day * DAY)
    last = onset + max(180, tier_ns // MINUTE_NS)
    traffic = plant(rng, healthy, 0.3, onset, last, cohort="region=r1")
    now = [0]
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: now[0], tiers=Tiers(MINUTES * DAY_NS, HOURS * DAY_NS))
    writer._compacted_ns = 2**62  # by hand here
    windows = traffic.windows()
    for each in range(DAYS):
        now[0] = START_NS + (each + 1) * DAY_NS
        writer.write([window for window in windows if each == (window.start_ns - START_NS) // DAY_NS])
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
