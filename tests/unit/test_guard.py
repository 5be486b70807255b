from __future__ import annotations

import itertools
import logging
import threading

import pytest

import radiosonde._guard as module
from radiosonde._guard import FAILURES_BEFORE_PAUSE, MOST_KINDS, Breaker, Guard
from radiosonde.model import losses
from tests.interruptions import interrupt_everywhere


class BrokenError(Exception):
    """The exception of a guarded block."""


@pytest.fixture
def clock(monkeypatch):
    """Return a one-element list: the seconds the guard reads."""
    now_s = [1000.0]
    monkeypatch.setattr(module, "monotonic_ns", lambda: round(now_s[0] * 1e9))
    return now_s


def fail(guard, place="fold", times=1):
    """Raise in a guarded block."""
    for _ in range(times):
        with guard(place):
            raise BrokenError


def test_an_exception_ends_at_the_block(caplog):
    """Failures are counted by place; the log has one line per place, which says what the place covers."""
    guard = Guard()
    fail(guard, "fold", 5)
    fail(guard, "join")
    assert guard.errors() == {"fold": 5, "join": 1}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0] == (
        "Radiosonde failed while counting drained records: BrokenError(). Predictions are not affected; some telemetry is "
        "missing. For the traceback, set the logger radiosonde to DEBUG"
    )


def test_the_traceback_goes_to_debug(caplog):
    """A host that wants to know more sets the logger's level."""
    caplog.set_level(logging.DEBUG, logger="radiosonde")
    fail(Guard())
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.DEBUG]
    assert "BrokenError" in caplog.text


@pytest.mark.parametrize("place", ["fold", "not registered"])
def test_any_place_swallows(place):
    """A place that is missing from the list must not raise in a host."""
    guard = Guard()
    fail(guard, place, 3)
    assert guard.errors() == {place: 3}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_the_hosts_passes(error):
    """BaseExceptions belong to the host: not swallowed, not counted as internal errors."""
    guard = Guard()

    def stop():
        raise error

    with pytest.raises(error), guard("fold"):
        stop()
    with pytest.raises(error), Breaker(guard, "open_writer", "model 'm'")():
        stop()
    with pytest.raises(error):
        Guard.attempt(stop)
    assert guard.errors() == {}


def test_a_block_counts_what_it_loses():
    """The loss is counted when the block raises, and only then."""
    guard = Guard()
    with guard("fold", losses.RECORD_FAILED, 7):
        pass
    assert guard.losses() == {}
    with guard("fold", losses.RECORD_FAILED, 7):
        raise BrokenError
    assert (guard.losses(), guard.errors()) == ({losses.RECORD_FAILED: 7}, {"fold": 1})


def test_a_place_is_tried_again_for_ever():
    """However often a block raised, the next one is entered; only another place's failures are its own."""
    guard, entered = Guard(), []
    fail(guard, "fold", 1000)
    with guard("join"):
        pass
    assert (guard.failures_in_a_row("fold"), guard.failures_in_a_row("join")) == (1000, 0)
    with guard("fold"):
        entered.append(1)
    assert (entered, guard.failures_in_a_row("fold")) == ([1], 0)


def test_in_tests_it_raises():
    """Told to re-raise, the guard counts and raises the same object."""
    guard, error = Guard(reraise=True), BrokenError()
    with pytest.raises(BrokenError) as raised, guard("fold"):
        raise error
    assert raised.value is error
    breaker = Breaker(guard, "open_writer", "model 'm'")
    with pytest.raises(BrokenError) as raised, breaker():
        raise error
    assert raised.value is error
    assert guard.errors() == {"fold": 1, "open_writer": 1}


def attempts(breaker, kind="", *, succeed=False, times=1):
    """Make calls of one kind; return how many were admitted."""
    admitted = 0
    for _ in range(times):
        with breaker(kind) as is_admitted:
            if is_admitted:
                admitted += 1
                if not succeed:
                    raise BrokenError
    return admitted


@pytest.mark.parametrize("kind", ["", "dict", "2 features"])
def test_a_breaker_pauses_what_always_fails(clock, caplog, kind):
    """A hundred failures in a row pause the calls for a second; rejected calls are counted, the pause is logged."""
    guard = Guard()
    breaker = Breaker(guard, "open_writer", "model 'delays'")
    assert attempts(breaker, kind, times=150) == FAILURES_BEFORE_PAUSE
    assert (guard.errors(), guard.losses()) == ({"open_writer": 100}, {losses.CALLS_PAUSED: 50})
    what = f"model 'delays' ({kind})" if kind else "model 'delays'"
    assert (
        f"For {what}, opening the ring of a model failed 100 times in a row and is tried again in 1 s"
        in caplog.messages
    )


def test_a_breaker_tries_again_and_closes(clock, caplog):
    """After the pause one call is admitted; its success ends the pause for all, and is logged."""
    breaker = Breaker(Guard(), "open_writer", "model 'delays'")
    attempts(breaker, times=100)
    clock[0] += 0.9
    assert attempts(breaker, times=10) == 0
    clock[0] += 0.2
    with breaker() as is_admitted:
        assert is_admitted
        assert attempts(breaker, times=10) == 0, "one call at a time is the trial"
    assert attempts(breaker, succeed=True, times=10) == 10
    assert "For model 'delays', opening the ring of a model works again after 100 failures" in caplog.messages
    assert attempts(breaker, times=150) == 100, "it begins to count anew"


def test_pauses_double_up_to_a_minute(clock):
    """Each failed trial doubles the wait until the next."""
    breaker = Breaker(Guard(), "open_writer", "model 'delays'")
    attempts(breaker, times=100)
    waits_s, since_s = [], clock[0]
    while len(waits_s) < 9:
        clock[0] += 0.5
        if attempts(breaker):
            waits_s.append(clock[0] - since_s)
            since_s = clock[0]
    assert waits_s == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_in_between_forgives(clock):
    """Only failures in a row pause."""
    breaker = Breaker(Guard(), "open_writer", "model 'delays'")
    for _ in range(5):
        assert attempts(breaker, times=99) == 99
        assert attempts(breaker, succeed=True) == 1


def test_kinds_and_breakers_fail_by_themselves(clock):
    """Neither another kind of one breaker nor another breaker of the same place is paused."""
    guard = Guard()
    first, second = (Breaker(guard, "open_writer", f"model {name!r}") for name in ("a", "b"))
    attempts(first, "dict", times=200)
    assert attempts(first, "list", succeed=True) == 1
    assert attempts(second, "dict", succeed=True) == 1
    assert attempts(first, "dict") == 0


def test_kinds_are_bounded(clock):
    """State chosen by requests is bounded: kinds beyond the bound share one breaker, and successes free their places."""
    breaker = Breaker(Guard(), "open_writer", "model 'delays'")
    for number in range(1000):
        attempts(breaker, f"kind {number}")
    assert len(breaker._kinds) <= MOST_KINDS + 1
    assert attempts(breaker, "one more", times=50) == 0
    for number in range(MOST_KINDS):
        attempts(breaker, f"kind {number}", succeed=True)
    assert attempts(breaker, "one more", succeed=True) == 1


def test_topics_of_the_log_are_bounded():
    """A warning about each of very many rings does not grow the guard for ever."""
    guard = Guard()
    for number in range(5000):
        guard.warn(f"ring {number}", "one")
    assert len(guard._logged_ns) <= 1024


def test_an_attempt_returns_what_was_raised_and_counts_nothing():
    """`attempt` is for the user's code: its exception is a value, in tests too."""
    guard = Guard(reraise=True)
    assert isinstance(guard.attempt(int, "x"), ValueError)
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


class Interrupted(logging.Handler):
    """A log handler of the host's that something interrupts while it holds a lock that cannot be taken again."""

    def __init__(self, interruptions):
        super().__init__()
        self.interruptions, self.held, self.seen = interruptions, threading.Lock(), []

    def emit(self, record):
        assert self.held.acquire(blocking=False), "entered in the middle of itself"
        try:
            self.seen.append(record.getMessage()[:6])
            self.interruptions.get(self.seen[-1], lambda: None)()
        finally:
            self.held.release()


@pytest.fixture
def host_logs_with():
    """Return a function that gives our logger one more handler, for the test."""
    logger, added = logging.getLogger("radiosonde"), []

    def add(handler):
        added.append(handler)
        logger.addHandler(handler)
        return handler

    yield add
    for handler in added:
        logger.removeHandler(handler)


def test_what_interrupts_logging_is_logged_after_it(host_logs_with):
    """Messages and swallowed errors wait until the thread's own logging has ended; none is lost."""
    guard = Guard()

    def interrupt():
        guard.warn("topic 2", "second %d", 2)
        fail(guard)

    host = host_logs_with(Interrupted({"first": interrupt, "second": lambda: guard.warn("topic 3", "third")}))
    guard.warn("topic 1", "first")
    assert host.seen == ["first", "second", "Radios", "third"]
    assert guard.errors() == {"fold": 1}


def test_logging_goes_on_after_a_handler_that_raised(host_logs_with):
    """Exceptions of the host propagate, and the thread logs again afterwards."""
    guard = Guard()

    def interrupt():
        raise KeyboardInterrupt

    host = host_logs_with(Interrupted({"first": interrupt}))
    with pytest.raises(KeyboardInterrupt):
        guard.warn("topic 1", "first")
    guard.warn("topic 2", "second")
    assert host.seen == ["first", "second"]


def test_no_interruption_of_logging_is_lost(host_logs_with):
    """Before whichever instruction something else is to be said, it is said once."""
    guard, host = Guard(), host_logs_with(Interrupted({}))
    topics = itertools.count()

    def tell():
        topic = f"{next(topics):06}"
        guard.warn(topic, topic)

    assert interrupt_everywhere(module, tell, tell) > 50
    assert sorted(host.seen) == [f"{topic:06}" for topic in range(next(topics))]
