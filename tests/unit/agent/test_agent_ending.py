"""How the agent hears that it is to end."""

from __future__ import annotations

import subprocess
import sys

from radiosonde._pipeline._worker import Ending

INTERRUPTED = """
import signal, sys
from radiosonde._pipeline._worker import told_to_end
for place in range(60):
    ending, seen = told_to_end(), 0

    def interrupt(frame, event, argument):
        global seen
        seen += 1
        if seen == place + 1:
            signal.raise_signal(signal.SIGTERM)
        return interrupt

    sys.settrace(interrupt)
    while not ending.wait(0.001):
        pass
    sys.settrace(None)
    ending.close()
"""


def test_a_signal_at_any_line_of_a_wait_ends_it() -> None:
    """The handler runs in the thread that waits, wherever that is in its wait, and never waits for that thread."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], timeout=240, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_was_set_stays_set() -> None:
    """Set a thousand times more than a pipe holds, it neither blocks nor forgets."""
    ending = Ending()
    assert not ending.wait(0.0)
    for _ in range(100_000):
        ending.set()
    assert ending.wait(0.0)
    assert ending.wait(60.0)
    ending.close()
