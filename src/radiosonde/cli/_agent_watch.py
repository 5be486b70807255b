"""The watch of an agent: ``radiosonde watch`` on the agent's store, as a separate process that is restarted when it ends.

Not a thread of the agent: a diagnosis holds the interpreter lock for a second at a time, and at full rate a ring wraps around in 90 ms. The
memory of a diagnosis is also released when its process is restarted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from radiosonde._clock import NS, monotonic_ns

FIRST_S, LONGEST_S = 1.0, 60.0
STEADY_NS = 60 * NS
"""A watch that ran for so long is started again at once."""
ENDING_S = 15.0


class AgentWatch:
    """Keeps a watch running. For one thread.

    Args:
        store: the store to watch.
        is_wanted: run a watch; otherwise do nothing.
        otlp: let it export over OTLP.
    """

    def __init__(self, store: Path, *, is_wanted: bool, otlp: bool = False) -> None:
        self._is_wanted = is_wanted
        # It ends when the agent does, killed or not: an orphan would keep the lease and the port.
        self._command = [sys.executable, "-m", "radiosonde.cli", "watch", str(store), "--beside", str(os.getpid())]
        self._command += ["--otlp"] if otlp else []
        self._process: subprocess.Popen[bytes] | None = None
        self._began_ns = self._not_before_ns = 0
        self._pause_s = FIRST_S

    @property
    def pid(self) -> int | None:
        """Process id of the watch; None while none runs."""
        return None if self._process is None else self._process.pid

    def turn(self) -> None:
        """Start the watch if it does not run; one that ends at once is left alone for longer and longer."""
        if not self._is_wanted:
            return
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._process = None
            now = monotonic_ns()
            self._pause_s = FIRST_S if now - self._began_ns >= STEADY_NS else min(2 * self._pause_s, LONGEST_S)
            self._not_before_ns = now + int(self._pause_s * NS)
            print(
                f"radiosonde: the watch ended with {code}; it is started again in {self._pause_s:g} s",
                file=sys.stderr,
                flush=True,
            )
        if monotonic_ns() >= self._not_before_ns:
            self._began_ns = monotonic_ns()
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # noqa: S603 - this program

    def close(self) -> None:
        """End the watch: it releases its lease, and unsent notifications stay in the store."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
