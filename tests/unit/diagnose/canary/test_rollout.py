"""Which versions are compared: as named, or as the windows say."""

from __future__ import annotations

import pytest

from radiosonde.diagnose.canary import NothingToCompare, make_rollout
from radiosonde.errors import ConfigurationError
from radiosonde.model import SeriesKey
from tests.factories import HOUR_NS, START_NS, make_window


def served(version, first, last, *, variant="stable", calls=2, cohort=""):
    """Return hourly windows of a version from one hour to another."""
    key = SeriesKey("delays", version, variant, cohort)
    return [
        make_window(key, start_ns=START_NS + hour * HOUR_NS, end_ns=START_NS + (hour + 1) * HOUR_NS, durations_s=(0.01,) * calls)
        for hour in range(first, last)
    ]  # fmt: skip


def chosen(windows, old=None, new=None):
    """Return both versions as text."""
    rollout = make_rollout(windows, old, new)
    return str(rollout.old), str(rollout.new)


def test_the_version_that_began_last_is_compared_with_the_busiest_beside_it():
    """Of three versions: the newest, and of the others the one with the most calls since then."""
    windows = served("1", 0, 5) + served("2", 1, 9, calls=9) + served("3", 6, 9)
    assert chosen(windows) == ("2/stable", "3/stable")


def test_of_two_that_began_together_the_canary_is_the_new_one():
    """The variant says which is rolled out; without it they must be named."""
    windows = served("1", 0, 4) + served("2", 0, 4, variant="canary")
    assert chosen(windows) == ("1/stable", "2/canary")
    with pytest.raises(ConfigurationError, match="--old and --new"):
        chosen(served("1", 0, 4) + served("2", 0, 4))
    assert chosen(served("1", 0, 4) + served("2", 0, 4), new="1") == ("2/stable", "1")


@pytest.mark.parametrize(("old", "new", "wanted"), [("1", None, ("1", "3/stable")), (None, "2", ("1/stable", "2")), ("2", "1", ("2", "1")), ("1/stable", "3", ("1/stable", "3"))])  # fmt: skip
def test_named_versions_are_taken(old, new, wanted):
    """One name or both; a version, or a version and its variant."""
    windows = served("1", 0, 9, calls=5) + served("2", 2, 9) + served("3", 4, 9)
    assert chosen(windows, old, new) == wanted


def test_variants_of_one_version_can_be_compared():
    """A flag's variants share a version."""
    windows = served("1", 0, 9) + served("1", 4, 9, variant="flagged")
    assert chosen(windows) == ("1/stable", "1/flagged")
    assert chosen(windows, "1/stable", "1/flagged") == ("1/stable", "1/flagged")


def test_a_rollout_that_has_not_begun_is_no_error():
    """One version alone, a new one that has not served, an old one that stopped before: nothing to compare yet."""
    for windows, old, new in (
        (served("1", 0, 4), None, None),
        (served("1", 0, 4), None, "2"),
        (served("1", 0, 4) + served("2", 6, 9), None, None),
    ):
        with pytest.raises(NothingToCompare):
            make_rollout(windows, old, new)


@pytest.mark.parametrize(("old", "new"), [("9", None), ("1", "1"), ("2/stable", "2")])
def test_names_that_cannot_be_meant_are_refused_with_those_there_are(old, new):
    """A version that never served as the old one, or the same one twice."""
    with pytest.raises(ConfigurationError, match="1/stable"):
        make_rollout(served("1", 0, 4) + served("2", 2, 4), old, new)


def test_the_axis_begins_with_the_new_version_and_keeps_its_windows():
    """The baseline of the old version is kept separately, by step; cohorts are rows."""
    windows = served("1", 0, 8, cohort="a=1") + served("1", 0, 8, cohort="a=2") + served("2", 5, 8, cohort="a=1")
    rollout = make_rollout(windows, None, None)
    new, old, before = rollout.counted(lambda window, _: window.calls)
    assert rollout.cohorts == ("a=1", "a=2")
    assert (new.tolist(), old.tolist()) == ([[2, 2, 2], [0, 0, 0]], [[2, 2, 2], [2, 2, 2]])
    assert before.tolist() == [[2] * 5, [2] * 5]
