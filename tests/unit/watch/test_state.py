"""The lease, persistent state, and the order of notifications."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from radiosonde.store import StoreWriter
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.watch import state as states
from radiosonde.watch.state import Note, Owner, StoredStep, WatchState, owner

S = 1_000_000_000
LONG = 30 * S


def note(
    incident: str = "i", kind: str = "opened", *, page: bool = True, channel: str = "slack", event: str = "{}"
) -> Note:
    """Return a notification."""
    return Note(channel, incident, kind, page, event)


@pytest.fixture
def state(tmp_path) -> WatchState:
    """Return the state of a watch that holds the lease."""
    made = WatchState(tmp_path / "store.sqlite", owner("me"))
    assert made.take_lease(S, LONG)
    return made


def step(*notes: Note, **incidents: str) -> StoredStep:
    """Return a step with these notifications."""
    return StoredStep(incidents, (), notes, 5, 7)


@pytest.mark.parametrize(
    ("other", "now_s", "is_free"),
    [
        (Owner("you", "elsewhere", 1, "1"), 2, False),
        (Owner("you", "elsewhere", 1, "1"), 31, True),
        (owner("you"), 2, False),
        (owner("you"), 32, True),
        # A process of this machine that is gone, or whose number another has now.
        (owner("you")._replace(pid=2**22 + 1), 2, True),
        (owner("you")._replace(began="1"), 2, True),
        # A machine that does not say when its processes began.
        (owner("you")._replace(pid=2**22 + 1, began=""), 2, False),
    ],
)
def test_a_lease_is_anothers_until_it_ends_or_its_process_has(tmp_path, other, now_s, is_free):
    """Of this machine at once, of others when the time is over."""
    path = tmp_path / "store.sqlite"
    assert WatchState(path, other).take_lease(S, LONG)
    assert WatchState(path, owner("me")).take_lease(now_s * S, LONG) is is_free


def test_a_lease_written_by_a_clock_that_was_put_back_is_free(tmp_path):
    """Otherwise no watch could run until that time."""
    path = tmp_path / "store.sqlite"
    assert WatchState(path, Owner("you", "elsewhere", 1, "1")).take_lease(10**6 * S, LONG)
    assert WatchState(path, owner("me")).take_lease(S, LONG)


def test_who_lost_the_lease_writes_nothing(state):
    """Neither a step nor an attempt, after another took it."""
    assert state.save(step(note())) == 0
    delivery = state.next_delivery("slack", S)
    assert WatchState(state.path, Owner("you", "elsewhere", 1, "1")).take_lease(S + 2 * LONG, LONG)
    assert state.save(step(note(), i="{}")) is None
    assert state.begin(delivery, 9 * S) is False
    assert state.load().incidents == {}
    state.give_back()
    assert state.lease()[0].holder == "you"


def test_an_attempt_is_made_by_one_of_two(state):
    """Two threads, or two watches of which one does not know yet, begin the same notification: the second may not."""
    state.save(step(note()))
    delivery = state.next_delivery("slack", S)
    assert [state.begin(delivery, 9 * S), state.begin(delivery, 9 * S)] == [True, False]


def test_pages_leave_first_and_an_incident_in_order(state):
    """A page before tickets that came earlier; the end of an incident not before its beginning, though that waits."""
    state.save(step(note("t", page=False), note("p"), note("p", "recovered"), note("q", channel="other")))
    first = state.next_delivery("slack", S)
    assert (first.incident, first.kind) == ("p", "opened")
    state.begin(first, 60 * S)
    second = state.next_delivery("slack", 2 * S)
    assert (second.incident, second.kind) == ("t", "opened")
    state.remove(second)
    waiting = state.next_delivery("slack", 2 * S)
    assert (waiting.incident, waiting.kind, waiting.next_ns) == ("p", "opened", 60 * S)
    state.remove(waiting)
    assert state.next_delivery("slack", 2 * S).kind == "recovered"
    assert state.pending() == {"slack": 1, "other": 1}


def test_a_later_change_takes_the_place_of_an_earlier_one(state):
    """Unless that was tried already, for its receiver may have it."""
    state.save(step(note(kind="changed", event="1"), note(kind="changed", event="2"), note("j", "changed", event="3")))
    assert state.pending() == {"slack": 2}
    state.begin(state.next_delivery("slack", S), 9 * S)
    state.save(step(note(kind="changed", event="4")))
    assert state.pending() == {"slack": 3}


def test_what_waits_is_bounded_and_openings_of_pages_are_dropped_last(state, monkeypatch):
    """Changes first, then the oldest; each dropped one is counted."""
    monkeypatch.setattr(states, "MAX_WAITING", 3)
    dropped = state.save(
        step(
            note("a"),
            note("b", page=False),
            note("c", "changed"),
            note("d"),
            note("e"),
            note("f"),
            note("g", channel="other"),
        )
    )
    assert dropped == 3
    with sqlite3.connect(state.path) as connection:
        rows = connection.execute("SELECT incident FROM watch_outbox WHERE channel = 'slack' ORDER BY 1").fetchall()
    connection.close()
    assert [incident for (incident,) in rows] == ["d", "e", "f"]


def test_the_tables_do_not_disturb_the_windows(state):
    """A server writes and readers read the same store as before."""
    writer = StoreWriter(state.path)
    writer.write([])
    writer.close()
    assert StoreReader(state.path).parts(Interval()) == []
    assert state.take_lease(2 * S, LONG)


def test_of_many_that_ask_at_once_one_gets_the_lease(tmp_path):
    """Eight threads, each for another watch, one file that none of them has made yet."""
    path, results = tmp_path / "store.sqlite", []
    barrier = threading.Barrier(8)

    def ask(number: int) -> None:
        barrier.wait(60)
        results.append(WatchState(path, owner(f"w{number}")).take_lease(S, LONG))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(results) == [False] * 7 + [True]


@pytest.mark.parametrize("at", range(4))
def test_a_kill_in_the_middle_of_a_step_keeps_all_of_it_or_nothing(tmp_path, at):
    """The incidents and the notifications that follow from them are one transaction."""
    path = tmp_path / "store.sqlite"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from radiosonde.watch import state as s\n"
        "mine = s.WatchState(Path(sys.argv[1]), s.owner('me'))\n"
        "mine.take_lease(1, 10**18)\n"
        "put, left = s._put, [int(sys.argv[2])]\n"
        "def dying(*given):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os.kill(os.getpid(), 9)\n"
        "    return put(*given)\n"
        "s._put = dying\n"
        "mine.save(s.StoredStep({'i': '{}'}, (), [s.Note('slack', str(n), 'opened', True, '{}') for n in range(3)], 5, 7))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, path, str(at)], timeout=120, check=False, env={**os.environ})
    kept = WatchState(path, owner("you"))
    whole = at >= 3
    assert (ran.returncode == 0) is whole
    assert len(kept.load().incidents) == (1 if whole else 0)
    assert kept.pending() == ({"slack": 3} if whole else {})
