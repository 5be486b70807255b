"""Detection floors are honest: a change at the floor is found about nine times in ten, no less and not always."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.service import Traffic, calls, failing, series
from radiosonde.diagnose import check
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.floors import rate_floor

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
