"""The benchmarks of verdicts count right: intervals against tables, the least rows against scipy, healthy weeks that are whole."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from benchmarks import _table
from benchmarks.quality.bench_canary import COHORTS, SMALL, fewest_rows
from benchmarks.quality.bench_healthy import poisson_interval
from benchmarks.quality.incidents.healthy import FAMILIES, healthy_week
from radiosonde.diagnose import check


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (3, 0.6187, 8.7673), (10, 4.7954, 18.3904)]
)
def test_the_interval_of_a_count_is_that_of_the_tables(count, low, high):
    """Garwood's exact limits of 95 %, as printed."""
    assert poisson_interval(count) == pytest.approx((low, high), abs=2e-4)


@pytest.mark.parametrize(("base", "added"), [(0.05, 0.2), (0.002, 0.2), (0.05, 0.5)])
def test_no_test_needs_fewer_rows(base, added):
    """With so many rows a threshold keeps both promises, with one call of the cohort less none does."""

    def can(rows):
        """Return whether a threshold names a bad cohort nine times in ten, and a good one as seldom as it may."""
        usual, bad = binom.sf(range(-1, rows), rows, base), binom.sf(range(-1, rows), rows, base + added)
        return bool(((usual <= 0.01 / COHORTS) & (bad >= 0.9)).any())

    rows = round(fewest_rows(base, added) * SMALL)
    assert can(rows)
    assert not can(rows - 1)


@pytest.mark.parametrize("family", FAMILIES[:3])
def test_a_healthy_day_is_whole_and_calls_for_nobody(family):
    """Both versions and the process are in every window, and all checks of a service have something to look at."""
    windows = healthy_week(family, 1, 10, days=2)
    steps = {window.start_ns for window in windows}
    assert len(steps) == 288
    assert sum(window.runtime is not None for window in windows) == len(steps)
    diagnosis = check(windows, {}, past=True)
    assert diagnosis.findings == ()
    assert {"errors", "latency"} <= {entry.subject for entry in diagnosis.checked}


def test_a_page_of_some_parts_says_how_it_was_made():
    """The command is its first line; a bar in a cell does not end the cell."""
    row = ("some-id", "a | b", "1.0 x", "<= 2", "within", "")
    page = _table.page([row], 3, ["floors", "canary"])
    assert 'make bench B="floors canary --rounds 3 --page FILE"' in page
    assert "| some-id | a \\| b | 1.0 x | <= 2 | within |  |" in page
