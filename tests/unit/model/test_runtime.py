"""The health of a process adds up, and says quantiles within a bucket."""

from __future__ import annotations

import pytest

from radiosonde.model import DurationCounts, RuntimeCounts
from radiosonde.model.addition import add
from tests.factories import make_durations, make_runtime


def test_counts_add_and_levels_keep_the_largest():
    """Seconds, periods and tables of two minutes add up; memory is that of the larger one."""
    total = add(
        [
            make_runtime(throttled_periods=100, throttled_s=5.0, rss_bytes=300, gpu_bytes=1),
            make_runtime(gc_pauses=make_durations([0.5]), rss_bytes=200, gpu_bytes=7),
        ]
    )
    assert (total.observed_s, total.cpu_s, total.periods, total.throttled_periods) == (120.0, 12.0, 1200, 100)
    assert (total.throttled_s, total.rss_bytes, total.gpu_bytes) == (5.0, 300, 7)
    assert total.gc_pauses.counts.sum() == 21
    assert total.gc_pauses.sum_s == pytest.approx(0.52)


def test_nothing_adds_up_to_nothing():
    """The sum of processes in which nothing happened is zero."""
    total = add([RuntimeCounts(), RuntimeCounts()])
    assert (total.cpu_s, total.rss_bytes, total.gc_pauses.counts.sum()) == (0.0, 0, 0)
    assert total.loop_lags.quantile_s(0.99) == 0.0


@pytest.mark.parametrize(("rank", "expected"), [(0.0, 0.001), (0.5, 0.001), (0.99, 0.001), (0.995, 0.08), (1.0, 0.08)])
def test_a_quantile_is_at_most_a_bucket_above_the_value(rank, expected):
    """99 pauses of 1 ms and one of 80 ms: the quantile is the one or the other, up to 9 % more."""
    found = make_durations([0.001] * 99 + [0.08]).quantile_s(rank)
    assert expected <= found <= 1.0906 * expected


def test_without_durations_a_quantile_is_zero():
    """There is no slowest of none."""
    assert DurationCounts().quantile_s(0.99) == 0.0
