"""A store as it is after some days of traffic, made in seconds.

13 series, 30 features, windows of 60 s with a hundred rows each, one process, one late label a second that was added to its
prediction. One hour of one series is made by the pipeline itself, with its labels; the store is filled with copies of it whose times
and cohorts differ, laid out as compaction leaves them: minutes for two days, the first six hours of them with sketches, then hours,
with sketches of an hour and of a day as parts of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import radiosonde
from benchmarks.workloads import FEATURES, names
from radiosonde.model import Window
from radiosonde.model.addition import emptied
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.inserting import Part, encoded, insert_parts
from radiosonde.store.rows import WINDOW_COLUMNS
from radiosonde.testing import fly

SERIES, ROWS, HOUR_S, START_S = 13, 100, 3600, 1_362_096_000
LABELS = 60 / SERIES
"""Labels of a minute of one series."""
SKETCHED_HOURS, MINUTES_DAYS = 6, 2
NS = 1_000_000_000


def hour_of_minutes(path: Path) -> tuple[list[Window], radiosonde.Reference]:
    """Return the windows of the pipeline for an hour of one series, and its reference; *path* is a store to be made."""
    rng = np.random.default_rng(20130301)
    sample = {name: rng.standard_normal(5000).tolist() for name in names()}
    reference = radiosonde.Reference.fit(sample, model="delays")
    made: list[str] = []
    with fly(store=path, runtime=False) as rs:

        @rs.observe("delays", features=names(), reference=reference, classes=["no", "yes"])
        def predict(rows: object) -> object:
            made.append(rs.current().id)
            scores = rng.uniform(0, 1, len(rows))  # type: ignore[arg-type]
            return np.stack([1 - scores, scores], axis=1)

        for minute in range(60):
            for row in range(ROWS):
                with rs.at(START_S + 60 * minute + row * 0.5):
                    predict(rng.standard_normal((1, FEATURES)))
        rs.flush(60)
        due = np.sort(rng.choice(len(made), round(LABELS * 60), replace=False))
        labels = [("no", "yes")[each] for each in rng.integers(0, 2, len(due))]
        rs.label(
            [made[each] for each in due], labels, time=[START_S + 4 * HOUR_S + 60 * each for each in range(len(due))]
        )
        rs.flush(60)
    windows = merge_windows(open_source(path).windows())
    assert len(windows) == 60, len(windows)
    return windows, reference


def fill(path: Path, days: float, minutes: Sequence[Window], reference: radiosonde.Reference) -> int:
    """Write a store of *days* days to *path*, as compaction leaves it, and return how many parts it has.

    Args:
        path: a store to be made.
        days: how far back it reaches from the last of its days.
        minutes: what `hour_of_minutes` returned.
        reference: likewise.
    """
    rng = np.random.default_rng(20130302)
    hours = [_summed([minutes[at] for at in rng.integers(0, len(minutes), 60)]) for _ in range(12)]
    StoreWriter(path).write([], {("delays", ""): reference})
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        batch: list[Part] = []
        count = 0
        for row in _laid_out(round(days * 24), minutes, hours, rng):
            batch.append(row)
            if len(batch) == 500:
                insert_parts(connection, batch)
                count, batch = count + len(batch), []
        insert_parts(connection, batch)
        connection.commit()
    connection.close()
    return count + len(batch)


def _summed(minutes: Sequence[Window]) -> Window:
    return merge_windows([replace(window, process="") for window in minutes], by=lambda window: window.key)[0]


def _laid_out(
    hours: int, minutes: Sequence[Window], sums: Sequence[Window], rng: np.random.Generator
) -> Iterator[Part]:
    """Yield the rows of each part, oldest first."""
    sketched, bare = [_rows(each) for each in minutes], [_rows(_bare(each)) for each in minutes]
    longer, sketches = [_rows(_bare(each)) for each in sums], [_rows(_sketches(each)) for each in sums]
    until_days = hours - MINUTES_DAYS * 24
    for hour in range(hours):
        start_s = START_S + hour * HOUR_S
        for series in range(SERIES):
            if hour < until_days:
                yield _at(longer[rng.integers(len(sums))], series, start_s, HOUR_S)
                if hour % 24 == 0:
                    yield _at(sketches[rng.integers(len(sums))], series, start_s, 24 * HOUR_S)
                continue
            held = bare if hour < hours - SKETCHED_HOURS else sketched
            if held is bare:
                yield _at(sketches[rng.integers(len(sums))], series, start_s, HOUR_S)
            for minute in range(60):
                yield _at(held[rng.integers(len(minutes))], series, start_s + 60 * minute, 60)


def _bare(window: Window) -> Window:
    assert window.features is not None
    return replace(window, features=replace(window.features, sketches={}, sketched_rows=0))


def _sketches(window: Window) -> Window:
    return emptied(replace(window, labels=None), keep={"sketches", "sketched_rows"})


def _rows(window: Window) -> Part:
    made = encoded(window, "p1", START_S * NS)
    assert made is not None
    return made


def _at(part: Part, series: int, start_s: int, length_s: int) -> Part:
    """Return the rows of *part* as those of another series and time."""
    ((*row,), features, sketches) = *part[0], *part[1:]
    values = {"start_ns": start_s * NS, "end_ns": (start_s + length_s) * NS, "cohort": f"region=r{series}"}
    values["written_ns"] = values["end_ns"]
    for column, value in values.items():
        row[WINDOW_COLUMNS.index(column) - 1] = value
    return [tuple(row)], features, sketches
