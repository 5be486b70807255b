"""Adding the groups of a window: latency, output, features, labels. See `radiosonde.sketches.merge` for the law."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from radiosonde.errors import MergeError
from radiosonde.model import FeatureCounts, LabelCounts, LatencyCounts, OutputCounts, widened
from radiosonde.sketches import merge_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.model import Exemplar

Name = TypeVar("Name", str, tuple[str, str])
Number = TypeVar("Number", np.int64, np.float64, np.uint64)


def sum_by_name(parts: Iterable[Mapping[Name, int]]) -> dict[Name, int]:
    """Add integer tables by name; the result is in sorted order."""
    total: Counter[Name] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def sum_counts(parts: Sequence[NDArray[Number]], what: str) -> NDArray[Number]:
    """Add arrays of one shape; an array without elements has no say.

    Raises:
        MergeError: the shapes differ.
    """
    filled = [part for part in parts if part.size]
    if not filled:
        return parts[0]
    if any(part.shape != filled[0].shape for part in filled):
        shapes = sorted({part.shape for part in filled})
        raise MergeError(f"{what} have shapes {shapes}; windows of one schema version have one: convert the older ones")
    total = filled[0].copy()
    for part in filled[1:]:
        total += part
    return total


def sum_latency(parts: Sequence[LatencyCounts]) -> LatencyCounts:
    """Add latency tables.

    Raises:
        MergeError: the explicit edges differ.
    """
    edges_s = _one("latency edges", (tuple(part.edges_s) for part in parts))
    phases = _union(part.phases for part in parts)
    exemplars: dict[int, Exemplar] = {}
    for part in parts:
        for bucket, exemplar in part.exemplars.items():
            known = exemplars.get(bucket)
            # The latest stays; ties go by the other fields, so that order does not matter.
            if known is None or _recency(exemplar) > _recency(known):
                exemplars[bucket] = exemplar
    return LatencyCounts(
        counts=sum_counts([part.counts for part in parts], "latency counts"),
        sums_s=sum_counts([part.sums_s for part in parts], "latency sums"),
        phases=phases,
        phase_sums_s=_sum_rows(phases, [(part.phases, part.phase_sums_s) for part in parts]),
        edges_s=edges_s,
        edge_counts=sum_counts([part.edge_counts for part in parts], "explicit latency buckets"),
        exemplars=dict(sorted(exemplars.items())),
    )


def sum_output(parts: Sequence[OutputCounts]) -> OutputCounts:
    """Add output tables.

    Raises:
        MergeError: the edges of a value histogram differ.
    """
    valued = [part for part in parts if len(part.value_edges)]
    _one("output value edges", (tuple(part.value_edges.tolist()) for part in valued))
    classes = _union(part.classes for part in parts)
    return OutputCounts(
        classes=classes,
        class_counts=_sum_rows(classes, [(part.classes, part.class_counts) for part in parts]),
        confidence=_sum_rows(classes, [(part.classes, part.confidence) for part in parts]),
        confidence_sums=_sum_rows(classes, [(part.classes, part.confidence_sums) for part in parts]),
        value_edges=(valued or parts)[0].value_edges,
        value_counts=sum_counts([part.value_counts for part in valued or parts], "value bins"),
        value_sum=sum(part.value_sum for part in parts),
        unreadable=sum(part.unreadable for part in parts),
        counted_rows=sum(part.counted_rows for part in parts),
        weight_square_sum=sum(part.weight_square_sum for part in parts),
    )


def sum_features(parts: Sequence[FeatureCounts]) -> FeatureCounts:
    """Add feature cells, fingerprints and sketches of one grid.

    Raises:
        MergeError: the grids differ, or a sketch is damaged.
    """
    grid = _one("grids of feature cells", (part.grid for part in parts))
    names = _one("feature names", (part.names for part in parts))
    references = {part.reference_id for part in parts}
    serialized: dict[tuple[str, str], list[bytes]] = {}
    for part in parts:
        for sketch, content in part.sketches.items():
            serialized.setdefault(sketch, []).append(content)
    return FeatureCounts(
        grid=grid,
        reference_id=references.pop() if len(references) == 1 else "",
        provisional=any(part.provisional for part in parts),
        names=names,
        cells=sum_counts([part.cells for part in parts], "feature cells"),
        fingerprints=sum_counts([part.fingerprints for part in parts], "fingerprints"),
        sketched_rows=sum(part.sketched_rows for part in parts),
        sketches={sketch: merge_bytes(sketch[1], serialized[sketch]) for sketch in sorted(serialized)},
        counted_rows=sum(part.counted_rows for part in parts),
        weight_square_sum=sum(part.weight_square_sum for part in parts),
    )


def sum_labels(parts: Sequence[LabelCounts]) -> LabelCounts:
    """Add outcome tables; what some take back from others is gone from the sum.

    Raises:
        MergeError: the edges of the lag histogram, or the grids of the cells, differ.
    """
    classes = _union(part.classes for part in parts)
    celled = [part for part in parts if part.grid]
    width = max((part.residual_cells.shape[1] for part in celled), default=0)
    width = max([width, *(table.shape[1] for part in celled for table in part.cells.values())])
    residual_cells = [widened(part.residual_cells, width) for part in celled if part.residual_cells.size]
    return LabelCounts(
        outcomes=sum_by_name([part.outcomes for part in parts]),
        calibration=sum_counts([part.calibration for part in parts], "calibration tables"),
        classes=classes,
        class_counts=_sum_rows(classes, [(part.classes, part.class_counts) for part in parts]),
        lag_counts=_sum_rows(classes, [(part.classes, part.lag_counts) for part in parts]),
        lag_edges_s=_one("label lag edges", (tuple(part.lag_edges_s) for part in parts)),
        residual_sum=sum(part.residual_sum for part in parts),
        residual_square_sum=sum(part.residual_square_sum for part in parts),
        residual_absolute_sum=sum(part.residual_absolute_sum for part in parts),
        retractions=sum_by_name([part.retractions for part in parts]),
        lags=_sum_lags(classes, parts),
        joint=_sum_tables([part.joint for part in parts]),
        grid=_one("grids of labelled cells", (part.grid for part in celled)) or "",
        features=_one("features of labelled cells", (part.features for part in celled)),
        cells=_sum_tables(
            [{label: widened(table, width) for label, table in part.cells.items()} for part in celled],
        ),
        residual_cells=sum_counts(residual_cells, "residual cells") if residual_cells else np.zeros((0, 0, 3)),
        never=sum(part.never for part in parts),
    )


def _sum_lags(classes: tuple[str, ...], parts: Sequence[LabelCounts]) -> NDArray[np.int64]:
    """Add lags row by class; parts of a former version have none."""
    tables = [(part.classes, part.lags) for part in parts if part.lags.size]
    if not tables:
        return np.zeros((0, 0), dtype=np.int64)
    # One row per class, also for those that only a part without lags names.
    return _sum_rows(classes, [*tables, (classes, np.zeros((len(classes), tables[0][1].shape[1]), dtype=np.int64))])


def _sum_tables(parts: Sequence[Mapping[Name, NDArray[Number]]]) -> dict[Name, NDArray[Number]]:
    """Add tables by name; the result is in sorted order."""
    named: dict[Name, list[NDArray[Number]]] = {}
    for part in parts:
        for name, table in part.items():
            named.setdefault(name, []).append(table)
    return {name: sum_counts(named[name], "tables of labels") for name in sorted(named)}


Fixed = TypeVar("Fixed", str, tuple[str, ...], tuple[float, ...])


def _one(what: str, values: Iterable[Fixed]) -> Fixed:
    """Return the value all parts share; ``()`` when there is no part."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1:
        shown = " and ".join(repr(value)[:60] for value in distinct[:2])
        raise MergeError(f"{what} differ: {shown}; their counts do not add up, merge each kind by itself")
    return distinct[0] if distinct else ()  # type: ignore[return-value]  # only the optional value edges can be absent


def _union(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    distinct = {part for part in names if part}
    if len(distinct) <= 1:
        return distinct.pop() if distinct else ()
    return tuple(sorted(set().union(*distinct)))


def _sum_rows(names: tuple[str, ...], parts: Sequence[tuple[tuple[str, ...], NDArray[Number]]]) -> NDArray[Number]:
    """Add tables whose first axis is named, row by name; tables without rows have no say."""
    named = [(rows, table) for rows, table in parts if rows]
    if not named:
        return parts[0][1]
    if all(rows == names for rows, _ in named):
        return sum_counts([table for _, table in named], "tables")
    tail: tuple[int, ...] = named[0][1].shape[1:]
    total: NDArray[Number] = np.zeros((len(names), *tail), dtype=named[0][1].dtype)
    position = {name: index for index, name in enumerate(names)}
    for rows, table in named:
        total[[position[name] for name in rows]] += table
    return total


def _recency(exemplar: Exemplar) -> tuple[int, float, int, int]:
    return (exemplar.time_ns, exemplar.value_s, exemplar.trace_id, exemplar.span_id)
