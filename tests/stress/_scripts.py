"""Runs a script in a separate interpreter, bounded in time, and counts the contents of its store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

from radiosonde.store.reader import Interval, StoreReader

PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
import radiosonde as rs
ROW = np.zeros((1, 3))

@rs.observe("delays")
def predict(rows):
    return np.array([[0.3, 0.7]] * len(rows))
"""


def run(script: str, store: Path, timeout_s: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *script* after the prelude with a store, and return how it ended; fail when it takes too long."""
    path = store.with_suffix(".py")
    path.write_text(PRELUDE + textwrap.dedent(script))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(path)]
    with subprocess.Popen(
        command,
        env={**os.environ, "RADIOSONDE_STORE": str(store), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a script that hangs is ended with all its children
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def stored_calls(store: Path) -> dict[str, int]:
    """Return the calls in *store* by process."""
    calls: Counter[str] = Counter()
    for _, window in StoreReader(store, sketches=False).parts(Interval()):
        calls[window.process] += window.calls
    return dict(calls)
