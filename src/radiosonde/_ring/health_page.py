"""Runtime health of a worker in agent mode: one small file in the spool that outlives the process.

::

    page     64 bytes: magic, version, buckets per table, pid, generation (one byte); the rest is zero
    records  2 x 5904 bytes, see `RECORD`: totals since the process began to count, and when they were taken

A page of its own rather than entries in the page of counts (`radiosonde._ring.counts`), whose names and counts would take
ten times the room for the 720 buckets of three tables of durations, and which may be read half written: a count there means
something by itself. Here the parts belong together, so the writer fills the record that is not in force and then puts it in
force with one byte. A process killed at any instruction leaves its last whole record; a reader that finds the same generation
before and after has read one.

Totals, not increments: whoever reads them late, twice, or after another reader was killed still finds everything. The file is
locked like a ring (`radiosonde._ring.spool`): when nobody holds it any more it is final.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from radiosonde._ring.spool import create_file, is_removed
from radiosonde.errors import SpoolError
from radiosonde.model import LATENCY, DurationCounts, RuntimeCounts

MAGIC: Final = b"RADIVITA"
VERSION: Final = 2

NUMBERS: Final = (
    "observed_s", "cpu_s", "periods", "throttled_periods", "throttled_s", "rss_bytes", "gpu_bytes", "run_delay_s", "cpu_stalled_s",
    "memory_stalled_s", "io_stalled_s", "cores", "memory_bytes", "memory_limit_bytes",
)  # fmt: skip
TABLES: Final = ("gc_pauses", "loop_lags", "pool_waits")

RECORD: Final = np.dtype(
    [
        ("time_ns", "<i8"),  # wall clock
        *((name, "<f8" if name.endswith("_s") or name == "cores" else "<i8") for name in NUMBERS),
        ("sums_s", "<f8", (len(TABLES),)),
        ("counts", "<i8", (len(TABLES), LATENCY.size)),
    ]
)

_PAGE: Final = struct.Struct("<8sIIQB39x")
_GENERATION: Final = 24
_SIZE_BYTES: Final = _PAGE.size + 2 * RECORD.itemsize
_TRIES: Final = 100
"""A reader meets a writer's switch once a second at most; more than a few in a row cannot be."""


class HealthReading(NamedTuple):
    """What a page says.

    Attributes:
        time_ns: when the totals were taken, wall clock.
        total: totals since the process began to count; levels as last seen.
    """

    time_ns: int
    total: RuntimeCounts


class HealthPage:
    """The writing end.

    Args:
        path: the file to make.

    Raises:
        SpoolError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        first = _PAGE.pack(MAGIC, VERSION, LATENCY.size, os.getpid(), 0)
        self._path = path
        self._descriptor = create_file(path, _SIZE_BYTES, first)
        self._memory = mmap.mmap(self._descriptor, _SIZE_BYTES)
        self._generation = 0

    @property
    def is_removed(self) -> bool:
        """Whether somebody removed the file."""
        return is_removed(self._path)

    def write(self, total: RuntimeCounts, time_ns: int) -> None:
        """Put *total* in the place of what was written before; readers find the one or the other."""
        record: Any = np.zeros((), RECORD)
        record["time_ns"] = time_ns
        for name in NUMBERS:
            record[name] = getattr(total, name)
        tables: list[DurationCounts] = [getattr(total, name) for name in TABLES]
        record["sums_s"] = [table.sum_s for table in tables]
        record["counts"] = [table.counts for table in tables]
        self._generation += 1
        place = _place(self._generation)
        self._memory[place : place + RECORD.itemsize] = record.tobytes()
        self._memory[_GENERATION] = self._generation % 256

    def close(self) -> None:
        """Let go of the file: it is final."""
        os.close(self._descriptor)


def read_health(path: Path) -> HealthReading | None:
    """Return what the page at *path* says; None when nothing was written yet.

    Raises:
        SpoolError: it is gone, torn, foreign or from a newer version.
    """
    try:
        with path.open("rb", buffering=0) as file:
            for _ in range(_TRIES):
                content = os.pread(file.fileno(), _SIZE_BYTES + 1, 0)
                if os.pread(file.fileno(), 1, _GENERATION) == content[_GENERATION : _GENERATION + 1]:
                    break
            else:
                raise SpoolError(f"{path} changes faster than it can be read; remove it if its process is gone")
    except OSError as error:
        raise SpoolError(f"{path} cannot be read: {error.strerror}; remove it if its process is gone") from error
    if len(content) < _PAGE.size or not content.startswith(MAGIC):
        raise SpoolError(f"{path} is torn or no page of health of Radiosonde's; remove it if its process is gone")
    _, version, buckets, _, generation = _PAGE.unpack_from(content)
    if (version, buckets) != (VERSION, LATENCY.size):
        raise SpoolError(f"{path} has layout {version}, this version reads {VERSION}; drain it with its own version")
    if len(content) != _SIZE_BYTES:
        raise SpoolError(f"{path} is torn or no page of health of Radiosonde's; remove it if its process is gone")
    record = np.frombuffer(content, RECORD, 1, _place(generation))[0]
    if not record["time_ns"]:
        return None
    values: dict[str, Any] = {name: record[name].item() for name in NUMBERS}
    for row, name in enumerate(TABLES):
        values[name] = DurationCounts(record["counts"][row].astype(np.int64), float(record["sums_s"][row]))
    return HealthReading(int(record["time_ns"]), RuntimeCounts(**values))


def _place(generation: int) -> int:
    return _PAGE.size + generation % 2 * RECORD.itemsize
