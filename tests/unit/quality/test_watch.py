"""The watch on the label feed, where its edges are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.label_stream import DAY_S, START_NS, Stream, stream, windows
from radiosonde.quality import watch_feed

HOUR_S = 3600.0


def hours(days, seed, lag_h=3.0):
    """Return a stream whose labels take a few hours."""
    made = stream(days, seed=seed)
    draw = np.random.default_rng(seed)
    return Stream(made.at_s, made.score, made.label, lag_h * HOUR_S * np.exp(draw.normal(0, 0.8, made.at_s.size)))


@pytest.mark.parametrize("stopped_d", [4.0, 7.5])
def test_a_feed_that_has_been_dead_for_most_of_the_time_is_found_too(stopped_d):
    """The baseline is not taken from the dead time: the moment comes out within an hour or two of fifteen days."""
    made = windows(hours(21, 1), as_of_s=21 * DAY_S, step_s=HOUR_S, stopped_s=stopped_d * DAY_S)
    state = watch_feed(made, as_of_ns=START_NS + int(21 * DAY_S * 1e9))
    assert state.is_stopped
    assert abs((state.at_ns - START_NS) / 1e9 - stopped_d * DAY_S) < 3 * HOUR_S


def test_no_windows_and_too_few_labels_are_unknown_not_well():
    """Nothing is claimed of a feed that nothing is known of."""
    assert watch_feed([]).unknown == "there are no windows"
    made = windows(hours(0.01, 1), as_of_s=DAY_S, step_s=60.0)
    state = watch_feed(made)
    assert "too few labels" in state.unknown
    assert not state.is_broken


def test_a_pause_in_traffic_is_no_pause_in_the_feed():
    """When there are no predictions, no labels are missed."""
    made = hours(21, 2)
    keep = made.at_s < 20 * DAY_S
    quiet = Stream(made.at_s[keep], made.score[keep], made.label[keep], made.lag_s[keep])
    state = watch_feed(windows(quiet, as_of_s=21 * DAY_S, step_s=HOUR_S), as_of_ns=START_NS + int(21 * DAY_S * 1e9))
    assert not state.is_broken


def test_the_time_of_the_newest_label_counts_when_predictions_have_ended():
    """Labels that came days after the last prediction say until when the feed was seen alive."""
    seen = windows(stream(60, seed=3), as_of_s=75 * DAY_S)
    assert not watch_feed(seen).is_broken
    assert max(window.end_ns for window in seen) == START_NS + int(60 * DAY_S * 1e9)


def test_a_rhythm_of_traffic_is_expected():
    """Nights without traffic, seen at dawn: nothing is missing."""
    made = hours(21, 4)
    hour = made.at_s / HOUR_S % 24
    day = (hour > 7) & (hour < 22)
    busy = Stream(made.at_s[day], made.score[day], made.label[day], made.lag_s[day])
    end_s = 20 * DAY_S + 7 * HOUR_S
    state = watch_feed(windows(busy, as_of_s=end_s, step_s=HOUR_S), as_of_ns=START_NS + int(end_s * 1e9))
    assert not state.is_broken
