"""A host that closes descriptors which it has not opened, as code does that makes a daemon of a process."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from radiosonde._settings import Destination
from radiosonde.export.otlp_http import HttpTransport
from tests.stress._scripts import run, stored_calls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds descriptors in /proc"),
]

HOST = """
import json

def numbers(ending):
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.endswith(ending):
            found.append(int(name))
    return found

def call(times):
    made = []
    for _ in range(times):
        predict(ROW)
        made.append(rs.current().id)
    return made

first = call(40)
rs.flush()
for each in first:
    rs.label(each, 1)
rs.flush()
CLOSE
opened = [open(f"FOLDER/host{place}", "w+b", buffering=0) for place in range(REOPENED)]
for file in opened:
    file.write(b"host")
second = call(40)
for each in second:
    rs.label(each, 1)
rs.flush()
time.sleep(0.6)  # the consumer takes its turns, whatever they do to the files
rs.shutdown()
for file in opened:
    assert file.tell() == 4, ("read or written", file.name)
    file.seek(0)
    assert file.read() == b"host", ("written", file.name)
found = rs.statistics()
print(json.dumps({
    "records": found.records, "joined": found.labels["joined"], "losses": found.losses,
    "damage": __import__("sqlite3").connect(f"FOLDER/labels.sqlite").execute("PRAGMA integrity_check").fetchone()[0],
}))
"""

CLOSINGS = {
    "range": "os.closerange(3, 200)",
    "range-to-limit": "os.closerange(3, os.sysconf('SC_OPEN_MAX'))",
    "database": "[os.close(each) for each in numbers('labels.sqlite')]",
    "log": "[os.close(each) for each in numbers('labels.sqlite-wal')]",
    "index-of-log": "[os.close(each) for each in numbers('labels.sqlite-shm')]",
    "all-but-index": "[os.close(each) for ending in ('labels.sqlite', 'labels.sqlite-wal') for each in numbers(ending)]",
}


def host(folder: Path, closing: str, reopened: int) -> Mapping[str, Any]:
    """Run a host that closes descriptors and opens as many files; return what it has counted."""
    script = HOST.replace("CLOSE", closing).replace("FOLDER", str(folder)).replace("REOPENED", str(reopened))
    ended = run(script, folder / "store.sqlite", RADIOSONDE_LABELS=str(folder / "labels.sqlite"))
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: Mapping[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("closing", list(CLOSINGS.values()), ids=list(CLOSINGS))
def test_labels_go_on_when_their_descriptors_were_closed(tmp_path: Path, closing: str) -> None:
    """Numbers that are still free are opened again, and every label joins its prediction."""
    found = host(tmp_path, closing, 0)
    assert (found["records"], found["joined"], found["damage"]) == (80, 80, "ok")
    assert not any(found["losses"].values()), found["losses"]


@pytest.mark.parametrize("closing", list(CLOSINGS.values()), ids=list(CLOSINGS))
def test_nothing_is_written_into_the_files_that_took_the_numbers(tmp_path: Path, closing: str) -> None:
    """The host's files keep their contents and positions, and each label that could not be stored is counted."""
    found = host(tmp_path, closing, 12)
    assert (found["records"], found["joined"]) == (80, 40)
    assert found["losses"]["label_queue_full"] == 40
    assert found["losses"]["predictions_unjoinable"] == 40


SIGNALLED = """
import select
predict(ROW)
os.closerange(3, 200)
opened = [open(f"FOLDER/host{place}", "w+b", buffering=0) for place in range(6)] if REOPENED else []
time.sleep(1.5)  # two looks of the consumer
predict(ROW)
for file in opened:
    assert file.read() == b"", file.name
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)
"""


@pytest.mark.parametrize("is_reopened", [False, True], ids=["free", "taken"])
def test_signals_are_written_to_a_new_pipe(tmp_path: Path, is_reopened: bool) -> None:
    """A process that is terminated after its descriptors were closed delivers, and writes to none of the host's files."""
    script = SIGNALLED.replace("FOLDER", str(tmp_path)).replace("REOPENED", str(is_reopened))
    ended = run(script, tmp_path / "store.sqlite")
    assert ended.returncode == -15, ended.stderr[-2000:]
    assert "wakeup" not in ended.stderr
    assert [os.path.getsize(each) for each in tmp_path.glob("host*")] == [0] * 6 * is_reopened  # noqa: PTH202


SPOOLED = """
made = 0
def call(times):
    global made
    for _ in range(times):
        predict(ROW)
        made += 1
call(40)
time.sleep(0.3)
os.closerange(3, 200)
opened = [open(f"FOLDER/host{place}", "w+b", buffering=0) for place in range(REOPENED)]
numbers = [file.fileno() for file in opened]
held = [os.fstat(each).st_ino for each in numbers]
for file in opened:
    file.write(b"host")
deadline = time.monotonic() + 30
while not rs.statistics().losses["spool_removed"] and time.monotonic() < deadline:
    call(1)
    time.sleep(0.05)
call(40)
import gc
gc.collect()
rs.shutdown()
gc.collect()
assert [os.fstat(each).st_ino for each in numbers] == held  # none was closed
for file in opened:
    assert file.tell() == 4
print(made, rs.statistics().losses['spool_removed'])
"""


@pytest.mark.parametrize("reopened", [0, 3, 12], ids=["free", "some-taken", "taken"])
def test_a_ring_in_the_spool_is_replaced(tmp_path: Path, reopened: int) -> None:
    """A process that drains its own rings opens new ones, counts every call, and closes none of the host's files."""
    (tmp_path / "spool").mkdir(mode=0o700)
    script = SPOOLED.replace("FOLDER", str(tmp_path)).replace("REOPENED", str(reopened))
    store = tmp_path / "store.sqlite"
    ended = run(script, store, RADIOSONDE_SPOOL=str(tmp_path / "spool"), RADIOSONDE_AGENT="false")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert sum(stored_calls(store).values()) == int(ended.stdout.split()[0])
    assert ended.stdout.split()[1] == "1"


@pytest.mark.parametrize("is_taken", [False, True], ids=["free", "taken"])
def test_nothing_is_sent_through_a_socket_that_took_the_number(is_taken: bool) -> None:
    """A kept connection whose descriptor was closed is replaced, and the host's socket receives nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bodies: list[bytes] = []

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as read:
                    while read.readline().strip():
                        pass
                    bodies.append(read.read(4))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    if len(bodies) == 1:
                        may_close.wait(30)

        may_close = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        transport = HttpTransport(Destination("metrics", f"http://127.0.0.1:{server.getsockname()[1]}"))
        send(transport, b"one!")
        kept = transport._connection
        assert kept is not None
        number = kept.sock.fileno()
        ours, theirs = socket.socketpair()
        os.close(number)
        if is_taken:
            os.dup2(ours.fileno(), number)
        may_close.set()
        send(transport, b"two!")
        transport.close()
        thread.join(30)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        if is_taken:
            os.fstat(number)
            os.close(number)
        ours.close()
        theirs.close()
    assert bodies == [b"one!", b"two!"]


def send(transport: HttpTransport, body: bytes) -> None:
    """Post a body, and read the answer."""
    reply = transport.post(body, {}, time.monotonic_ns() + 30_000_000_000)
    assert reply.status == 200
    reply.end(True)
