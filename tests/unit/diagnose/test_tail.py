from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.tail import bucket_at, mix_and_within, split_tail
from radiosonde.model import LATENCY


def table(fetch, predict):
    """Return counts and phase sums per bucket of the total, the way windows hold them; 1 ms belongs to no phase."""
    total = fetch + predict + 0.001
    index = LATENCY.index(total)
    other = total - fetch - predict
    sums = [np.bincount(index, part, LATENCY.size) for part in (fetch, predict, other)]
    return np.bincount(index, minlength=LATENCY.size), np.stack(sums)


def test_the_parts_of_the_tail_add_up_to_the_exact_shortfall_of_the_rows():
    """Against sorting 100 000 rows: p99 within half a bucket, the shortfall and each phase's part within 3 %."""
    rng = np.random.default_rng(1)
    fetch, predict = rng.lognormal(-5, 0.6, 100_000), rng.lognormal(-6, 0.3, 100_000)
    total = fetch + predict + 0.001
    slow = np.argsort(total)[-1000:]
    tail = split_tail(*table(fetch, predict))
    assert tail.calls == 100_000
    assert tail.quantile_s == pytest.approx(np.quantile(total, 0.99), rel=0.045)
    assert tail.shortfall_s == pytest.approx(total[slow].mean(), rel=0.03)
    assert tail.phases_s == pytest.approx([fetch[slow].mean(), predict[slow].mean(), 0.001], rel=0.03)
    assert tail.phases_s.sum() == pytest.approx(tail.shortfall_s)
    assert tail.means_s == pytest.approx([fetch.mean(), predict.mean(), 0.001])


def test_no_calls_have_no_tail():
    """Nothing is divided by nothing."""
    assert split_tail(np.zeros(240, dtype=np.int64), np.zeros((2, 240))) is None


def test_the_median_bucket_holds_the_median():
    """Ten calls of one millisecond and nine of a second."""
    counts = np.zeros(240, dtype=np.int64)
    fast, slow = LATENCY.index(np.array([0.001, 1.0]))
    counts[fast], counts[slow] = 10, 9
    assert bucket_at(counts, 0.5) == fast
    assert bucket_at(counts, 0.9) == slow


def test_a_change_of_mix_alone_is_all_mix_and_the_parts_add_up():
    """Twice the traffic of a slow cohort is not a regression; a slower cohort is."""
    calls, slow = np.array([100, 100]), np.array([0, 10])
    mix, within = mix_and_within(slow, calls, np.array([0, 20]), np.array([100, 200]))
    assert mix + within == pytest.approx(20 / 300 - 10 / 200)
    assert within == 0
    mix, within = mix_and_within(slow, calls, np.array([0, 20]), calls)
    assert (mix, within) == pytest.approx((0, 0.05))
