"""Probes of the operating system: CPU limit of the cgroup, resident memory, GPU memory.

All probes are optional: values that the kernel or a library does not provide are silently omitted.
Files under ``/proc`` and ``/sys`` cost 10 to 30 us a read; where there are none, memory and limits are unknown.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from radiosonde._clock import NS


class Throttling(NamedTuple):
    """Cumulative counts of a control group's CPU limit."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_s: float = 0.0

    def since(self, before: Throttling) -> Throttling:
        """Return the increase since *before*; a recreated group counts from zero."""
        if self.periods < before.periods:
            return self
        return Throttling(
            self.periods - before.periods,
            self.throttled_periods - before.throttled_periods,
            self.throttled_s - before.throttled_s,
        )


class CpuLimit(NamedTuple):
    """The limit that binds first on the way from this process's control group to the root.

    Attributes:
        cores: CPU seconds per second the group may use; infinity without a limit.
        stat: file with its throttling counts; None without a limit.
    """

    cores: float = math.inf
    stat: Path | None = None


def cpu_limit(root: Path = Path("/")) -> CpuLimit:
    """Return the tightest CPU limit of this process's control groups, version 1 or 2.

    The groups above count too: Kubernetes limits the container and the pod. In a container without a control-group
    namespace the path in ``/proc`` is the host's and not there; its mount is then the container's own group.

    Args:
        root: where ``proc`` and ``sys`` are; for tests.
    """
    limits = [limit for folder in _groups(root) if (limit := _limit_of(folder)) is not None]
    return min(limits, key=lambda limit: limit.cores, default=CpuLimit())


def available_cores() -> int:
    """Return the number of cores this process may run on; if unknown, the number of cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def throttling(stat: Path) -> Throttling:
    """Return the counts in *stat*; zeros when it cannot be read."""
    try:
        found = dict(line.split() for line in stat.read_text().splitlines())
        # Version 2 counts microseconds, version 1 nanoseconds.
        held_s = int(found.get("throttled_usec", 0)) / 1e6 + int(found.get("throttled_time", 0)) / NS
        return Throttling(int(found.get("nr_periods", 0)), int(found.get("nr_throttled", 0)), held_s)
    except (OSError, ValueError):
        return Throttling()


def rss_bytes() -> int:
    """Return the resident memory of this process; 0 when unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a third of the time of Path.read_bytes
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


def gpu_probe() -> Callable[[], int] | None:
    """Return a function that queries NVML for the bytes in use on all devices; None without pynvml, driver or device."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None

    def used_bytes() -> int:
        try:
            return sum(int(pynvml.nvmlDeviceGetMemoryInfo(device).used) for device in devices)
        except pynvml.NVMLError:  # a device that was taken away or reset
            return 0

    return used_bytes if devices else None


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's CPU control groups, innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            tops = [mounts, mounts / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [mounts / controllers, mounts / "cpu"]
        else:
            continue
        top = next((top for top in tops if top.is_dir()), None)
        if top is not None:
            inside = path.strip("/")
            while inside and not (top / inside).is_dir():
                inside = inside.rpartition("/")[0]
            yield from (top / inside, *(parent for parent in (top / inside).parents if parent.is_relative_to(top)))


def _limit_of(folder: Path) -> CpuLimit | None:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        if quota in ("max", "-1"):
            return None
        return CpuLimit(int(quota) / int(period), folder / "cpu.stat")
    except (OSError, ValueError, ZeroDivisionError):
        return None
