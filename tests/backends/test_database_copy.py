"""The copy of a database that a watch keeps: what is new is read once, by its time and number, and a kill in between loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.errors import StoreError
from radiosonde.sources import open_source, parse
from radiosonde.sources.database_copy import BATCH, DatabaseCopy
from tests.backends._window_events import event_database
from tests.factories import START_NS, make_window

MINUTE_NS, DAY_NS = 60 * 10**9, 86_400 * 10**9
NOW_NS = START_NS + 20 * DAY_NS


@pytest.fixture
def database(clickhouse_engine, tmp_path):
    """Return an empty database of events, which were all written now."""
    for made in event_database(clickhouse_engine, tmp_path):
        made.written_ns = NOW_NS
        yield made


@pytest.fixture
def asked(clickhouse_engine, monkeypatch):
    """Return the queries that came, with the number of rows that were answered."""
    came = []
    accept = clickhouse_engine.accept

    def listen(statement, body, name):
        answer = accept(statement, body, name)
        came.append((statement, answer.count(b"\n")))
        return answer

    monkeypatch.setattr(clickhouse_engine, "accept", listen)
    return came


@pytest.fixture
def copies(database, tmp_path):
    """Return a function that opens the copy, as a watch does when it starts."""
    opened = []

    def start(**changes):
        opened.append(DatabaseCopy(parse(database.address), tmp_path / "copy.sqlite", **changes))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def minute(number, calls=1):
    """Return the window of a minute of the service."""
    at = {"start_ns": START_NS + number * MINUTE_NS, "end_ns": START_NS + (number + 1) * MINUTE_NS}
    return replace(make_window(), calls=calls, **at)


def calls(tmp_path):
    """Return the calls in the copy, by minute."""
    found = {}
    for window in open_source(tmp_path / "copy.sqlite").windows():
        number = (window.start_ns - START_NS) // MINUTE_NS
        found[number] = found.get(number, 0) + window.calls
    return found


def read(asked):
    """Return how many windows were read."""
    return sum(rows for statement, rows in asked if "any(Body) AS body" in statement)


def test_only_what_is_new_is_read_and_with_bounds_of_time(database, copies, asked, tmp_path):
    """Three days at first, in batches; then a minute, of which alone the body is read; then nothing."""
    three_days = 3 * 1440
    database.insert([minute(number) for number in range(three_days)])
    copy = copies()
    assert copy.refresh(NOW_NS) == three_days
    assert max(rows for statement, rows in asked if "any(Body) AS body" in statement) <= BATCH
    for new, expected in (([minute(three_days)], 1), ([], 0)):
        database.insert(new, first=three_days + 1)
        asked.clear()
        assert copy.refresh(NOW_NS) == read(asked) == expected
        assert all("Timestamp > fromUnixTimestamp64Nano" in statement for statement, _ in asked)
    assert calls(tmp_path) == dict.fromkeys(range(three_days + 1), 1)


def test_an_event_that_comes_twice_counts_once(database, copies, tmp_path):
    """In one insert, in a later one, and after a restart; the same number of another process is another window."""
    windows = [minute(number, calls=number + 1) for number in range(5)]
    database.insert([*windows])
    database.insert([*windows])
    copy = copies()
    assert copy.refresh(NOW_NS) == 5
    database.insert([*windows, minute(5, calls=6)])
    assert copy.refresh(NOW_NS) == 1
    database.insert(windows[:1], process="two")
    assert copies().refresh(NOW_NS) == 1
    assert calls(tmp_path) == {0: 2, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}


@pytest.mark.parametrize(
    ("age", "is_at_once", "is_read"),
    [(59, True, True), (61, False, True), (2 * 1440 - 2, False, True), (2 * 1440 + 2, False, False)],
    ids=["within the hour", "an hour late", "almost too late", "too late"],
)
def test_late_windows_are_read_within_the_lateness(database, copies, age, is_at_once, is_read):
    """Those of the last hour at once, others when all of the lateness is listed, which a start does too."""
    newest = 4 * 1440
    copy = copies(late_ns=2 * DAY_NS)
    database.insert([minute(newest - 1)])
    assert copy.refresh(NOW_NS) == 1
    database.insert([minute(newest - age)], process="late")
    assert copy.refresh(NOW_NS) == int(is_at_once)
    assert copies(late_ns=2 * DAY_NS).refresh(NOW_NS) == int(is_read and not is_at_once)


def test_windows_that_were_too_late_stay_unread_with_a_longer_lateness(database, copies):
    """Their process may have been forgotten with what was copied of it, which would be read again."""
    database.insert([minute(1)], process="early")
    database.insert([minute(4 * 1440)])
    assert copies(late_ns=DAY_NS).refresh(NOW_NS) == 2
    assert copies(late_ns=DAY_NS).refresh(NOW_NS) == 0  # forgets
    assert copies(late_ns=9 * DAY_NS).refresh(NOW_NS) == 0


def test_a_window_waits_for_its_parts(database, copies):
    """Until half a minute after its end, and one of a clock that is ahead until its time has come."""
    database.insert([minute(0), minute(1), minute(1440)])
    end_ns = minute(1).end_ns
    copy = copies()
    assert copy.refresh(end_ns) == 1
    assert copy.refresh(end_ns + 29 * 10**9) == 0
    assert copy.refresh(end_ns + 30 * 10**9) == 1
    assert copies().refresh(NOW_NS) == 1


def test_a_clock_that_is_put_back_repeats_nothing(database, copies, tmp_path):
    """Windows that were copied are not listed then; they are not forgotten."""
    database.insert([minute(0), minute(2000)])
    assert copies().refresh(NOW_NS) == 2
    assert copies().refresh(minute(0).end_ns + MINUTE_NS) == 0
    assert copies().refresh(NOW_NS) == 0
    assert calls(tmp_path) == {0: 1, 2000: 1}


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_copy_that_is_interrupted_goes_on_where_it_was(database, copies, asked, batches, tmp_path):
    """What was written before is not read again."""
    total = 4 * BATCH
    database.insert([minute(number) for number in range(total)])
    copy = copies()
    copy.is_ending = lambda: read(asked) >= batches * BATCH
    with pytest.raises(StoreError, match="interrupted; it goes on"):
        copy.refresh(NOW_NS)
    before = read(asked)
    assert copies().is_empty
    assert copies().refresh(NOW_NS) == total - before
    assert read(asked) == total
    assert calls(tmp_path) == dict.fromkeys(range(total), 1)


def test_windows_of_other_years_are_days_of_their_own(database, copies, tmp_path):
    """Before 1970, at midnight to the nanosecond, and now."""
    days = (-3, 0, 1, 15_000)
    windows = [replace(minute(0), start_ns=day * DAY_NS - MINUTE_NS, end_ns=day * DAY_NS) for day in days]
    database.insert(windows)
    assert copies().refresh(NOW_NS) == 4
    assert [window.end_ns for window in open_source(tmp_path / "copy.sqlite").windows()] == [w.end_ns for w in windows]
