"""Makes the golden stores of this folder: what released versions wrote, for the tests of everyone that comes after.

Run with the source tree of the version whose format is to be kept, never with the one under test::

    git worktree add /tmp/then COMMIT
    PYTHONPATH=/tmp/then/src:/tmp/then .venv/bin/python tests/golden/make_golden.py NAME

writes ``NAME.sqlite`` and ``NAME/`` (the same windows, sealed). `schema1` was made from 438babc^, the last commit whose stores
have schema 1; `schema2` from 2e0cb03, before `Carried` was renamed; `schema3` and `schema4` from the commits that brought them. Fields that
the classes of the version do not have are left out. Numbers are formulas, so that `golden_windows` is an expectation that no stored byte
takes part in.
"""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from radiosonde import model
from radiosonde.model import Exemplar, FeatureCounts, LabelCounts, LatencyCounts, OutputCounts, SeriesKey, Window
from radiosonde.sketches import FrequentSketch, HllSketch, KllSketch

START_NS = 1_362_096_000_000_000_000  # 2013-03-01T00:00:00Z
MINUTE_NS = 60 * 10**9
EDGES_S = (0.001, 0.01, 0.1, 1.0)
LAG_EDGES_S = (60.0, 3600.0, 86400.0)
STORE_NUMBER = 1812
WRITTEN_NS = START_NS + 10 * MINUTE_NS
COUNTS = {"counts": {"loss.torn": 2}}


PRESSURE = ("run_delay_s", "cpu_stalled_s", "memory_stalled_s", "io_stalled_s", "cores")
MEMORY = ("memory_bytes", "memory_limit_bytes")


def made(kind: type, **fields: Any) -> Any:
    """Return a *kind* of those *fields* that this version of it has."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in fields.items() if name in known})


def counts(*shape: int, seed: int = 1) -> np.ndarray:
    """Return whole numbers from 0 to 96 in an order that looks like none."""
    return (np.arange(int(np.prod(shape)), dtype=np.int64) * 37 * seed % 97).reshape(shape)


def sums(*shape: int, seed: int = 1) -> np.ndarray:
    """Return numbers that have no short binary fraction."""
    return counts(*shape, seed=seed) / 7.0


def trimmed(table: np.ndarray, first: int, end: int) -> np.ndarray:
    """Return *table* with nothing outside buckets *first* to *end*."""
    kept = np.zeros_like(table)
    kept[..., first:end] = table[..., first:end]
    return kept


def latency(phases: tuple[str, ...], exemplars: bool = True) -> LatencyCounts:
    """Return durations in 20 buckets, with what *phases* took."""
    return made(
        LatencyCounts,
        counts=trimmed(counts(240), 90, 110),
        sums_s=trimmed(sums(240, seed=2), 90, 110),
        phases=phases,
        phase_sums_s=trimmed(sums(len(phases), 240, seed=3), 92, 108),
        edges_s=EDGES_S,
        edge_counts=counts(5, seed=4),
        exemplars={1: Exemplar(0.0071, START_NS + 5, 2**128 - 3, 2**64 - 3), 3: Exemplar(0.5, START_NS, 7, 1)}
        if exemplars
        else {},
    )


def output(
    classes: tuple[str, ...] = (), edges: tuple[float, ...] = (), value_sum: float = 0.0, **later: Any
) -> OutputCounts:
    """Return answers of a classifier, of a regression, or none; *later* are fields that came after schema 1."""
    return made(
        OutputCounts,
        classes=classes,
        class_counts=counts(len(classes), seed=5),
        confidence=counts(len(classes), 20, seed=6),
        confidence_sums=sums(len(classes), 20, seed=7),
        value_edges=np.array(edges, np.float64),
        value_counts=counts(len(edges) + 1 if edges else 0, seed=8),
        value_sum=value_sum,
        unreadable=3,
        # As many as the table holds: what a store that does not say is read as.
        counted_rows=int(counts(len(classes), seed=5).sum() + counts(len(edges) + 1 if edges else 0, seed=8).sum()),
        weight_square_sum=int(
            counts(len(classes), seed=5).sum() + counts(len(edges) + 1 if edges else 0, seed=8).sum()
        ),
        **later,
    )


def features(sampled: int = 1, **later: Any) -> FeatureCounts:
    """Return cells, fingerprints and one sketch of each kind; of rows that were sampled one in *sampled*. *later* came after schema 3."""
    kll, hll, frequent = KllSketch(), HllSketch(), FrequentSketch()
    kll.update(np.arange(50) / 3.0)
    hll.update(np.arange(50, dtype=np.uint64))
    frequent.update(np.array(["UA", "UA", "AA"], dtype=object))
    return made(
        FeatureCounts,
        grid="grid-1",
        reference_id="reference-1",
        provisional=True,
        names=("wind", "größe", "carrier"),
        cells=counts(3, 9, seed=9) + 1,
        fingerprints=np.array([0, 2**64 - 1, 2**63 + 12345], dtype=np.uint64),
        sketched_rows=50,
        sketches={
            ("wind", "kll_double"): kll.to_bytes(),
            ("wind", "hll"): hll.to_bytes(),
            ("carrier", "frequent"): frequent.to_bytes(),
        },
        counted_rows=(int(counts(3, 9, seed=9)[0].sum()) + 9) // sampled,
        weight_square_sum=(int(counts(3, 9, seed=9)[0].sum()) + 9) * sampled,
        **later,
    )


def labels(**later: Any) -> LabelCounts:
    """Return outcomes as schema 1 had them; *later* are fields that came after it."""
    return made(
        LabelCounts,
        outcomes={("correct", "1h"): 41, ("incorrect", "7d"): 2},
        calibration=sums(20, 3, seed=10),
        classes=("no", "yes"),
        class_counts=counts(2, seed=11),
        lag_counts=counts(2, 4, seed=12),
        lag_edges_s=LAG_EDGES_S,
        residual_sum=1 / 3,
        residual_square_sum=float("inf"),
        **later,
    )


def later_tables() -> dict[str, Any]:
    """Return the label tables that schema 2 brought, corrections (negative counts) included."""
    joint = np.zeros((21, 3))
    joint[[3, 19, 20]] = ((1.0, 0.17, 0.0289), (2.0, 1.95, 1.9), (-1.0, 0.0, 0.0))
    missed = np.zeros((3, 9, 3))
    missed[0, 2], missed[2, 8] = (2.0, 1 / 3, 0.1), (1.0, float("nan"), 5.0)
    cells = np.zeros((3, 9), np.int64)
    cells[1, 4], cells[2, 0] = -2, 7
    return {
        "residual_absolute_sum": 2 / 3,
        "retractions": {("correct", "1d"): 1},
        "lags": trimmed(counts(2, 100, seed=13), 40, 50),
        "joint": {("yes", "no"): joint, ("no", "no"): np.zeros((21, 3))},
        "grid": "grid-1",
        "features": ("wind", "größe", "carrier"),
        "cells": {"no": cells, "yes": np.zeros((3, 9), np.int64)},
        "residual_cells": missed,
        "never": 4,
    }


def newest_tables() -> dict[str, Any]:
    """Return the label tables that were declared after schema 2 and before schema 3."""
    retracted = np.zeros((21, 3))
    retracted[19] = (1.0, 0.97, 0.9409)
    return {
        "correct_retractions": counts(20, seed=16),
        "joint_retractions": {("yes", "yes"): retracted},
        "residuals_counted": sums(3, seed=17),
        "residuals_retracted": sums(3, seed=18),
        "lag_sums_s": sums(2, seed=19),
    }


def window(minute: int, process: str = "host/1", **fields: Any) -> Window:
    """Return a window of one minute; *fields* replace its fields."""
    usual = {
        "key": SeriesKey("delays", "2.3.1", "canary", 'carrier=UA,größe="groß"'),
        "start_ns": START_NS + minute * MINUTE_NS,
        "end_ns": START_NS + (minute + 1) * MINUTE_NS,
        "process": process,
        "calls": 10 + minute,
        "rows": 120 + minute,
        "errors": {"ValueError": 2, "Ärger": 1},
        "batch_sizes": counts(21, seed=14),
        "latency": latency(("fetch", "infer")),
        "output": output(("no", "yes", "vielleicht")),
    }
    return made(Window, **{**usual, **fields})


def runtime_window(later: Mapping[str, float] = MappingProxyType({}), **fields: Any) -> Window:
    """Return the health of a process; *fields* replace those of the window, *later* are fields of it that came after schema 3."""
    from radiosonde.model import RUNTIME_KEY, DurationCounts, RuntimeCounts

    pauses = DurationCounts(trimmed(counts(240, seed=15), 60, 70), 1 / 7)
    health = RuntimeCounts(60.0, 4 / 3, 600, 5, 0.7, 123_456_789, 2**40, pauses, DurationCounts(), pauses, **later)
    nothing = latency((), exemplars=False)
    empty = dataclasses.replace(
        nothing, counts=nothing.counts * 0, sums_s=nothing.sums_s * 0, edge_counts=nothing.edge_counts * 0
    )
    return window(1, **{**fields, "key": RUNTIME_KEY}, calls=0, rows=0, errors={}, batch_sizes=counts(21) * 0, latency=empty,
                  output=dataclasses.replace(output(), unreadable=0), runtime=health)  # fmt: skip


def golden_windows(schema: int) -> list[Window]:
    """Return the contents of the golden stores of *schema*, in the order of writing."""
    regression = output(edges=(-1.5, 0.0, 2 / 3), value_sum=float("nan"))
    tables = [{}, later_tables(), {**later_tables(), **newest_tables()}][min(schema, 3) - 1]
    failed = {"failed_cells": np.pad(counts(2, 9, seed=20) % 3, ((1, 0), (0, 0)))} if schema > 3 else {}
    parts = [
        window(0, features=features(sampled=1 if schema < 3 else 4, **failed), labels=labels(**tables)),
        window(1, output=regression, latency=latency((), exemplars=False)),
        window(0, calls=0, rows=0, errors={}, output=output(), labels=labels()),
    ]
    if schema < 3:
        return parts if schema == 1 else [*parts, runtime_window()]
    from radiosonde.model.lost import LostCounts

    signed = output(edges=(-1.5, 0.0, 2 / 3), value_sum=11 / 21, value_parts=np.array([2 / 3, 1 / 7]))
    lost = LostCounts({("delays", "store_failed"): 2}, {("delays", "store_failed"): 31})
    later = dict(zip(PRESSURE, sums(len(PRESSURE), seed=21).tolist(), strict=True)) if schema > 3 else {}
    later |= dict.fromkeys(MEMORY, 2**33) if schema > 3 else {}
    return [*parts, runtime_window(later, lost=lost), window(2, output=signed)]


def main(name: str) -> None:
    """Write both forms of the store *name*."""
    from radiosonde.store import StoreWriter
    from radiosonde.store.progress import RingProgress
    from radiosonde.store.seal import seal
    from tests.factories import make_reference

    schema = int(name.removeprefix("schema"))
    folder = Path(__file__).parent
    store, sealed, moved = folder / f"{name}.sqlite", folder / name, folder / "moved.sqlite"
    shutil.rmtree(sealed, ignore_errors=True)
    for path in (store, moved):
        path.unlink(missing_ok=True)
        writer = StoreWriter(path, process="host/1", clock_ns=lambda: WRITTEN_NS)
        connection = sqlite3.connect(path)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'store_number'", [str(STORE_NUMBER)])
        connection.execute("UPDATE meta SET value = 'radiosonde' WHERE name = 'made_by'")
        connection.commit()
        connection.close()
        extra: dict[str, Any] = {}
        if schema == 2:
            from radiosonde.store.totals import Carried  # renamed since

            extra = {"carried": Carried([golden_windows(schema)[0]], COUNTS), "joined": ["batch-1"]}
        elif schema > 2:
            from radiosonde.store.totals import CumulativeState

            extra = {"cumulative": CumulativeState([golden_windows(schema)[0]], COUNTS), "joined": ["batch-1"]}
        writer.write(golden_windows(schema), {("delays", "2.3.1"): make_reference()},
                     drained=[RingProgress("host/1", 99, 12, (7, 9))], **extra)  # fmt: skip
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 1024")  # a small file in the repository
        connection.execute("VACUUM")
        connection.close()
    seal(moved, sealed, everything=True)
    for path in folder.glob("moved.sqlite*"):
        path.unlink()


if __name__ == "__main__":
    assert Path(model.__file__).is_relative_to(Path(sys.path[1])), "run with PYTHONPATH naming the version's src first"
    main(sys.argv[1])
