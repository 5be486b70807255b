"""How large a store of 30 days is with the default tiers, and how long it takes to read.

13 series, 30 features, windows of 60 s with a hundred rows each, one process, all labels added to their predictions. Scaled down: an
hour of one series is made by the pipeline itself and compacted by the store; sizes and times per part of each kind (minutes with and
without sketches, sketches of an hour, hours, sketches of a day) are multiplied by the parts of that kind that 30 days have. Beside the
default tiers: the same without sketches, and tiers that keep minutes for six hours.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import radiosonde
from benchmarks._measure import Figure
from benchmarks.workloads import FEATURES, names
from radiosonde.model import Window
from radiosonde.model.addition import emptied
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.testing import fly

SERIES, ROWS, HOUR_S, START_S = 13, 100, 3600, 1_362_096_000
MINUTE, BARE_MINUTE, HOUR_SKETCHES, BARE_HOUR, DAY_SKETCHES = range(5)
TIERS = {
    "": ("with sketches", {MINUTE: 360, BARE_MINUTE: 2520, HOUR_SKETCHES: 42, BARE_HOUR: 28 * 24, DAY_SKETCHES: 28}),
    "-counts": ("without sketches", {BARE_MINUTE: 2880, BARE_HOUR: 28 * 24}),
    "-short": (
        "with sketches, tiers 0.25,2,730",
        {MINUTE: 45, BARE_MINUTE: 315, HOUR_SKETCHES: 6, BARE_HOUR: 42, DAY_SKETCHES: 29 + 28},
    ),
}
"""Parts of each kind that a series has after 30 days with ``RADIOSONDE_STORE_TIERS=2,60,730``, and with shorter ages. From the second
age on a day is one part; its counts are added as those of an hour, its sketches as those of a day."""
MIB = 1 << 20


def measure(rounds: int) -> Iterator[Figure]:
    """Yield sizes in MiB and reading times in seconds, with and without sketches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = _kinds(_hour_of_minutes(folder / "made.sqlite"), folder)
        per_part = [path.stat().st_size / count for path, count in kinds]
        for suffix, (what, parts) in TIERS.items():
            mib = SERIES * sum(per_part[kind] * count for kind, count in parts.items()) / MIB
            said = ", ".join(f"{per_part[kind] / 1000:.1f} kB" for kind in parts) + " a part"
            yield Figure(f"store-30-days{suffix}", f"store of 30 days, {what}", [mib], unit="MiB", absolute=said)
            reads = [_read_s(kinds, parts) for _ in range(rounds)]
            yield Figure(f"store-30-days-read{suffix}", f"reading it, {what}", reads, unit="s", absolute="scaled, CPU")


def _hour_of_minutes(path: Path) -> list[Window]:
    """Return the windows of the pipeline for an hour of one series."""
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


def _kinds(minutes: Sequence[Window], folder: Path) -> list[tuple[Path, int]]:
    """Return a store of each kind of part, with how many it holds."""
    summed = merge_windows([replace(window, process="") for window in minutes], by=lambda window: window.key)[0]
    bare, sketches = _bare(summed), emptied(summed, keep={"sketches", "sketched_rows"})
    hours = range(24)
    contents = (
        minutes,
        [*map(_bare, minutes)],
        [replace(sketches, start_ns=_ns(hour), end_ns=_ns(hour + 1)) for hour in hours],
        [replace(bare, start_ns=_ns(hour), end_ns=_ns(hour + 1)) for hour in hours],
        # As large as those of an hour: sketches have reached their size.
        [replace(sketches, start_ns=_ns(24 * hour), end_ns=_ns(24 * hour + 24)) for hour in hours],
    )
    made = [(folder / f"{kind}.sqlite", len(windows)) for kind, windows in enumerate(contents)]
    for (path, _), windows in zip(made, contents, strict=True):
        StoreWriter(path).write(windows)
    return made


def _bare(window: Window) -> Window:
    if window.features is None:
        return window
    return replace(window, features=replace(window.features, sketches={}, sketched_rows=0))


def _ns(hour: int) -> int:
    return (START_S + hour * HOUR_S) * 1_000_000_000


def _read_s(kinds: Sequence[tuple[Path, int]], parts: Mapping[int, int]) -> float:
    """Return the seconds it takes to read all parts of 30 days, from those that are there."""
    total = 0.0
    for kind, count in parts.items():
        path, held = kinds[kind]
        begun = time.process_time()
        open_source(path).windows()
        total += (time.process_time() - begun) / held * SERIES * count
    return total
