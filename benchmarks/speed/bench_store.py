"""How large a store of 30 days is with the default tiers, and how long it takes to read.

13 series, 30 features, windows of 60 s with a hundred rows each, one process, all labels added to their predictions. Scaled down: the
parts of one hour are made by the pipeline itself, stored, added up to an hour and stored as a day of hours; sizes and times per part are
multiplied by the parts that 30 days have. Beside the default tiers: the same without sketches, and tiers that keep minutes for six hours.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import radiosonde
from benchmarks._measure import Figure
from benchmarks.workloads import FEATURES, names
from radiosonde.model import Window
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.testing import fly

SERIES, ROWS, HOUR_S, START_S = 13, 100, 3600, 1_362_096_000
DEFAULT = (SERIES * 2 * 1440, SERIES * 28 * 24)
"""Parts that are minutes, and longer ones, of ``RADIOSONDE_STORE_TIERS=2,60,730``."""
SHORT = (SERIES * 360, SERIES * (42 + 28))
"""The same of ``0.25,2,730``. A part of a day is as large as one of an hour: its sketches have reached their size."""
MIB = 1 << 20


def measure(rounds: int) -> Iterator[Figure]:
    """Yield sizes in MiB and reading times in seconds, with and without sketches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minutes = _hour_of_minutes(folder / "made.sqlite")
        summed = merge_windows([replace(window, process="") for window in minutes], by=lambda window: window.key)[0]
        hours = [replace(summed, start_ns=_ns(hour), end_ns=_ns(hour + 1)) for hour in range(24)]
        bare = [[*map(_bare, windows)] for windows in (minutes, hours)]
        cases = (
            ("", "with sketches", DEFAULT, (minutes, hours)),
            ("-counts", "without sketches", DEFAULT, bare),
            ("-short", "with sketches, tiers 0.25,2,730", SHORT, (minutes, hours)),
        )
        for suffix, what, parts, kept in cases:
            paths = [folder / f"{tier}{suffix}.sqlite" for tier in ("minutes", "hours")]
            for path, windows in zip(paths, kept, strict=True):
                StoreWriter(path).write(windows)
            per_part = [path.stat().st_size / len(windows) for path, windows in zip(paths, kept, strict=True)]
            mib = (per_part[0] * parts[0] + per_part[1] * parts[1]) / MIB
            said = f"{per_part[0] / 1000:.1f} kB a minute part, {per_part[1] / 1000:.1f} kB an hour part"
            yield Figure(f"store-30-days{suffix}", f"store of 30 days, {what}", [mib], unit="MiB", absolute=said)
            reads = [_read_s(paths, kept, parts) for _ in range(rounds)]
            yield Figure(f"store-30-days-read{suffix}", f"reading it, {what}", reads, unit="s", absolute="scaled, CPU")


def _hour_of_minutes(path: Path) -> list[Window]:
    """Return what the pipeline makes of an hour of one series."""
    rng = np.random.default_rng(20130301)
    sample = {name: rng.standard_normal(5000).tolist() for name in names()}
    reference = radiosonde.Reference.fit(sample, model="delays")
    with fly(store=path, runtime=False) as rs:
        predict = rs.observe("delays", features=names(), reference=reference, classes=["no", "yes"])(
            lambda rows: np.tile([0.3, 0.7], (len(rows), 1))
        )
        for minute in range(60):
            with rs.at(START_S + 60 * minute):
                predict(rng.standard_normal((ROWS, FEATURES)))
        rs.flush(60)
    return list(open_source(path).windows())


def _bare(window: Window) -> Window:
    return window if window.features is None else replace(window, features=replace(window.features, sketches={}))


def _ns(hour: int) -> int:
    return (START_S + hour * HOUR_S) * 1_000_000_000


def _read_s(paths: Sequence[Path], kept: Sequence[Sequence[Window]], parts: Sequence[int]) -> float:
    """Return the seconds it takes to read all parts of 30 days, from those that are there."""
    total = 0.0
    for path, windows, count in zip(paths, kept, parts, strict=True):
        begun = time.process_time()
        open_source(path).windows()
        total += (time.process_time() - begun) / len(windows) * count
    return total
