"""Runs the server as a child process that is always stopped: at the end, an error, Ctrl-C, or the parent's death.

It runs in a session of its own, so a Ctrl-C in the terminal reaches only the parent, which then ends the server in
order and lets it write its last windows. The server itself watches the pipe that this end holds (`_serve`).
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from radiosonde.errors import RadiosondeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType, TracebackType

START_TIMEOUT_S = 60.0
"""Importing scikit-learn and FastAPI takes 4 s on two idle cores; a loaded machine gets fifteen times that."""

STOP_TIMEOUT_S = 20.0
LOG_LINES = 15


class ServerProcess:
    """The demo's server for the models and the scenario in *folder*; a context manager.

    Attributes:
        port: TCP port on 127.0.0.1 that it answers on.
        pid: its process id.
    """

    port: int
    pid: int

    def __init__(self, folder: Path) -> None:
        """Remember the folder; the process starts with the context."""
        self._folder = folder
        self.log = folder / "server.log"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            RadiosondeError: it ended, or did not answer in time; the message holds the end of its log.
        """
        # -P: nothing may be imported from the current folder.
        command = [sys.executable, "-P", "-m", "radiosonde_demo._serve", str(self._folder)]
        pipe = subprocess.PIPE
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, start_new_session=True)
        self.pid = self._child.pid
        try:
            self.port = self._announced_port()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server and wait until it is gone."""
        self._stop()

    def failure(self, what: str) -> RadiosondeError:
        """Return an error that says *what* happened, with the end of the server's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        tail = "".join(f"\n    {line}" for line in lines) or " it is empty"
        return RadiosondeError(f"{what}; the end of its log, {self.log}:{tail}")

    def _announced_port(self) -> int:
        assert self._child.stdout is not None  # noqa: S101 - opened as a pipe above
        readable, _, _ = select.select([self._child.stdout], [], [], START_TIMEOUT_S)
        if not readable:
            raise self.failure(f"the model server did not answer within {START_TIMEOUT_S:.0f} s")
        line = self._child.stdout.readline()
        if not line.strip().isdigit():
            self._child.wait(STOP_TIMEOUT_S)
            raise self.failure(f"the model server did not start (exit code {self._child.returncode})")
        return int(line)

    def _stop(self) -> None:
        """End the process: in order when it can, and by force when it cannot or when a second Ctrl-C insists."""
        assert self._child.stdin is not None  # noqa: S101 - opened as pipes above
        assert self._child.stdout is not None  # noqa: S101
        try:
            self._child.stdin.close()
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._child.poll() is None:
                self._child.kill()
                self._child.wait()
            self._child.stdout.close()


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does, so that it ends the server too."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C would do now: while an event loop runs, that is its own orderly way of ending the main task."""
    ctrl_c = signal.getsignal(signal.SIGINT)
    (ctrl_c if callable(ctrl_c) else signal.default_int_handler)(signal.SIGINT, frame)
