from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.panel import Axis
from radiosonde.diagnose.scan import long_run_ratio, sharpen
from radiosonde.diagnose.share_scan import scan_share, step_dispersion
from radiosonde.diagnose.stuck import find_stuck_cell

AXIS = Axis(0, 3_600_000_000_000, 504)


def test_a_share_that_rises_and_stays_is_placed_to_the_step():
    """Three percent missing from step 300 on, among 40 rows an hour."""
    rng = np.random.default_rng(1)
    totals = np.full(504, 40)
    hits = rng.binomial(totals, np.where(np.arange(504) >= 300, 0.05, 0.002))
    step, (best, earliest, latest) = scan_share(AXIS, hits.astype(float), totals.astype(float), 6, min_rise=0.01)
    assert earliest <= 300 <= latest
    assert abs(best - 300) <= 2
    assert step.end == 504
    assert step.after == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("onset", [300, 301, 303, 305], ids="{} steps".format)
@pytest.mark.parametrize("rows", [40, 400], ids="{} rows".format)
def test_the_share_of_a_segment_is_that_of_its_rows(onset, rows):
    """Wherever in a block it began, and however traffic changed: no row from before the onset is counted in it."""
    totals = np.where(np.arange(504) < onset, rows, 3 * rows).astype(float)
    hits = np.where(np.arange(504) < onset, 0.0, totals // 2)
    step, (best, _, _) = scan_share(AXIS, hits, totals, 6, min_rise=0.01)
    assert (best, step.before, step.after) == (onset, 0.0, 0.5)


def test_autocorrelated_shares_of_real_worlds_do_not_alarm():
    """200 series whose share wanders like the weather for three weeks: not one is called broken."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        level = np.zeros(504)
        for hour in range(1, 504):
            level[hour] = 0.97 * level[hour - 1] + rng.normal() * 0.25
        hits = rng.binomial(40, 1 / (1 + np.exp(3 - level))).astype(float)
        alarms += scan_share(AXIS, hits, np.full(504, 40.0), 6, min_rise=0.03) is not None
    assert alarms == 0


def test_independent_blocks_have_no_long_run_excess_and_correlated_ones_have():
    """AR(1) of 0.7 has a long-run ratio of (1 + .7) / (1 - .7) = 5.7."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=4000)
    chain = np.zeros(4000)
    for index in range(1, 4000):
        chain[index] = 0.7 * chain[index - 1] + noise[index]
    assert long_run_ratio(noise, 4) == pytest.approx(1, abs=0.2)
    assert long_run_ratio(chain, 4) == pytest.approx(5.67, rel=0.2)
    assert long_run_ratio(np.zeros(10), 4) == 1


def test_rows_that_share_one_reading_are_not_taken_for_independent():
    """All forty rows of an hour missing together count like one row, not like forty."""
    rng = np.random.default_rng(3)
    together = 40.0 * (rng.random(504) < 0.1)
    assert step_dispersion(together, np.full(504, 40.0), 6) == pytest.approx(40, rel=0.25)
    assert step_dispersion(rng.binomial(40, 0.1, 504).astype(float), np.full(504, 40.0), 6) < 1.3


def test_the_likelihood_set_of_an_onset_holds_the_truth():
    """Of 100 onsets of a rate that doubles, the set holds at least 95."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hits = rng.binomial(40, np.where(np.arange(200) >= 90, 0.2, 0.1))
        _, earliest, latest = sharpen(hits, np.full(200, 40), 96, 200, 24, 1.0)
        held += earliest <= 90 <= latest
    assert held >= 95


@pytest.mark.parametrize(("dry_share", "found"), [(0.0, True), (0.6, False)])
def test_one_value_for_two_days_is_stuck_only_where_that_is_not_usual(dry_share, found):
    """A temperature that stops moving is stuck; rain that is zero for days is a dry spell."""
    rng = np.random.default_rng(4)
    cells = rng.multinomial(20, [0.25] * 4, size=504)
    dry = np.repeat(rng.random(84) < dry_share, 6)
    cells[dry] = [20, 0, 0, 0]
    cells[300:] = [20, 0, 0, 0] if found else cells[300:]
    stuck = find_stuck_cell(cells, 6)
    if found:
        assert (stuck.start, stuck.end, stuck.value) == (300, 504, 0.0)
        assert stuck.ln_e > 12
    else:
        assert stuck is None or stuck.ln_e < 12
