"""Contention from the kernel: run queues of all threads, pressure of the group or the machine, memory and its limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde._health.pressure import Contention, ContentionProbe
from tests.unit.health.test_probes import tree

PRESSURE = "some avg10=1.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"


def machine(root, *, delays, stalls, group=""):
    """Write what the kernel of a machine says: nanoseconds of delay by thread, microseconds of stall by kind."""
    files = {f"proc/self/task/{thread}/schedstat": f"5 {delay} 7\n" for thread, delay in delays.items()}
    files |= {f"proc/pressure/{kind}": PRESSURE.format(total) for kind, total in stalls.items()}
    if group:
        files["proc/self/cgroup"] = f"0::{group}\n"
        files["sys/fs/cgroup/cgroup.controllers"] = "cpu memory\n"
    return tree(root, files)


def test_what_came_before_is_left_out_and_threads_and_kinds_add_up(tmp_path):
    """Delay of a thread that lives, all of one that is new, and nothing of one that ended; stalls by kind."""
    root = machine(tmp_path, delays={"1": 10**9, "2": 10**9}, stalls={"cpu": 10, "memory": 20, "io": 30})
    probe = ContentionProbe(root)
    assert probe.look() == Contention()
    (root / "proc/self/task/2/schedstat").unlink()
    machine(tmp_path, delays={"1": 3 * 10**9, "3": 10**9}, stalls={"cpu": 1_000_010, "memory": 500_020, "io": 30})
    assert probe.look() == Contention(3.0, 1.0, 0.5, 0.0)
    assert probe.look() == Contention()


def test_the_pressure_of_the_group_counts_before_that_of_the_machine(tmp_path):
    """A busy neighbour in another group is not ours; what the group does not say, the machine does."""
    root = machine(tmp_path, delays={}, stalls={"cpu": 0, "io": 0}, group="/web")
    tree(tmp_path, {"sys/fs/cgroup/web/cpu.pressure": PRESSURE.format(0)})
    probe = ContentionProbe(root)
    machine(tmp_path, delays={}, stalls={"cpu": 9_000_000, "io": 2_000_000})
    tree(tmp_path, {"sys/fs/cgroup/web/cpu.pressure": PRESSURE.format(4_000_000)})
    assert probe.look() == Contention(0.0, 4.0, 0.0, 2.0)


@pytest.mark.parametrize(
    ("files", "used", "limit"),
    [
        ({"web/memory.max": "max", "web/memory.current": "70"}, 0, 0),
        ({"web/memory.max": "100", "web/memory.current": "70"}, 70, 100),
        ({"web/memory.max": "max", "web/memory.current": "70", "memory.max": "200", "memory.current": "150"}, 150, 200),
    ],
    ids=["no limit", "a limit", "a limit above"],
)
def test_memory_is_that_of_the_nearest_group_with_a_limit(tmp_path, files, used, limit):
    """Kubernetes limits the container, or the pod above it."""
    root = machine(tmp_path, delays={}, stalls={}, group="/web")
    tree(tmp_path, {f"sys/fs/cgroup/{path}": text for path, text in files.items()})
    assert ContentionProbe(root).look() == Contention(memory_bytes=used, memory_limit_bytes=limit)


def test_a_system_that_says_nothing_counts_nothing(tmp_path):
    """No file at all, and files that make no sense."""
    assert ContentionProbe(tmp_path).look() == Contention()
    tree(tmp_path, {"proc/self/task/1/schedstat": "\n", "proc/pressure/cpu": "what", "proc/self/cgroup": "0::/\n"})
    assert ContentionProbe(tmp_path).look() == Contention()


HOG = """
import json, os, subprocess, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from radiosonde._health.pressure import ContentionProbe
hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    probe = ContentionProbe()
    began = time.process_time()
    while time.process_time() - began < 0.5:
        sum(range(1000))
    print(json.dumps(probe.look()))
finally:
    hog.kill()
    hog.wait()
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not say what threads wait for")
def test_a_hog_on_the_same_core_is_seen_as_delay():
    """Half a second of CPU beside a program that wants all of the core: about as much is waited for."""
    done = subprocess.run([sys.executable, "-c", HOG], capture_output=True, text=True, timeout=120, check=True)
    assert Contention(*json.loads(done.stdout)).run_delay_s > 0.1
