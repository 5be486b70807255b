"""Models made anew in a loop take no descriptors from their host, and each of their calls counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
from radiosonde.model import losses
from radiosonde.store.reader import Interval, StoreReader
from tests.stress import _remade_models as remade

pytestmark = pytest.mark.slow

MAPPED = 24
"""Mappings of files that may come and go: of the ten rings that 128 descriptors allow for, and their arenas."""


def made(folder: Path, kinds: list[str], **environment: str) -> dict[str, dict[str, dict[str, int]]]:
    """Run a host that makes models of those kinds, and return what it saw."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", remade.__file__, *kinds],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        cwd=folder, timeout=300, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, dict[str, dict[str, int]]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def stored(store: Path) -> Counter[str]:
    """Return the calls in a store by model."""
    calls: Counter[str] = Counter()
    for _, window in StoreReader(store, sketches=False).parts(Interval()):
        calls[window.key.model.split()[0]] += window.calls
    return calls


def drained_by_an_agent(folder: Path) -> tuple[Counter[str], dict[str, int]]:
    """Let an agent drain what a host has left behind; return the calls by model, and the losses."""
    guard = Guard()
    agent = Agent(Spool(folder), guard)
    for _ in range(200):
        agent.turn()
        if not list(folder.glob("*.ring")):
            break
    lost = {name: count for name, count in agent.statistics().losses.items() if count}
    assert agent.close()
    return stored(agent.store), lost


TIMES = remade.TIMES
REMADE = {
    "function": 2 * TIMES, "versions": TIMES, "features": TIMES, "loaded": TIMES, "class": TIMES,
    "coroutine": TIMES, "error": TIMES,
}  # fmt: skip
"""Calls by model, those of a library's models left out."""

GONE = [kind for kind in remade.KINDS if kind != "a_model_that_stays"]


@pytest.mark.parametrize("mode", ["memory", "spool", "agent"])
def test_models_made_anew_leave_the_host_its_descriptors(mode: str, tmp_path: Path) -> None:
    """Whatever is made anew many times, the host opens half of its 128 descriptors at any time; every call counts."""
    spool, store = tmp_path / "spool", tmp_path / "store.sqlite"
    environment = {} if mode == "memory" else {"RADIOSONDE_SPOOL": str(spool)}
    environment |= {"RADIOSONDE_AGENT": "true"} if mode == "agent" else {"RADIOSONDE_STORE": str(store)}
    found = made(tmp_path, GONE, **environment)
    assert {kind: seen["opened"] for kind, seen in found["seen"].items()} == dict.fromkeys(GONE, remade.FREE)
    assert all(seen["more mappings"] <= MAPPED for seen in found["seen"].values())
    calls, lost = drained_by_an_agent(spool) if mode == "agent" else (stored(store), found["losses"])
    pipeline = {model: count for model, count in calls.items() if model not in REMADE}
    assert sum(pipeline.values()) == TIMES + 1
    assert {model: calls[model] for model in REMADE} == REMADE
    assert not lost.keys() - {losses.SPOOL_FAILED}


LITTLE = """
import os, resource, sys
from pathlib import Path
from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._ring.spool import Spool
agent = Agent(Spool(sys.argv[1]), Guard(reraise=True))
agent.turn()
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
for number in range(5):
    for name in Path(sys.argv[1], "aside").iterdir():
        name.rename(Path(sys.argv[1], name.name))
    agent.turn()
    os.close(os.open("/dev/null", os.O_RDONLY))
sys.exit(not agent.close())
"""


def test_an_agent_with_few_descriptors_drains_many_rings_in_turn(tmp_path: Path) -> None:
    """Dozens of rings whose processes are gone are drained by an agent that has 128 descriptors; every call counts."""
    spool = tmp_path / "spool"
    made(tmp_path, ["another_version"], RADIOSONDE_SPOOL=str(spool), RADIOSONDE_AGENT="true")
    aside = spool / "aside"
    aside.mkdir()
    for path in [*spool.glob("*.ring"), *spool.glob("*.names"), *spool.glob("*.arena")]:
        path.rename(aside / path.name)
    ended = subprocess.run(
        [sys.executable, "-c", LITTLE, str(spool)], timeout=240, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not list(spool.glob("*.ring"))
    assert stored(spool / "agent.sqlite")["versions"] == TIMES


@pytest.mark.parametrize("mode", ["spool", "agent"])
def test_models_beyond_the_share_of_descriptors_are_in_memory(mode: str, tmp_path: Path) -> None:
    """Of many models that stay, those beyond the share of 128 descriptors have rings in memory, named; every call counts."""
    spool, store = tmp_path / "spool", tmp_path / "store.sqlite"
    environment = {"RADIOSONDE_SPOOL": str(spool)}
    environment |= {"RADIOSONDE_AGENT": "true"} if mode == "agent" else {"RADIOSONDE_STORE": str(store)}
    found = made(tmp_path, ["a_model_that_stays"], **environment)
    assert found["seen"]["a_model_that_stays"]["opened"] == remade.FREE
    assert found["losses"][losses.SPOOL_FAILED] >= 30
    calls = drained_by_an_agent(spool)[0] if mode == "agent" else stored(store)
    assert calls["model"] == TIMES
