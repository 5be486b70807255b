"""The switch interval of the interpreter is the host's: it is shorter inside a hurry and as before after the last one."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from radiosonde._pipeline._worker import add_fork_handler
from radiosonde._pipeline.hurry import HURRIED_INTERVAL_S, in_a_hurry


class ForkHandler:
    """Does nothing around a fork."""

    def before_fork(self) -> None:
        """Do nothing."""

    after_fork_in_parent = after_fork_in_child = at_exit = before_fork


@pytest.fixture(autouse=True)
def interval():
    """Leave the interval as it was."""
    before_s = sys.getswitchinterval()
    yield before_s
    sys.setswitchinterval(before_s)


@pytest.mark.parametrize("host_s", [0.005, 0.1, 0.029, 0.00001])
def test_the_hosts_interval_comes_back(host_s):
    """Inside it is at most the hurried one, a shorter one of the host stays, and afterwards it is the host's."""
    sys.setswitchinterval(host_s)
    before_s = sys.getswitchinterval()
    with in_a_hurry():
        assert sys.getswitchinterval() == pytest.approx(min(before_s, HURRIED_INTERVAL_S))
    assert sys.getswitchinterval() == before_s


def test_threads_that_overlap_leave_it_as_it_was():
    """The first to enter leaves first: the interval stays short for the second, and is the host's after it."""
    sys.setswitchinterval(0.005)
    entered, left = threading.Event(), threading.Event()

    def second() -> None:
        with in_a_hurry():
            entered.set()
            assert left.wait(30)
            inside.append(sys.getswitchinterval())

    inside: list[float] = []
    thread = threading.Thread(target=second)
    with in_a_hurry():
        thread.start()
        assert entered.wait(30)
    left.set()
    thread.join()
    assert inside == [pytest.approx(HURRIED_INTERVAL_S)]
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_an_interval_that_the_host_sets_meanwhile_stays():
    """What is set by others inside is theirs."""
    with in_a_hurry():
        sys.setswitchinterval(0.02)
    assert sys.getswitchinterval() == pytest.approx(0.02)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_meanwhile_has_the_hosts_interval():
    """The thread that would put it back is not in the child."""
    handler = ForkHandler()
    add_fork_handler(handler)
    sys.setswitchinterval(0.005)
    with in_a_hurry():
        child = os.fork()
        if not child:
            os._exit(0 if sys.getswitchinterval() > 0.004 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
