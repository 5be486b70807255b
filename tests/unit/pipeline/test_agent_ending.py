"""How the agent hears that it is to end."""

from __future__ import annotations

import subprocess
import sys

from radiosonde._pipeline._worker import Ending

HURRIED = """
import os, signal, sys, threading
from radiosonde._pipeline._worker import told_to_end
parent = os.getpid()
for number in range(300):
    ending = told_to_end()
    killer = threading.Thread(target=os.kill, args=(parent, signal.SIGTERM))
    killer.start()
    while not ending.wait(0.0):
        pass
    killer.join()
    ending.close()
"""


def test_a_signal_in_the_middle_of_a_wait_ends_it() -> None:
    """The handler runs in the thread that waits, at any of its instructions: three hundred times it never waits for itself."""
    subprocess.run([sys.executable, "-c", HURRIED], timeout=60, check=True)


def test_what_was_set_stays_set() -> None:
    """Set a thousand times more than a pipe holds, it neither blocks nor forgets."""
    ending = Ending()
    assert not ending.wait(0.0)
    for _ in range(100_000):
        ending.set()
    assert ending.wait(0.0)
    assert ending.wait(60.0)
    ending.close()
