"""Windows reduced to arrays."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.label_stream import DAY_S, START_NS, stream, windows
from radiosonde.model import LAG
from radiosonde.quality import label_table, latest_ns


def test_nothing_is_lost_whatever_the_grouping():
    """Rows, labels and their table add up to those of the windows; groups are few and in order."""
    made = stream(30, seed=1)
    seen = windows(made, as_of_s=30 * DAY_S, step_s=3600.0)
    here = made.at_s + made.lag_s <= 30 * DAY_S
    for step_s in (0, 3600, 7 * 3600):
        table = label_table(seen, as_of_ns=START_NS + int(30 * DAY_S * 1e9), step_ns=step_s * 10**9)
        assert table.rows.sum() == made.at_s.size
        assert table.lags.sum(axis=(0, 2)).tolist() == np.bincount(made.label[here]).tolist()
        assert table.joint[..., 0].sum() == here.sum()
        assert table.predicted[..., 0].sum() == made.at_s.size
        assert (np.diff(table.start_ns) > 0).all()
        assert (table.end_ns[:-1] == table.start_ns[1:]).all()
    assert len(label_table(seen).rows) < 120


def test_a_group_is_no_longer_than_a_sixteenth_of_its_age():
    """So that one age represents all its predictions; or as long as one window."""
    table = label_table(windows(stream(30, seed=1), as_of_s=30 * DAY_S, step_s=3600.0))
    length = (table.end_ns - table.start_ns) / 1e9
    assert (length <= np.maximum(3600.0, table.youngest_s() / 16)).all()


def test_the_latest_time_is_that_of_the_last_window_or_of_a_label_after_it():
    """A label in a bucket has come at its lower bound at the earliest."""
    seen = windows(stream(2, seed=1), as_of_s=400 * DAY_S)
    assert latest_ns(seen) > START_NS + int(20 * DAY_S * 1e9)
    bare = [window for window in seen if window.start_ns == START_NS]
    longest = np.flatnonzero(bare[0].labels.lags.any(axis=0))[-1]
    assert latest_ns(bare) == START_NS + int(LAG.upper_bounds_s()[longest - 1] * 1e9)
    assert latest_ns([]) == 0
