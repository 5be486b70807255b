from __future__ import annotations

import logging
import threading

import pytest

from radiosonde._guard import OFFENCES_BEFORE_DISABLED, Guard


class BrokenError(Exception):
    """What a guarded function raises."""


def broken(*_):
    """Raise."""
    raise BrokenError


def test_a_call_returns_what_the_function_returns():
    """A guarded call passes arguments and result through."""
    assert Guard().call("place", lambda a, b: a + b, 1, 2) == 3


def test_an_exception_is_counted_and_logged_once_a_minute(caplog):
    """Failures are counted by place; the log has one line per place, which says that the user's code is fine."""
    guard = Guard()
    for _ in range(5):
        assert guard.call("here", broken) is None
    guard.call("there", broken)
    assert guard.errors() == {"here": 5, "there": 1}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0] == (
        "Your code is fine; Radiosonde failed in here and goes on with less telemetry: BrokenError()"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_the_hosts_passes(error):
    """BaseExceptions belong to the host: not swallowed, not counted."""
    guard = Guard()

    def stop():
        raise error

    with pytest.raises(error):
        guard.call("place", stop)
    with pytest.raises(error):
        Guard.attempt(stop)
    assert guard.errors() == {}


def test_the_repeat_offender_is_no_longer_called():
    """A place that failed a hundred times in a row is disabled; other places are not."""
    guard, calls = Guard(), []

    def offend():
        calls.append(1)
        raise BrokenError

    for _ in range(OFFENCES_BEFORE_DISABLED + 50):
        guard.call("bad", offend)
    assert (len(calls), guard.is_disabled("bad"), guard.is_disabled("good")) == (100, True, False)
    assert guard.call("good", lambda: 1) == 1
    assert guard.call("bad", lambda: 1) is None


def test_a_success_forgives():
    """Only failures in a row disable."""
    guard, calls = Guard(), []
    for number in range(300):
        guard.call("flaky", broken if number % 99 else calls.append, 1)
    assert not guard.is_disabled("flaky")
    assert len(calls) == 4


def test_in_tests_it_raises():
    """Told to re-raise, the guard counts and raises the same object."""
    guard, error = Guard(reraise=True), BrokenError()

    def fail():
        raise error

    with pytest.raises(BrokenError) as raised:
        guard.call("place", fail)
    assert raised.value is error
    assert guard.errors() == {"place": 1}


def test_an_attempt_returns_what_was_raised_and_counts_nothing():
    """`attempt` is for the user's code: what it raises is a value, in tests too."""
    guard = Guard(reraise=True)
    assert isinstance(guard.attempt(broken), BrokenError)
    assert guard.attempt(int, "3") == 3
    assert guard.errors() == {}


def test_losses_add_up_from_any_thread():
    """Losses counted by four threads at once are all there, and a reset forgets them."""
    guard = Guard()

    def lose():
        for _ in range(5000):
            guard.lose("reason")
            guard.lose("other", 2)

    threads = [threading.Thread(target=lose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.losses() == {"reason": 20_000, "other": 40_000}
    guard.reset()
    assert guard.losses() == {}


def test_a_finaliser_inside_lose_does_not_wait_for_itself():
    """The lock may be taken again by the thread that holds it."""
    guard = Guard()
    with guard._lock:
        guard.lose("reason")
        guard.swallow("place", BrokenError())
    assert (guard.losses(), guard.errors()) == ({"reason": 1}, {"place": 1})


def test_an_exception_that_cannot_be_shown_is_counted():
    """An error whose text raises while it is logged stops there."""

    class MuteError(Exception):
        def __repr__(self):
            raise RuntimeError("no text")

    guard = Guard()
    guard.swallow("place", MuteError())
    assert guard.errors()["place"] == 1
