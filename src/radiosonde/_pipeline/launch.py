"""``RADIOSONDE_AGENT=auto``: a process that finds no agent at the spool starts one.

Called by the consumer's thread once a second, never by a prediction. Exactly one: a process starts an agent only while it
holds ``agent.starting``, keeps that until the agent holds ``agent.lock``, and an agent that finds that lock taken ends.
The agent gets a new session, so that signals to the server's process group do not reach it; no open file of the server (an inherited
listening socket would keep the port); and this process's settings as its environment. An agent that dies is started again, after a wait
that doubles up to `LONGEST_WAIT_S`, because one that cannot run would otherwise be retried endlessly. A failed start costs a message and a
counted loss; records stay in the rings meanwhile.

A double fork would avoid reaping it, but a fork runs the host's own fork hooks, and `subprocess` does not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from radiosonde._clock import NS
from radiosonde._ring.spool import AGENT_LOCK, AGENT_LOG, AGENT_STARTING, Spool, hold, is_held
from radiosonde._settings import Settings, child_environment
from radiosonde.errors import SpoolError
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard

LINGER_S = 60
"""Seconds an agent started like this outlives the last process that writes into the spool."""

START_TIMEOUT_NS = 30 * NS
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
_LONG_UP_NS = 60 * NS
"""An agent that ran this long did not fail at its start: the next one is not waited for."""

_LOG_BYTES = 1 << 20
"""A larger log is truncated at the next start."""


class Launcher:
    """Sees to it that there is an agent. For one thread.

    Args:
        settings: settings of the agent.
        guard: counts starts that failed.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._settings, self._guard = settings, guard
        self._pid = 0  # of the agent this process started, until it has ended
        self._starting: IO[bytes] | None = None  # the lock, while it is not up yet
        self._begun_ns = self._next_ns = 0
        self._wait_s = FIRST_WAIT_S

    def look(self, spool: Spool, now_ns: int) -> None:
        """Start an agent if there is none and it is time for the next attempt."""
        if is_held(spool.folder / AGENT_LOCK):
            self._let_others_start()
            self._reap()
            if now_ns - self._begun_ns >= _LONG_UP_NS:
                self._wait_s = FIRST_WAIT_S
            return
        if self._pid and not self._reap():
            if self._starting is None or now_ns - self._begun_ns < START_TIMEOUT_NS:
                return  # on its way up, or down
            os.kill(self._pid, 9)
            self._fail(spool, f"did not begin to drain within {START_TIMEOUT_NS // NS} s")
        elif self._starting is not None:
            self._fail(spool, "ended at once")
        self._let_others_start()
        if now_ns >= self._next_ns:
            self._start(spool, now_ns)

    def _start(self, spool: Spool, now_ns: int) -> None:
        self._begun_ns, self._next_ns = now_ns, now_ns + round(self._wait_s * NS)
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        try:
            self._starting = hold(spool.folder / AGENT_STARTING)
        except SpoolError as error:
            if not is_held(spool.folder / AGENT_STARTING):  # else another process is at it
                self._fail(spool, str(error))
            return
        if is_held(spool.folder / AGENT_LOCK):  # another process was faster
            self._let_others_start()
            return
        started = self._guard.attempt(_spawn, spool, self._settings)
        if isinstance(started, Exception):
            self._fail(spool, str(started))
            self._let_others_start()
        else:
            self._pid = started

    def _let_others_start(self) -> None:
        if self._starting is not None:
            self._starting.close()
            self._starting = None

    def _reap(self) -> bool:
        """Return whether the agent this process started has ended (or there is none), and forget it then."""
        if self._pid:
            try:
                ended, _ = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # reaped by code that waits for all children, as a prefork master does
                ended = self._pid
            if ended:
                self._pid = 0
        return not self._pid

    def _fail(self, spool: Spool, why: str) -> None:
        self._guard.lose(losses.AGENT_FAILED)
        self._guard.warn(
            "agent", "The agent could not be started: %s (its log is %s); records stay in the rings of %s until "
            "they are overwritten. Start it manually: radiosonde agent --spool %s",
            why, spool.folder / AGENT_LOG, spool.folder, spool.folder,
        )  # fmt: skip


def _spawn(spool: Spool, settings: Settings) -> int:
    """Start an agent and return its process id.

    Raises:
        SpoolError: this program is not Python itself.
        OSError: it cannot be started, or its log cannot be opened.
    """
    import subprocess

    if "python" not in Path(sys.executable or "").name.lower():
        raise SpoolError(f"{sys.executable or 'this program'} is not a Python interpreter")
    folder = str(spool.folder.absolute())
    # -P: files in the server's working directory must not shadow modules.
    command = [sys.executable, "-P", "-m", "radiosonde.cli", "agent", "--spool", folder, "--linger-s", str(LINGER_S)]
    path = spool.folder / AGENT_LOG
    whole = path.exists() and path.stat().st_size > _LOG_BYTES
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (os.O_TRUNC if whole else 0)
    log = os.open(path, flags, 0o600)
    try:
        agent = subprocess.Popen(  # noqa: S603 - our own interpreter and command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env=child_environment(settings),
        )  # fmt: skip
    finally:
        os.close(log)
    # It is to outlive this process, so `Popen` must not complain about that; `Launcher` reaps it by its id.
    agent.returncode = 0
    return agent.pid
