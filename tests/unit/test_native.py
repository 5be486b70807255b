from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from radiosonde import _native
from radiosonde._native import OwnedLock
from radiosonde._ring import slot_lock
from radiosonde._ring.slot_lock import SlotLock
from tests.interruptions import interrupt_everywhere


def test_whoever_holds_it_is_refused_at_once():
    """The thread that holds the lock does not get it again, others wait, and it is free afterwards."""
    lock = OwnedLock()
    with lock:
        assert lock.is_mine
        assert not lock.acquire()
        with pytest.raises(RuntimeError, match="holds the lock already"), lock:
            pass
        others = []
        thread = threading.Thread(target=lambda: others.append((lock.is_mine, lock.acquire(timeout=0))))
        thread.start()
        thread.join()
        assert others == [(False, False)]
    assert not lock.is_mine
    assert lock.acquire(timeout=0)
    lock.release()


@pytest.mark.parametrize(
    ("module", "make"),
    [(_native, OwnedLock), (_native, SlotLock), (slot_lock, SlotLock)],
    ids=["owned", "slot", "in slot"],
)
def test_an_interruption_never_waits_for_what_it_interrupts(module, make):
    """Before whichever instruction a handler asks, it has the lock at once or is refused because its thread holds it."""
    lock = make()

    def use():
        assert lock.acquire(0)
        assert lock.is_mine
        lock.release()

    def handle():
        if lock.acquire(2.0):
            lock.release()
        else:
            assert lock.is_mine, "it has waited for its own thread"

    assert interrupt_everywhere(module, use, handle) > 20
    use()


THREADS = """
import threading
from radiosonde._native import Thread, has_other_threads
ends = threading.Event()
own = Thread(lambda: ends.wait(60), "radiosonde-test")
own.start()
found = [has_other_threads()]
other = threading.Thread(target=ends.wait, args=(60,))
other.start()
found.append(has_other_threads())
ends.set()
other.join()
print(found, has_other_threads(), own.join(60))
"""


def test_threads_of_the_application_are_told_from_those_of_radiosonde():
    """A thread of the application counts until it has ended; those of Radiosonde never do. In a process with no other threads."""
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == "[False, True] False True\n"
