"""Detection floors are honest: a change at the floor is found about nine times in ten, no less and not always."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import BOUNDS_S, steady, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, series
from radiosonde.diagnose import check
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.floors import rate_floor
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table

SEEDS = 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "per_minute", "history", "length"),
    [(1e-5, 600.0, 1440, 2), (1e-3, 600.0, 1440, 60), (1e-2, 100.0, 1440, 500)],
)
def test_a_rise_to_the_floor_is_found_in_80_to_97_percent_of_the_draws(rate, per_minute, history, length):
    """From next to no failures and from one in a hundred; in two windows, an hour and eight hours."""
    found = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng((seed, history))
        keys = series(2, region=4)
        made = calls(rng, history, keys, per_minute)
        traffic = Traffic(keys, made, failing(rng, made, rate))
        floor = rate_floor(find_failures(traffic.table()).scan, length)
        since = slice(history - length, history)
        traffic.failures[:, since] = failing(rng, made[:, since], floor)
        found += any(incident.onset >= history - 1.5 * length for incident in find_failures(traffic.table()).incidents)
    assert 0.8 * SEEDS <= found <= 0.97 * SEEDS


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


def test_the_floor_of_slow_calls_is_honest_and_said():
    """A rise of the calls above the usual p99 to the floor is found in most draws; the report says floor and bound."""
    found, draws = 0, 20
    for seed in range(draws):
        rng = np.random.default_rng((seed, 5))
        keys = series(1)
        made = calls(rng, 200, keys, 400.0)
        traffic = Traffic(keys, made, np.zeros_like(made))
        windows = timed(rng, traffic, steady(rng, 200))
        slow = slow_spans(make_table("m", windows), windows)
        floor = rate_floor(slow.scan, 30)
        usual = float(slow.scan.hits.sum() / slow.scan.trials.sum())
        tables = steady(rng, 200)
        above = slow.bound_s < BOUNDS_S
        tables[170:, above] *= floor / usual
        tables[170:, ~above] *= (1 - floor) / (1 - usual)
        later = timed(rng, traffic, tables / tables.sum(axis=1, keepdims=True))
        after = [*windows[:170], *later[170:]]  # one series: a window a minute
        found += bool(slow_spans(make_table("m", after), after).spans)
    assert found >= 0.75 * draws
    (checked,) = [entry for entry in check(windows, {}).checked if entry.subject == "latency"]
    assert checked.floors
    assert all("% of calls above 34.1 ms for " in floor.text for floor in checked.floors)
