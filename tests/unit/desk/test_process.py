"""The process that diagnoses for the desk: it follows its stores, ends with the desk, and is replaced when it ends by itself."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from radiosonde.desk import LookingProcess
from radiosonde.desk.board import Board, StoreState
from radiosonde.desk.process import COMMAND, BoardChange
from radiosonde.store import StoreWriter
from tests.e2e._receivers import wait_for
from tests.factories import START_NS
from tests.unit.desk.stores import MINUTE_NS, client, looked, service
from tests.unit.store.strategies import make_part

DEADLINE_S = 200.0


@pytest.fixture
def looking(tmp_path):
    """Return a desk's process over a small service; it is ended after the test."""
    made = LookingProcess([service(tmp_path / "s.sqlite", minutes=30, fails_from=10_000)])
    made.start()
    yield made
    made.stop()


def pid_of(looking):
    """Return the id of the process."""
    return looking._process.pid


def test_the_process_follows_the_store_and_is_replaced(looking, tmp_path, monkeypatch):
    """The board has the model; new windows reach it when it is asked; a killed process is named on the page and started again."""
    wait_for(lambda: "delays" in looking.board.models and not looking.board.is_looking, "the first look", DEADLINE_S)
    assert "/model?name=delays" in client(looking).get("/").text
    more = make_part(7, start_ns=START_NS + 30 * MINUTE_NS, end_ns=START_NS + 31 * MINUTE_NS)
    StoreWriter(tmp_path / "s.sqlite", clock_ns=lambda: START_NS).write([more])

    def reaches():
        looking.ask()
        return looking.board.models["delays"].series.end_ns == START_NS + 31 * MINUTE_NS

    wait_for(reaches, "the new window", DEADLINE_S)
    killed = pid_of(looking)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: looking.board.problem, "the end of the process", DEADLINE_S)
    page = client(looking).get("/").text
    assert "the process that diagnoses has ended (exit code -9)" in page
    assert "radiosonde store compact" in page
    assert "/model?name=delays" in page  # the look before
    monkeypatch.setattr("radiosonde.desk.process._AGAIN_NS", 0)

    def recovers():
        looking.ask()
        return not looking.board.problem and pid_of(looking) != killed

    wait_for(recovers, "another process", DEADLINE_S)


def test_it_ends_when_the_desk_does(looking):
    """It is gone after `stop`, and asking a stopped desk starts none."""
    process = looking._process
    looking.stop()
    assert process.poll() is not None
    looking.ask()
    assert looking._process is None


def test_it_ends_when_the_desk_is_killed(tmp_path):
    """The end of its input ends it: nothing is left behind of a desk that was killed. It has written changes of the board only."""
    store = service(tmp_path / "s.sqlite", minutes=3)
    done = subprocess.run(
        COMMAND, input=pickle.dumps(([store], False)), capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    out = io.BytesIO(done.stdout)
    with suppress(EOFError, pickle.UnpicklingError):  # the last one may be cut
        while True:
            assert isinstance(pickle.load(out), BoardChange)


def test_a_change_holds_only_what_changed(tmp_path):
    """A model that was not diagnosed again is not sent again, one that is gone is removed, and the sum of all changes is the board."""
    first = looked(service(tmp_path / "a.sqlite", model="a", minutes=10)).board
    both = looked(tmp_path / "a.sqlite", service(tmp_path / "b.sqlite", model="b", minutes=10)).board
    later = Board(7, (StoreState("s", "ready"),), {"a": first.models["a"], "b": both.models["b"]}, both.incidents)
    change = BoardChange.between(first, later)
    assert list(change.models) == ["b"]
    after = pickle.loads(pickle.dumps(change)).applied(first)
    assert after.models["a"] is first.models["a"]
    assert (after.stores, set(after.models), set(after.incidents)) == (later.stores, {"a", "b"}, set(both.incidents))
    gone = BoardChange.between(later, Board())
    assert gone.applied(later) == Board()
    assert not gone.models


@pytest.mark.parametrize(
    "program", ["exit 3", "echo 'this is no change'; exit 0", "kill -9 $$"], ids=["code", "noise", "killed"]
)
def test_a_process_that_fails_is_named_on_the_page(program):
    """Whatever ends it, the desk serves pages, and they give the exit code and what to do."""
    looking = LookingProcess([Path("/nowhere.sqlite")], command=["sh", "-c", program])
    looking.start()
    try:
        wait_for(lambda: looking.board.problem, "the problem", DEADLINE_S)
        assert "The last look failed" in client(looking).get("/").text
    finally:
        looking.stop()
