"""Detection floors are honest: a change at the floor is found about nine times in ten, no less and not always."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.bench_floors import CHECKS, SEEDS
from benchmarks.quality.incidents.latency import steady, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, series
from radiosonde.diagnose import check
from radiosonde.diagnose.panel import Axis
from radiosonde.diagnose.share_floors import ShareRule, share_floor


@pytest.mark.slow
@pytest.mark.parametrize("name", ["failures-2", "failures-60", "failures-500"])
def test_a_rise_to_the_floor_is_found_in_80_to_97_percent_of_the_draws(name):
    """From next to no failures and from one in a hundred; in two windows, an hour and eight hours."""
    _, draw = CHECKS[name]
    found = sum(bool(draw(seed)) for seed in range(SEEDS))
    assert 0.8 * SEEDS <= found <= 0.97 * SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latency", "runtime", "missing", "level", "label-silence"])
def test_a_change_as_large_as_the_floor_is_found_by_every_other_check_too(name):
    """Of the draws that had a floor, three in four at least; `make bench B=floors` has more of them."""
    _, draw = CHECKS[name]
    found = [each for each in map(draw, range(4 if name == "label-silence" else 12)) if each is not None]
    assert len(found) >= 4
    assert sum(found) >= 0.75 * len(found)


def test_the_floor_of_slow_calls_is_said_with_its_bound():
    """The bound is about the usual p99."""
    rng = np.random.default_rng((0, 5))
    keys = series(1)
    made = calls(rng, 200, keys, 400.0)
    windows = timed(rng, Traffic(keys, made, np.zeros_like(made)), steady(rng, 200))
    (checked,) = [entry for entry in check(windows, {}).checked if entry.subject == "latency"]
    assert checked.floors
    assert all("% of calls above 34.1 ms for " in floor.text for floor in checked.floors)


@pytest.mark.parametrize(
    ("hits", "length", "floor"),
    [(0.0, 96, (0.03, 0.08)), (0.2, 96, (0.1, 0.25)), (0.0, 2, (float("nan"),) * 2), (1.0, 96, (float("nan"),) * 2)],
    ids=["none before", "a fifth before", "for two steps", "all before"],
)
def test_the_floor_of_a_share_depends_on_what_there_was_and_how_long_it_lasts(hits, length, floor):
    """Of 20 days of hours with 50 rows each, two hours say nothing to a scan in blocks; nor does anything where all is missing anyhow."""
    axis = Axis(0, 3_600_000_000_000, 480)
    totals = np.full(axis.size, 50.0)
    events = np.random.default_rng(1).binomial(50, hits, axis.size).astype(float)
    found = share_floor(axis, events, totals, 6, length, ShareRule(0.03))
    assert np.isnan(found) if np.isnan(floor[0]) else floor[0] <= found <= floor[1]


def test_the_floor_falls_with_time_and_traffic_and_is_in_text_and_json():
    """An hour shows less than two windows need; ten times the calls show less, too."""
    floors = {}
    for per_minute in (60.0, 600.0):
        rng = np.random.default_rng(1)
        keys = series(1)
        made = calls(rng, 300, keys, per_minute)
        diagnosis = check(Traffic(keys, made, failing(rng, made, 0.001)).windows(), {})
        (checked,) = [entry for entry in diagnosis.checked if entry.subject == "errors"]
        floors[per_minute] = [floor.value for floor in checked.floors]
        assert [floor.text.split(" failing ")[1] for floor in checked.floors] == ["for two windows", "for an hour"]
        (entry,) = [entry for entry in diagnosis.to_json()["checked"] if entry["subject"] == "errors"]
        assert [floor["value"] for floor in entry["floors"]] == floors[per_minute]
    assert floors[60.0][0] > floors[60.0][1] > floors[600.0][1]
    assert floors[60.0][0] > floors[600.0][0]
