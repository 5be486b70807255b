"""A signal that arrived while the main thread was about to wait is handled after at most two checks, in a forked child too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

MISSED = """
import os, signal, sys, time
from radiosonde._pipeline.process_exit import ProcessExit

nothing = lambda: None
ending = ProcessExit(nothing, nothing, nothing)
ending.arm()
for _ in range(int(sys.argv[2])):  # each is the parent of the next
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) % 128)
    ending.reset()
    ending.arm()
for _ in range(int(sys.argv[3])):
    ending.look()
os.write(ending._pending._write.number, bytes([int(sys.argv[1])]))  # as Python does; the handler has not run
ending.look()
ending.look()
time.sleep(5)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("forks", [0, 1, 2])
@pytest.mark.parametrize("checks", [0, 1, 3])
def test_a_missed_signal_ends_the_process(number, forks, checks):
    """By the signal, at the second check after it arrived, however early in the life of the process that was."""
    command = [sys.executable, "-c", MISSED, str(int(number)), str(forks), str(checks)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr == ""
    assert ended.returncode in (-number, -number % 128)
