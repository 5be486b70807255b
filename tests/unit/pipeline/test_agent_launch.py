"""Agents that start by themselves and end by themselves: exactly one, again when it dies, and a clear word when it cannot."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from radiosonde._guard import Guard
from radiosonde._pipeline.launch import Launcher
from radiosonde._ring.spool import AGENT_LOCK, AGENT_LOG, Spool, is_held
from radiosonde._settings import Settings
from radiosonde.errors import ConfigurationError
from tests.e2e._receivers import wait_for
from tests.unit.pipeline.spooled import serving, stored

CALL = ({"wind": 1.0}, "late", "")
NS = 1_000_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """Return the path of a spool; the agent that drains it in the end is ended."""
    path = tmp_path / "spool"
    yield path
    end_agent(path)


def agent_of(spool: Path) -> int:
    """Return the process id of the agent that drains a spool, 0 if there is none."""
    if not is_held(spool / AGENT_LOCK):
        return 0
    return int((spool / AGENT_LOCK).read_text() or 0)


def end_agent(spool: Path, number: int = signal.SIGTERM) -> None:
    """Send a signal to the agent and wait for its end."""
    pid = agent_of(spool)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_for(lambda: agent_of(spool) != pid, "the agent to end")


def test_processes_start_one_agent_and_another_when_it_dies(spool: Path) -> None:
    """Three processes at once: one agent, detached, with their settings; killed, it is replaced; nothing is lost."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(spool, agent="auto", window_s=7)) for _ in range(3)]
        for server in servers:
            server.predict(CALL, times=10)
        first = wait_for(lambda: agent_of(spool), "an agent")
        assert os.getsid(first) == first  # what ends the servers' process group leaves it alone
        assert stat.S_IMODE((spool / AGENT_LOG).stat().st_mode) == 0o600
        end_agent(spool, signal.SIGKILL)
        second = wait_for(lambda: agent_of(spool), "another agent")
        assert second != first
        for server in servers:
            server.predict(CALL, times=5)
            server.end()
    wait_for(lambda: not list(spool.glob("*.ring")), "all rings to be counted and removed")
    end_agent(spool)
    window = stored(spool)
    assert (window.calls, (window.end_ns - window.start_ns) % (7 * NS)) == (45, 0)
    told = (spool / AGENT_LOG).read_text().splitlines()
    # The first may have been killed before it had said so.
    assert told in ([f"draining {spool} into {spool}/agent.sqlite"] * count for count in (1, 2))


def test_a_process_that_ends_at_once_leaves_an_agent_behind(spool: Path) -> None:
    """A script shorter than the first look starts the agent at its exit."""
    script = "import radiosonde as rs\nrs.observe('delays')(lambda row: 'late')({'wind': 1.0})\n"
    environment = {**os.environ, "RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "auto"}
    subprocess.run([sys.executable, "-c", script], env=environment, timeout=240, check=True)
    wait_for(lambda: agent_of(spool) and not list(spool.glob("*.ring")), "an agent that drains what was left")
    end_agent(spool)
    assert stored(spool).calls == 1


def test_an_agent_nobody_needs_ends_by_itself(spool: Path) -> None:
    """Told to linger, it ends once no writer has been there for that long and all is durable; not before."""
    with serving(spool) as server:
        command = [Path(sys.executable).with_name("radiosonde"), "agent", "--spool", spool, "--linger-s", "0.5"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout is not None
            assert agent.stdout.readline().startswith("draining")
            server.predict(CALL, times=3)
            with pytest.raises(subprocess.TimeoutExpired):
                agent.wait(1.5)
            server.end()
            assert agent.wait(30) == 0
            assert agent.stdout.read() == f"no process has written to {spool} for 0.5 s; exiting\n"
    assert stored(spool).calls == 3


def launcher(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Launcher, Spool, Guard]:
    """Return a launcher whose interpreter is a program that writes a line and fails."""
    folder.mkdir(mode=0o700)
    path = folder.parent / program
    path.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))
    guard = Guard(reraise=True)
    return Launcher(Settings(spool=str(folder), agent="auto"), guard), Spool(folder), guard


def test_an_agent_that_cannot_run_is_tried_less_and_less(
    spool: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each attempt is counted, the waits double, and there is one line in the log that says where to look."""
    tried, place, guard = launcher(spool, "python-that-fails", monkeypatch)
    attempts = []
    for second in range(130):
        tried.look(place, second * NS)
        if tried._pid:
            attempts.append(second)
            os.waitid(os.P_PID, tried._pid, os.WEXITED | os.WNOWAIT)
    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123]
    assert guard.losses() == {"agent_failed": 8}
    (message,) = {record.getMessage() for record in caplog.records}
    assert f"its log is {spool / AGENT_LOG}" in message
    assert f"radiosonde agent --spool {spool}" in message
    assert (spool / AGENT_LOG).read_text() == "no luck\n" * 8


def test_a_program_that_embeds_python_is_not_run_again(
    spool: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where `sys.executable` is the server itself, starting it as an agent would start a second server."""
    tried, place, guard = launcher(spool, "embedding-server", monkeypatch)
    tried.look(place, 0)
    assert guard.losses() == {"agent_failed": 1}
    assert "is not a Python interpreter" in caplog.text
    assert not (spool / AGENT_LOG).exists()


def test_auto_is_a_setting() -> None:
    """From the environment and by argument; anything else is refused with what may be said."""
    environment = {"RADIOSONDE_SPOOL": "/spool", "RADIOSONDE_AGENT": " Auto "}
    assert Settings.resolve(environment).agent == "auto"
    with pytest.raises(ConfigurationError, match='use true, false or "auto"'):
        Settings.resolve({}, spool="/spool", agent="maybe")
