"""The background look in a process of its own, so that no page waits for it.

A look at a month of minutes takes seconds of CPU and hundreds of megabytes, and holds the interpreter lock for parts of it. In its own process it
costs the pages nothing, and if the system ends it for its memory, the pages say so, show the look before, and start another.

The process is this command again (``radiosonde desk --look``). It gets the stores on its standard input, then a byte for each question whether
a store has grown, and ends when that input is closed: also when the desk is killed. It writes each change of the board to its
standard output, as a pickle, of models and incidents only those that changed.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, NamedTuple

from radiosonde._clock import NS, monotonic_ns, wall_ns
from radiosonde._guard import Guard
from radiosonde._native import Thread, allocate_lock
from radiosonde.desk.board import Board, IncidentState, ModelState
from radiosonde.desk.looking import CommandOf, Looking
from radiosonde.sources import Address
from radiosonde.watch.looking import PolicyOf

COMMAND = (sys.executable, "-m", "radiosonde.cli", "desk", "--look")
ENDING_S = 5.0
_LAST_S = 0.5
_ASKED_EVERY_NS = NS
_AGAIN_NS = 20 * NS
"""Time after the start of a process before another one may be started in its place."""


class BoardChange(NamedTuple):
    """A change of the board.

    Attributes:
        board: the board without models and incidents.
        models: the models that are new or changed.
        incidents: the incidents that are new or changed.
        model_names: all models there are.
        incident_ids: all incidents there are.
    """

    board: Board
    models: Mapping[str, ModelState]
    incidents: Mapping[str, IncidentState]
    model_names: frozenset[str]
    incident_ids: frozenset[str]

    @classmethod
    def between(cls, former: Board, board: Board) -> BoardChange:
        """Return the change from *former* to *board*."""
        return cls(
            replace(board, models={}, incidents={}),
            {name: state for name, state in board.models.items() if former.models.get(name) is not state},
            {name: state for name, state in board.incidents.items() if former.incidents.get(name) is not state},
            frozenset(board.models),
            frozenset(board.incidents),
        )

    def applied(self, former: Board) -> Board:
        """Return the board after *former*."""
        return replace(
            self.board,
            models={
                name: s for name, s in (dict(former.models) | dict(self.models)).items() if name in self.model_names
            },
            incidents={
                name: s
                for name, s in (dict(former.incidents) | dict(self.incidents)).items()
                if name in self.incident_ids
            },
        )


class LookingProcess:
    """Diagnoses stores in another process.

    Args:
        stores: their addresses.
        watch: look whenever a store has grown, also while no page is open.
        command: the process; default: this command.
    """

    def __init__(self, stores: Sequence[Address], *, watch: bool = False, command: Sequence[str] = COMMAND) -> None:
        self._stores, self._is_watching, self._command = list(stores), watch, list(command)
        self._lock = allocate_lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None
        self._started_ns = self._asked_ns = -_AGAIN_NS
        self._is_stopping = False
        self.board = Board()

    def start(self) -> None:
        """Start the process."""
        with self._lock:
            self._start()

    def ask(self) -> None:
        """Look soon, if a store has grown; start the process again if it has ended. Cheap; called by each page."""
        now = monotonic_ns()
        with self._lock:
            process = self._process
            if self._is_stopping or now - self._asked_ns < _ASKED_EVERY_NS:
                return
            self._asked_ns = now
            if process is None or process.poll() is not None:
                if now - self._started_ns > _AGAIN_NS:
                    self._end()
                    self._start()
                return
            with suppress(OSError):
                assert process.stdin is not None  # noqa: S101  # it is a pipe
                process.stdin.write(b".")
                process.stdin.flush()

    def stop(self, timeout_s: float = ENDING_S) -> None:
        """End the process, a look that is under way included."""
        with self._lock:
            self._is_stopping = True
            self._end(timeout_s)

    def _start(self) -> None:
        self._started_ns = monotonic_ns()
        # A session of its own: Ctrl-C in the terminal is for the desk, which ends this process in its turn.
        process = subprocess.Popen(  # noqa: S603  # our own command
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        self._process = process
        with suppress(OSError):
            pickle.dump((self._stores, self._is_watching), process.stdin)
            process.stdin.flush()
        self._thread = Thread(lambda: self._follow(process), "radiosonde-desk")
        self._thread.start()

    def _end(self, timeout_s: float = ENDING_S) -> None:
        process, thread = self._process, self._thread
        self._process = self._thread = None
        if process is None:
            return
        with suppress(OSError):
            assert process.stdin is not None  # noqa: S101  # it is a pipe
            process.stdin.close()
        try:
            process.wait(timeout_s / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if thread is not None:
            thread.join(timeout_s)

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Take over the changes of the board until the process ends."""
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        with process.stdout as changes:
            while True:
                try:
                    change: BoardChange = pickle.load(changes)  # noqa: S301  # written by our own process
                except (EOFError, pickle.UnpicklingError, OSError):
                    break
                self.board = replace(change.applied(self.board), number=self.board.number + 1)
        code = process.wait()
        if not self._is_stopping:
            problem = (
                f"the process that diagnoses has ended (exit code {code}). Its output is in the terminal of the desk. If the system ended it "
                "for its memory, make the store smaller with: radiosonde store compact"
            )
            self.board = replace(
                self.board, problem=problem, is_looking=False, looked_ns=wall_ns(), number=self.board.number + 1
            )


def look_for_desk(stdin: IO[bytes], output: int, policy_of: PolicyOf, command_of: CommandOf) -> None:
    """Diagnose the stores that *stdin* names, and write each change of the board to the descriptor *output*, until *stdin* is closed."""
    stores, is_watching = pickle.load(stdin)  # noqa: S301  # written by the desk
    sent = Board()

    def publish(board: Board) -> None:
        nonlocal sent
        # Past any buffer: a thread that held its lock while the process ends would abort it.
        left = memoryview(pickle.dumps(BoardChange.between(sent, board), protocol=pickle.HIGHEST_PROTOCOL))
        while left:
            left = left[os.write(output, left) :]
        sent = board

    # The windows of a month are a million objects in no cycle, which the collector would walk again and again.
    gc.disable()
    looking = Looking(stores, policy_of, command_of, watch=is_watching, guard=Guard(), publish=publish)
    looking.start()
    while stdin.read(1):
        looking.ask()
    looking.stop(_LAST_S)  # a look that takes longer ends with the process
