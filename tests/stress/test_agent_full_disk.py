"""An agent whose disk is full holds a bounded number of bytes, and counts what it drops."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RINGS, WINDOWS, FEATURES = 3, 30, 20

SERVER = f"""
import sys
import numpy as np
import radiosonde as rs
rs.start(spool=sys.argv[1], agent=True)
predict = rs.observe("delays", features=[str(place) for place in range({FEATURES})])(lambda rows: "late")
for window in range({WINDOWS}):
    with rs.at(1_700_000_000.0 + (int(sys.argv[2]) * {WINDOWS} + window) * 60):
        for _ in range(3):
            predict(np.random.rand(1, {FEATURES}))
"""

AGENT = """
import json, resource, sys
from pathlib import Path
from radiosonde._agent import agent as agents
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.model.size import held_bytes
from radiosonde.store.reader import Interval, StoreReader

spool, aside, bound, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
agents.WAITING_BYTES = bound
agent = agents.Agent(Spool(spool), Guard())
agent.turn()
assert agent.commit()
held, committed = [], []
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
for place in sorted(aside.iterdir()):
    for path in place.iterdir():
        path.rename(spool / path.name)
    agent.turn()
    committed.append(agent.commit())
    held.append(sum(map(held_bytes, agent._uncommitted)))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert agent.close()
windows = [window for _, window in StoreReader(agent.store).parts(Interval()) if window.calls]
sys.stdout.write(json.dumps({
    "held": held, "committed": committed, "stored": len(windows), "calls": sum(window.calls for window in windows),
    "lost": agent.statistics().losses["store_failed"],
}))
"""


@pytest.mark.parametrize("bound", [1, 200_000, 1 << 30])
def test_an_agent_with_a_full_disk_is_bounded_in_bytes(bound: int, tmp_path: Path) -> None:
    """Of ninety windows that cannot be written the newest within the bound wait; the others are counted, and the rest is stored."""
    spool, aside = tmp_path / "spool", tmp_path / "aside"
    for ring in range(RINGS):
        command = [sys.executable, "-c", SERVER, str(spool), str(ring)]
        subprocess.run(command, timeout=120, check=True, capture_output=True)
        place = aside / str(ring)
        place.mkdir(parents=True)
        for suffix in (".ring", ".arena", ".names"):
            for path in spool.glob(f"*{suffix}"):
                path.rename(place / path.name)
    # No file may grow beyond half a page: as on a full disk, but for this process only.
    command = [sys.executable, "-c", AGENT, str(spool), str(aside), str(bound), "2048"]
    ended = subprocess.run(command, timeout=240, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["committed"] == [False] * RINGS
    assert max(found["held"]) <= bound
    assert found["stored"] + found["lost"] == RINGS * WINDOWS
    assert found["calls"] == 3 * found["stored"]
    assert (found["lost"] > 0) == (bound < 1 << 30)
