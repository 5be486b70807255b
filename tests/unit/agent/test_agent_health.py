"""A process whose rings an agent drains leaves its health in the spool, each process its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde._ring.process_pages import HEALTH, read_page
from radiosonde._ring.spool import Spool
from radiosonde.testing import fly
from tests.e2e._receivers import wait_for
from tests.unit.pipeline.spooled import draining, serving

CALL = ({"wind": 1.0}, "late", "")

_FORKING = """
import gc, json, os, sys
from pathlib import Path
import radiosonde as rs
from radiosonde._api.surface import SURFACE
from radiosonde._ring.process_pages import HEALTH, read_page

gc.disable()
rs.start(spool=sys.argv[1], agent=True, prometheus=False)
predict = rs.observe("delays")(lambda row: "yes")

def leave(collections):
    predict([1.0])
    pipeline = SURFACE.pipeline()
    for turn in range(2):  # the first begins to count
        pipeline._looked_ns = pipeline.health._sampled_ns = 0
        assert pipeline._consumer.ask(20)
        for _ in range(collections if not turn else 0):
            gc.collect()
    return pipeline.process

def told(process):
    total = read_page(Path(sys.argv[1], process + ".health"), HEALTH).total
    return int(total.gc_pauses.counts.sum()), total.rss_bytes > 0

parent = leave(3)
reader, writer = os.pipe()
if os.fork() == 0:
    child = leave(2)
    os.write(writer, json.dumps([child != parent, len(gc.callbacks), *told(child)]).encode())
    os._exit(0)
os.wait()
print(json.dumps([json.loads(os.read(reader, 1000)), told(parent), len(list(Path(sys.argv[1]).glob("*.health")))]))
"""


def test_a_forked_child_leaves_a_page_of_its_own(tmp_path: Path) -> None:
    """Three collections in the parent, two in the child, one hook in each, and neither writes the other's page."""
    said = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKING, str(tmp_path / "spool")],
        timeout=240, check=True, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert json.loads(said.stdout) == [[True, 1, 2, True], [3, True], 2]


def test_a_clean_exit_leaves_the_last_moment_too(tmp_path: Path) -> None:
    """Counts of the last second are in the page after its process has ended."""
    with fly(spool=tmp_path / "spool", agent=True) as rs:
        pipeline = rs.pipeline()
        rs.observe("delays")(lambda _: "yes")([1.0])
        for _ in range(2):
            pipeline._looked_ns = pipeline.health._sampled_ns = 0
            assert pipeline._consumer.ask(20)
        pipeline.health._pauses.add(5)  # not sampled yet
        path = Spool(tmp_path / "spool").page_path(pipeline.process, HEALTH.suffix)
        rs.shutdown()
        counted = int(pipeline.health._pauses.snapshot().counts.sum())
        assert read_page(path, HEALTH).total.gc_pauses.counts.sum() == counted >= 1
        assert pipeline.snapshot().runtime is None  # the agent's to tell


@pytest.mark.parametrize(("settings", "pages"), [({}, 1), ({"runtime": False}, 0)])
def test_off_leaves_nothing(settings: dict[str, bool], pages: int, tmp_path: Path) -> None:
    """With the health disabled there is no page, even at exit."""
    with serving(tmp_path / "spool", **settings) as server:
        server.predict(CALL)
        server.do("lose", count=1)  # has the consumer look
        server.end()
    assert len(list((tmp_path / "spool").glob("*.health"))) == pages


def test_a_worker_that_was_killed_is_counted_to_its_last_second(tmp_path: Path) -> None:
    """A page that was not read while its process lived is kept, and removed after the commit that counts it."""
    spool = tmp_path / "spool"
    with serving(spool) as server:
        server.predict(CALL)
        wait_for(lambda: [path for path in spool.glob("*.health") if read_page(path, HEALTH)], "its health")
        server.kill()
    (path,) = spool.glob("*.health")
    left = read_page(path, HEALTH)
    assert left is not None
    with draining(spool) as agent:
        agent.turn()
        ((process, total),) = agent.snapshot().runtimes.items()
        agent.commit()
    assert process == path.stem
    assert (total.observed_s, total.cpu_s) == (left.total.observed_s, left.total.cpu_s)
    assert not path.exists()
