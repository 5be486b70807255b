"""Runs one command of the team, bounded in time and output.

The command is text that the team wrote in `radiosonde.toml`, and is given to the shell as it is. Names of models, versions and cohorts come
from requests: they are never put into that text. The command gets them as variables of its environment, which a shell does not interpret
when it expands ``"$RADIOSONDE_COHORT"``.

The command has a session of its own, so that all of its processes can be ended at the time limit. It has no terminal: one that asks a
question reads an end of file. A process that the command leaves in the background is not waited for.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from radiosonde._clock import monotonic_ns
from radiosonde._settings.environment import in_force
from radiosonde.store.mitigations import MAX_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from radiosonde.diagnose import Finding
    from radiosonde.store.mitigations import MitigationOutcome

LONGEST_VALUE: Final = 4096
"""Bytes of a variable; a longer name is left out, because a part of it would be another name."""

_POLL_S, _GRACE_S = 0.1, 5.0
_READ_BYTES, _LAST_READS = 65_536, 64


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        outcome: ``done``, ``failed``, ``timed out`` or ``interrupted``.
        exit_code: its exit code; negative for a signal, None if it was ended at the time limit.
        output: the last `MAX_OUTPUT` characters of its output and errors.
    """

    outcome: MitigationOutcome
    exit_code: int | None
    output: str


def variables_of(finding: Finding, action: str) -> dict[str, str]:
    """Return the variables of the commands against *finding*; a name that cannot be passed exactly is left out."""
    where = finding.where
    named = {
        "INCIDENT": finding.id,
        "ACTION": action,
        "KIND": finding.kind,
        "MODEL": where.model,
        "VERSION": where.version,
        "VARIANT": where.variant,
        "COHORT": where.cohort,
        "FEATURE": where.feature,
    }
    return {f"RADIOSONDE_{name}": value for name, value in named.items() if value and _is_exact(value)}


def run_command(
    command: str, variables: Mapping[str, str], limit_s: float, show: Callable[[str], None] | None = None
) -> Ended:
    """Run *command* in a shell and return how it ended. Ctrl-C ends the command; the outcome is ``interrupted``.

    Args:
        command: the command, as the team wrote it.
        variables: variables of its environment, beside those of this process.
        limit_s: seconds after which it is ended, with all processes of its session.
        show: called with each piece of output.
    """
    environment = {**in_force(None), **variables}
    for name in ("INCIDENT", "ACTION", "KIND", "MODEL", "VERSION", "VARIANT", "COHORT", "FEATURE"):
        if f"RADIOSONDE_{name}" not in variables:
            environment.pop(f"RADIOSONDE_{name}", None)  # one of an outer command would name another place
    process = subprocess.Popen(  # noqa: S602 - the team's own command, which may hold pipes; nothing is inserted into it
        command, shell=True, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    output = _Output(show)
    outcome: MitigationOutcome
    try:
        is_over = _follow(process, monotonic_ns() + round(limit_s * 1e9), output)
        outcome = "timed out" if not is_over else "done" if process.returncode == 0 else "failed"
    except KeyboardInterrupt:
        outcome = "interrupted"
    finally:
        if process.poll() is None:
            _end(process)
        if process.stdout is not None:
            process.stdout.close()
    return Ended(outcome, process.returncode if outcome in ("done", "failed") else None, output.text())


class _Output:
    """The end of an output of any length."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show
        self._kept = b""

    def add(self, piece: bytes) -> None:
        self._kept = (self._kept + piece)[-4 * MAX_OUTPUT :]
        if self._show is not None:
            self._show(piece.decode("utf-8", "replace"))

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").replace("\0", "\ufffd")[-MAX_OUTPUT:]


def _follow(process: subprocess.Popen[bytes], until_ns: int, output: _Output) -> bool:
    """Read the output until the command is over or the time is; return whether it is over."""
    pipe = process.stdout
    if pipe is None:  # not with the arguments above
        return True
    os.set_blocking(pipe.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while process.poll() is None:
            left_s = (until_ns - monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            if not selector.get_map():  # it has closed its output
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(_POLL_S, left_s))
            elif selector.select(min(_POLL_S, left_s)) and not _read(pipe.fileno(), output):
                selector.unregister(pipe)
    for _ in range(_LAST_READS):  # a process in the background may write for ever
        if not _read(pipe.fileno(), output):
            break
    return True


def _read(file: int, output: _Output) -> bool:
    """Read a piece; return False at the end of the output, or if there is nothing now."""
    try:
        piece = os.read(file, _READ_BYTES)
    except BlockingIOError:
        return False
    if piece:
        output.add(piece)
    return bool(piece)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End all processes of the command's session: asked first, then killed."""
    for number, patience_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            if number == signal.SIGTERM:
                continue  # children that ignored the signal are killed
            return


def _is_exact(value: str) -> bool:
    try:
        return "\0" not in value and len(value.encode()) <= LONGEST_VALUE
    except UnicodeEncodeError:
        return False
