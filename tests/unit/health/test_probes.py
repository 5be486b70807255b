"""Health of a process from the kernel: limits and throttling of control groups of both versions, memory, GPUs."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import pytest

from radiosonde._health.probes import CpuLimit, Throttling, cpu_limit, gpu_probe, rss_bytes, throttling


def tree(root, files):
    """Write *files*, text by path, under *root*."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_version_2_in_a_container_with_a_namespace(tmp_path):
    """The container's own group is the root it sees."""
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"})
    assert cpu_limit(root) == CpuLimit(1.5, root / "sys/fs/cgroup/cpu.stat")


def test_the_tightest_limit_on_the_way_to_the_root_counts(tmp_path):
    """A service without a limit inside a slice with one is throttled by the slice."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/web.slice/model.service\n",
            "sys/fs/cgroup/web.slice/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/web.slice/model.service/cpu.max": "max 100000\n",
        },
    )
    assert cpu_limit(root) == CpuLimit(0.5, root / "sys/fs/cgroup/web.slice/cpu.stat")


def test_version_1_whose_path_is_the_host_s(tmp_path):
    """In a container without a namespace the path is not there; the mount is the container's own group."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "12:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cpu_limit(root) == CpuLimit(2.0, root / "sys/fs/cgroup/cpu,cpuacct/cpu.stat")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "something new\n"},
        {"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
    ],
)  # fmt: skip
def test_no_limit_or_none_that_can_be_read_is_no_limit(tmp_path, files):
    """No control groups, no limit, a limit in words unknown: infinity and no file."""
    assert cpu_limit(tree(tmp_path, files)) == CpuLimit(math.inf, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("usage_usec 9\nnr_periods 600\nnr_throttled 228\nthrottled_usec 1500000\n", Throttling(600, 228, 1.5)),
        ("nr_periods 600\nnr_throttled 228\nthrottled_time 1500000000\n", Throttling(600, 228, 1.5)),
        ("usage_usec 9\n", Throttling()),
        ("nr_periods many\n", Throttling()),
    ],
)
def test_throttling_is_read_in_the_units_of_either_version(tmp_path, text, expected):
    """Version 2 counts microseconds, version 1 nanoseconds; what cannot be read is zero."""
    (tmp_path / "cpu.stat").write_text(text)
    assert throttling(tmp_path / "cpu.stat") == expected


def test_a_group_made_anew_counts_from_zero():
    """The increase is never negative; a missing file adds nothing."""
    before = Throttling(600, 228, 1.5)
    assert Throttling(700, 230, 2.0).since(before) == Throttling(100, 2, 0.5)
    assert Throttling(10, 1, 0.1).since(before) == Throttling(10, 1, 0.1)


def test_resident_memory_is_that_of_this_process():
    """It grows by what is allocated and touched."""
    before = rss_bytes()
    held = bytearray(b"x") * (64 << 20)
    assert before > 1 << 20
    assert (48 << 20) < rss_bytes() - before < (96 << 20)
    assert len(held) == 64 << 20


class StandIn(SimpleNamespace):
    """NVML as pynvml offers it, with two devices, the second of which may be lost."""

    class NVMLError(Exception):
        """NVML's own."""

    def __init__(self, *, driver=True):
        super().__init__(driver=driver, lost=False)

    def nvmlInit(self):  # noqa: N802
        if not self.driver:
            raise self.NVMLError

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, device):  # noqa: N802
        if device == 1 and self.lost:
            raise self.NVMLError
        return SimpleNamespace(used=1000 + device)


def test_gpu_memory_is_the_sum_over_devices(monkeypatch):
    """Both devices count; a device that is lost later makes it unknown, and raises nothing."""
    nvml = StandIn()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    used_bytes = gpu_probe()
    assert used_bytes() == 2001
    nvml.lost = True
    assert used_bytes() == 0


@pytest.mark.parametrize("module", [None, StandIn(driver=False)])
def test_without_library_or_driver_there_is_no_gpu(monkeypatch, module):
    """Nothing is asked, and nothing raised."""
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert gpu_probe() is None
