"""A copy of windows from elsewhere: spans of numbers, each window once, and positions that agree with what was written."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.errors import StoreError
from radiosonde.store import Interval, ReferenceRow, StoreReader
from radiosonde.store.copied import CopyProgress, NumberedWindow, StoreCopy, joined, missing, spans_of, without
from tests.factories import make_window

NUMBERS = st.sets(st.integers(1, 40))
MINUTE_NS = 60 * 10**9


def numbers(spans):
    """Return the numbers in *spans*."""
    return {number for first, last in spans for number in range(first, last + 1)}


@given(NUMBERS, NUMBERS)
def test_spans_are_the_sets_that_they_stand_for(one, other):
    """Made in any order, joined, and taken from each other; no two touch."""
    spans, others = spans_of(sorted(one, reverse=True)), spans_of([*other, *other])
    assert numbers(spans) == one
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(spans))
    assert numbers(joined([*spans, *others])) == one | other
    assert numbers(without(spans, others)) == one - other


def test_missing_are_the_numbers_of_each_process_by_itself():
    """The same number of another process is another window."""
    listed = {"a": [(1, 5)], "b": [(1, 2)], "c": [(7, 7)]}
    assert missing(listed, {"a": [(2, 3)], "c": [(1, 9)]}) == {"a": [(1, 1), (4, 5)], "b": [(1, 2)]}


def numbered(number, process="one", calls=1):
    """Return the window of a minute as a source delivers it."""
    window = make_window(start_ns=number * MINUTE_NS, end_ns=(number + 1) * MINUTE_NS)
    return NumberedWindow(process, number, 5 + number, replace(window, calls=calls))


def calls(path):
    """Return the calls in the store by start in minutes."""
    return {window.start_ns // MINUTE_NS: window.calls for _, window in StoreReader(path).parts(Interval())}


@pytest.fixture
def copy(tmp_path):
    """Return a copy of one source."""
    made = StoreCopy(tmp_path / "copy.sqlite", "somewhere")
    yield made
    made.close()


def test_a_window_is_written_once_however_often_it_comes(copy, tmp_path):
    """In one batch, in a later one, and after a restart."""
    assert copy.write([numbered(1, calls=3), numbered(2, calls=4), numbered(1, calls=3)]) == 2
    assert copy.write([numbered(2, calls=4), numbered(3, calls=5)]) == 1
    again = StoreCopy(tmp_path / "copy.sqlite", "somewhere")
    assert again.write([numbered(each, calls=9) for each in (3, 2, 1)]) == 0
    again.close()
    assert calls(tmp_path / "copy.sqlite") == {1: 3, 2: 4, 3: 5}
    assert copy.copied() == {"one": [(1, 3)]}


def test_another_process_and_another_source_number_their_own_windows(copy, tmp_path):
    """A number is one of its process, which is one of its source."""
    other = StoreCopy(tmp_path / "copy.sqlite", "elsewhere")
    assert copy.write([numbered(1)]) == copy.write([numbered(1, "two")]) == other.write([numbered(1)]) == 1
    other.close()
    assert copy.copied() == {"one": [(1, 1)], "two": [(1, 1)]}


def test_the_time_of_writing_is_that_of_the_source(copy, tmp_path):
    """Staleness and ages are those of the windows, not of the copy."""
    copy.write([numbered(1), numbered(7)])
    assert StoreReader(tmp_path / "copy.sqlite").last_written_ns() == 12


def test_a_batch_with_a_window_that_no_store_can_hold_is_refused_whole(copy, tmp_path):
    """With the process and the number of that window, and nothing of the batch is noted as copied."""
    broken = numbered(2)
    broken = broken._replace(window=replace(broken.window, calls=2**70))
    with pytest.raises(
        StoreError, match="window 2 of process one has numbers that no store can hold; delete the event"
    ):
        copy.write([numbered(1), broken])
    assert copy.copied() == {}
    assert calls(tmp_path / "copy.sqlite") == {}


def test_processes_that_are_listed_no_more_are_forgotten_with_their_bound(copy):
    """Where nothing is to be forgotten, all are kept."""
    copy.write([numbered(1), numbered(1, "two")])
    assert copy.progress() == CopyProgress(0, 0)
    copy.complete(CopyProgress(9, 4))
    assert set(copy.copied()) == {"one", "two"}
    copy.complete(CopyProgress(10, 5), ["two", "three"])
    assert set(copy.copied()) == {"two"}
    assert copy.progress() == CopyProgress(10, 5)


def test_a_reference_has_the_time_at_which_it_was_sent_last(copy, tmp_path):
    """It is sent again each day, and may arrive out of order."""
    row = ReferenceRow("m", "v", "r", "{}", 20)
    for written_ns in (20, 30, 25):
        copy.write_references([row._replace(written_ns=written_ns)])
    assert StoreReader(tmp_path / "copy.sqlite").references() == [row._replace(written_ns=30)]


def test_old_windows_are_added_up_and_removed_as_in_any_store(copy, tmp_path):
    """Sixty minutes that were written three days ago are an hour; three years ago, nothing."""
    day_ns = 86_400 * 10**9
    copy.write([numbered(minute, calls=2) for minute in range(60)])
    copy.tidy(3 * day_ns)
    assert calls(tmp_path / "copy.sqlite") == {0: 120}
    copy.tidy(3 * 365 * day_ns)
    assert calls(tmp_path / "copy.sqlite") == {}
