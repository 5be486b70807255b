from __future__ import annotations

import os
import signal

import pytest

from radiosonde.errors import RadiosondeError
from radiosonde_demo._server_process import ServerProcess, sigterm_interrupts


def test_a_server_that_cannot_start_says_why(tmp_path):
    """Without the models the server ends, and the error carries the end of its log."""
    with pytest.raises(RadiosondeError, match=r"(?s)did not start \(exit code 1\).*server\.log.*FileNotFoundError"):
        ServerProcess(tmp_path).__enter__()


def test_sigterm_interrupts_and_is_put_back():
    """Inside the context SIGTERM raises KeyboardInterrupt; after it the former handler is in place again."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
