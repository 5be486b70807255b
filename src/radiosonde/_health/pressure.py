"""Probes of contention: run-queue delay of this process, pressure stall information, and memory of its control group.

Read from ``/proc/self/task/*/schedstat``, ``/proc/pressure`` or the group's ``*.pressure``, and the group's memory files. Values that the
kernel does not provide count as zero. A read costs 10 to 30 us a file, so the threads of which the delay is read are bounded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from radiosonde._clock import NS

MAX_THREADS = 32
"""Largest number of threads whose delay is read; the delay of others is not measured."""

_KINDS = ("cpu", "memory", "io")


class Contention(NamedTuple):
    """Increase since the last read, in seconds, and the current memory.

    Attributes:
        run_delay_s: threads ready to run, without a core.
        cpu_stalled_s: some task waited for a core.
        memory_stalled_s: some task waited for memory.
        io_stalled_s: some task waited for input or output.
        memory_bytes: memory of the group; 0 if unknown.
        memory_limit_bytes: its limit; 0 without one.
    """

    run_delay_s: float = 0.0
    cpu_stalled_s: float = 0.0
    memory_stalled_s: float = 0.0
    io_stalled_s: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0


class ContentionProbe:
    """Measures the stalls of this process and its group. For the sampling thread only.

    Args:
        root: where ``proc`` and ``sys`` are; for tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._tasks = root / "proc/self/task"
        group = _group(root)
        self._pressures = [_pressure_file(root, group, kind) for kind in _KINDS]
        self._memory = _memory_files(group)
        self._delays: dict[str, int] = {}
        self._stalls: list[int | None] = [None] * len(_KINDS)
        self.look()  # discards the time before the start

    def look(self) -> Contention:
        """Return the increase since the last call."""
        stalled = []
        for place, file in enumerate(self._pressures):
            total = None if file is None else _pressure_total_us(file)
            before, self._stalls[place] = self._stalls[place], total
            stalled.append(max(total - before, 0) / 1e6 if total is not None and before is not None else 0.0)
        used, limit = (0, 0) if self._memory is None else (_number(file) for file in self._memory)
        cpu, memory, io = stalled
        return Contention(self._run_delay_s(), cpu, memory, io, used if limit else 0, limit)

    def _run_delay_s(self) -> float:
        """Return the delay of all threads since the last read; a new thread adds its total."""
        try:
            threads = os.listdir(self._tasks)[:MAX_THREADS]  # noqa: PTH208 - twice as fast as Path.iterdir
        except OSError:
            return 0.0
        delays = {}
        for thread in threads:
            try:
                with open(self._tasks / thread / "schedstat", "rb") as file:  # noqa: PTH123 - a third of the time of Path.read_bytes
                    delays[thread] = int(file.read().split()[1])
            except (OSError, ValueError, IndexError):  # ended meanwhile, or a kernel without it
                continue
        grown = sum(max(delay - self._delays.get(thread, 0), 0) for thread, delay in delays.items())
        self._delays = delays
        return grown / NS


def _group(root: Path) -> Path | None:
    """Return the folder of this process's control group of version 2; None where there is none."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    path = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), None)
    if path is None:
        return None
    top = next((top for top in (root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified") if (top / "cgroup.controllers").is_file()), None)  # fmt: skip
    if top is None:
        return None
    inside = top / path.strip("/")
    return inside if inside.is_dir() else top


def _pressure_file(root: Path, group: Path | None, kind: str) -> Path | None:
    candidates = [] if group is None else [group / f"{kind}.pressure"]
    candidates.append(root / "proc/pressure" / kind)
    return next((file for file in candidates if _pressure_total_us(file) is not None), None)


def _pressure_total_us(file: Path) -> int | None:
    """Return the microseconds in which some task was stalled; None when unknown."""
    try:
        line = next(line for line in file.read_text().splitlines() if line.startswith("some "))
        return int(line.rpartition("total=")[2])
    except (OSError, ValueError, StopIteration):
        return None


def _memory_files(group: Path | None) -> tuple[Path, Path] | None:
    """Return the files with use and limit of the group, or of the nearest one above that has a limit."""
    while group is not None and (group / "memory.max").is_file():
        if _number(group / "memory.max"):
            return group / "memory.current", group / "memory.max"
        group = group.parent
    return None


def _number(file: Path) -> int:
    """Return the number in *file*; 0 for ``max``, and where it cannot be read."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
