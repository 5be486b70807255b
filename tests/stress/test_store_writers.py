"""Many processes on one store, and processes that die while they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from tests.unit.store.strategies import make_part

WRITERS, BATCHES, BATCH = 4, 40, 5

WRITES = """
import sys
from radiosonde.store import StoreWriter
from tests.unit.store.strategies import make_part
path, process, batches, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
writer = StoreWriter(path, process=process)
parts = [make_part(number + 1, process="", sketches={("wind", "kll"): bytes(3000)}) for number in range(batch)]
done = 0
while done != batches:
    writer.write(parts)
    done += 1
    print(done, flush=True)
"""


def writer_process(path: Path, process: str, batches: int, batch: int) -> subprocess.Popen[str]:
    """Start a process that writes *batches* batches (-1: until it is killed) and prints the number of each."""
    command = [sys.executable, "-c", WRITES, str(path), process, str(batches), str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Four processes make the store and write it together: every batch is there, whole, and counted exactly."""
    path = tmp_path / "a.sqlite"
    writers = [writer_process(path, f"worker-{number}", BATCHES, BATCH) for number in range(WRITERS)]
    try:
        for writer in writers:
            writer.communicate(timeout=400)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    windows = open_source(path).windows()
    for number in range(WRITERS):
        rows = [window.rows for window in windows if window.process == f"worker-{number}"]
        assert len(rows) == BATCHES * BATCH
        assert sum(rows) == BATCHES * (1 + 2 + 3 + 4 + 5)
    assert all(len(window.features.sketches) == 1 for window in windows if window.features)


def test_a_writer_killed_in_mid_write_leaves_whole_batches(tmp_path: Path) -> None:
    """After `kill -9` at any moment the store opens, holds each batch whole or not at all, and takes further writes."""
    batch = 50
    for round_number in range(5):
        path = tmp_path / f"{round_number}.sqlite"
        writer = writer_process(path, "worker", -1, batch)
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "1\n"
            # The next write is under way by now; how far it has come differs from round to round.
            time.sleep(0.003 * round_number)
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait(timeout=60)
        said = [1, *(int(line) for line in writer.stdout)]
        writer.stdout.close()
        windows = open_source(path).windows()
        assert len(windows) % batch == 0
        assert len(windows) // batch in (said[-1], said[-1] + 1)
        assert sum(window.rows for window in windows) == len(windows) // batch * (batch * (batch + 1) // 2)
        assert all(
            len(window.features.names) == 2 and window.features.sketches for window in windows if window.features
        )
        StoreWriter(path).write([make_part(1)])
        assert len(open_source(path).windows()) == len(windows) + 1
