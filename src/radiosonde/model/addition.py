"""Adds and subtracts groups of counts field by field, as declared in `radiosonde.model.fields`.

Integers add exactly, float sums add, tables with named rows are merged by name. The result does not depend on the order of the parts.
Sketches are merged by a function that is passed to `add`, because they belong to a higher layer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import MergeError
from radiosonde.model.cells import widened
from radiosonde.model.fields import CELL, UINT, DeclaredField, Merge, declarations, names_first, naming
from radiosonde.model.fingerprints import WORD

Group = TypeVar("Group")
MergeSketches = Callable[[str, list[bytes]], bytes]
"""Merges serialized sketches of one kind."""


def add(parts: Sequence[Group], merge_sketches: MergeSketches | None = None) -> Group:
    """Return the sum of *parts*, groups of one class; at least one.

    Args:
        parts: the groups; none of them is written to.
        merge_sketches: merges the sketches of groups that may hold any.

    Raises:
        MergeError: grids, edges or shapes differ, or a sketch is damaged.
    """
    kind: Any = type(parts[0])
    total: dict[str, Any] = {}
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a sum of a model's answers may be infinite, which needs no warning
        for name, values_of, rule in _plan(kind):
            total[name] = rule(list(map(values_of, parts)), parts, total, merge_sketches)
    return cast("Group", kind(**total))


Rule = Callable[[list[Any], Sequence[Any], Mapping[str, Any], MergeSketches | None], Any]
"""Adds the values of one field, given the groups, the fields summed before, and the function that merges sketches."""


@cache
def _plan(kind: type) -> list[tuple[str, Callable[[Any], Any], Rule]]:
    """Return how each field is added: decided once per class, because windows are added while predictions are drained."""
    return [(field.name, attrgetter(field.name), _rule(kind, field)) for field in names_first(kind)]


def _rule(kind: type, field: DeclaredField) -> Rule:
    called = what(kind, field)
    if field.merge is Merge.SUM:
        return _sum_rule(kind, field, called)
    if field.merge is Merge.EXTEND:
        return lambda values, parts, *_: _sum_extended(kind, field, values, parts)
    if field.merge is Merge.GROUP:
        return lambda values, _parts, _total, merge: _sum_groups(values, merge)
    if field.merge is Merge.SKETCH:
        return lambda values, _parts, _total, merge: _sum_sketches(values, merge)
    if field.merge is Merge.LATEST:
        return _latest_rule(kind)
    if field.merge is Merge.COMMON:
        return _common_rule(kind, field)
    rule = _RULES[field.merge]
    return lambda values, *_: rule(called, values)


def _sum_rule(kind: type, field: DeclaredField, called: str) -> Rule:
    if field.keys:
        if field.axes:
            return lambda values, *_: _sum_tables(values, called)
        return lambda values, *_: _sum_by_key(values)
    if not field.axes:
        return (lambda values, *_: sum(values) % WORD) if field.dtype == UINT else lambda values, *_: sum(values)
    rows = _rows_named_by(kind, field)
    edges = _common_edges_of(kind, field)

    def rule(values: list[Any], parts: Sequence[Any], total: Mapping[str, Any], _: MergeSketches | None) -> Any:
        if edges is not None:
            values = [
                _coarsened(table, getattr(part, edges), total[edges]) for table, part in zip(values, parts, strict=True)
            ]
        if rows is None:
            return sum_counts(values, called)
        return _sum_rows(total[rows], [getattr(part, rows) for part in parts], values, called)

    return rule


def subtract(total: Group, before: Group) -> Group:
    """Return the increase of *total* since *before*, an earlier total of the same kind; levels are those of *total*.

    Raises:
        MergeError: the group holds fields that cannot be subtracted: names, mappings or sketches.
    """
    kind: Any = type(total)
    grown: dict[str, Any] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for field in declarations(kind):
            now, then = getattr(total, field.name), getattr(before, field.name)
            if field.merge is Merge.SUM and not field.keys and _rows_named_by(kind, field) is None:
                grown[field.name] = (now - then) % WORD if field.dtype == UINT and not field.axes else now - then
            elif field.merge is Merge.GROUP:
                grown[field.name] = subtract(now, then)
            elif field.merge is Merge.LARGEST:
                grown[field.name] = now
            else:
                raise MergeError(f"{what(kind, field)} cannot be subtracted; keep the parts instead of a running total")
    return cast("Group", kind(**grown))


def emptied(group: Group, *, keep: Collection[str] = ()) -> Group:
    """Return the neutral element of addition: counts are 0 and tables empty, fields that must be equal are those of *group*.

    Args:
        group: is not written to.
        keep: names of fields that are kept as they are, in groups inside too.
    """
    kind: Any = type(group)
    values = {field.name: getattr(group, field.name) for field in declarations(kind)}
    for field in declarations(kind):
        value = values[field.name]
        if field.name in keep or value is None:
            continue
        if field.merge is Merge.GROUP:
            values[field.name] = emptied(value, keep=keep)
        elif field.merge in _COUNTED:
            values[field.name] = _nothing(value, is_by_name=_rows_named_by(kind, field) is not None)
    return cast("Group", kind(**values))


_COUNTED = frozenset({Merge.SUM, Merge.EXTEND, Merge.UNION, Merge.LATEST, Merge.SKETCH})


def _nothing(value: Any, *, is_by_name: bool) -> Any:
    if isinstance(value, np.ndarray):
        return value[:0] if is_by_name else np.zeros_like(value)
    return type(value)()


def sum_counts(parts: Sequence[NDArray[Any]], what: str) -> NDArray[Any]:
    """Add arrays of one shape; empty arrays are ignored.

    Raises:
        MergeError: the shapes differ.
    """
    if len(parts) == 2 and parts[0].shape == parts[1].shape:  # nearly always: a total and an increase
        both: NDArray[Any] = parts[0] + parts[1]
        return both
    if len({part.shape for part in parts}) > 1:
        parts = [part for part in parts if part.size] or parts[:1]
        shapes = sorted({part.shape for part in parts})
        if len(shapes) > 1:
            raise MergeError(
                f"{what} have shapes {shapes}; windows of one schema version have one: convert the older ones"
            )
    if not parts[0].size:
        return parts[0]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


@cache
def what(kind: type, field: DeclaredField) -> str:
    """Return the words for *field* in a message."""
    return field.alike or f"{kind.__name__.removesuffix('Counts').lower()} {field.name.replace('_', ' ')}"


@cache
def _rows_named_by(kind: type, field: DeclaredField) -> str | None:
    """Return the field whose names unite the rows of a table; None where rows are at the same place in all parts."""
    if not field.axes or field.merge is not Merge.SUM or field.axes[0].endswith("+1"):
        return None
    name = naming(kind, field.axes[0])
    union = {each.name for each in declarations(kind) if each.merge is Merge.UNION}
    return name if name in union else None


def _sum_by_key(parts: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    """Add integers by key; the result is in sorted order."""
    total: dict[Any, int] = {}
    for part in filter(None, parts):
        for key, count in part.items():
            total[key] = total.get(key, 0) + count
    return dict(sorted(total.items())) if total else total


def _sum_tables(parts: Sequence[Mapping[Any, NDArray[Any]]], what: str) -> dict[Any, NDArray[Any]]:
    """Add tables by key; the result is in sorted order."""
    keyed: dict[Any, list[NDArray[Any]]] = {}
    for part in parts:
        for key, table in part.items():
            keyed.setdefault(key, []).append(table)
    return {key: sum_counts(keyed[key], what) for key in sorted(keyed)}


_SIZE = attrgetter("size")


def _sum_rows(
    union: tuple[str, ...], names: Sequence[tuple[str, ...]], tables: Sequence[NDArray[Any]], what: str
) -> NDArray[Any]:
    """Add tables with a named first axis, row by name; tables without rows are ignored."""
    if names.count(union) == len(names) and all(map(_SIZE, tables)):
        return sum_counts(tables, what)
    named = [(rows, table) for rows, table in zip(names, tables, strict=True) if table.size]
    if not named:
        return tables[0]
    if all(rows == union for rows, _ in named):
        return sum_counts([table for _, table in named], what)
    tail: tuple[int, ...] = named[0][1].shape[1:]
    total: NDArray[Any] = np.zeros((len(union), *tail), dtype=named[0][1].dtype)
    position = {name: index for index, name in enumerate(union)}
    for rows, table in named:
        total[[position[name] for name in rows]] += table
    return total


def _sum_groups(values: list[Any], merge_sketches: MergeSketches | None) -> Any:
    present = [value for value in values if value is not None]
    return add(present, merge_sketches) if present else None


def _sum_extended(kind: type, field: DeclaredField, values: list[Any], parts: Sequence[Any]) -> Any:
    """Add cell tables, all as wide as the widest one of the group."""
    if not any(map(len, values)):
        return values[0]
    width = max(cells_width(kind, part) for part in parts)
    if field.keys:
        wide = [{key: widened(table, width) for key, table in value.items()} for value in values]
        return _sum_tables(wide, what(kind, field))
    return sum_counts([widened(value, width) if value.size else value for value in values], what(kind, field))


def cells_width(kind: type, part: Any) -> int:
    """Return the number of cells of the widest table of *part*."""
    width = 0
    for values_of, is_keyed, place in _cell_tables(kind):
        value = values_of(part)
        for table in value.values() if is_keyed else (value,):
            width = max(width, table.shape[place])
    return width


@cache
def _cell_tables(kind: type) -> list[tuple[Callable[[Any], Any], bool, int]]:
    """Return, for each cell table of *kind*, its getter, whether it is a mapping by key, and the axis of its cells."""
    extended = [field for field in declarations(kind) if field.merge is Merge.EXTEND]
    return [(attrgetter(field.name), bool(field.keys), field.axes.index(CELL)) for field in extended]


def _sum_sketches(
    parts: Sequence[Mapping[tuple[str, str], bytes]], merge_sketches: MergeSketches | None
) -> dict[tuple[str, str], bytes]:
    serialized: dict[tuple[str, str], list[bytes]] = {}
    for part in parts:
        for sketch, content in part.items():
            serialized.setdefault(sketch, []).append(content)
    if merge_sketches is None and serialized:
        raise MergeError("these windows hold sketches: add them with radiosonde.sketches.merge")
    return {sketch: merge_sketches(sketch[1], serialized[sketch]) for sketch in sorted(serialized)}  # type: ignore[misc]


def _alike(what: str, values: Sequence[Any]) -> Any:
    """Return the value all parts share."""
    first = values[0]
    for value in values[1:]:
        if value is not first and _plain(value) != _plain(first):
            shown = " and ".join(repr(_plain(each))[:60] for each in (first, value))
            raise MergeError(f"{what} differ: {shown}; their counts do not add up, merge each kind by itself")
    return first


def _given(what: str, values: Sequence[Any]) -> Any:
    return _alike(what, [value for value in values if len(value)] or values[:1])


def _plain(value: Any) -> Any:
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value


def _union(_: str, names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if names.count(names[0]) == len(names):
        return names[0]
    distinct = {part for part in names if part}
    if len(distinct) <= 1:
        return distinct.pop() if distinct else ()
    return tuple(sorted(set().union(*distinct)))


def _same(_: str, values: Sequence[Any]) -> Any:
    """Return the common value, or the empty one of its type."""
    return values[0] if all(value == values[0] for value in values) else type(values[0])()


def _common_rule(kind: type, field: DeclaredField) -> Rule:
    """Return the common edges of all parts; a part without counts between its edges is ignored."""
    axis = f"{field.axes[0]}+1"
    (counted,) = (each.name for each in declarations(kind) if axis in each.axes)

    def rule(values: list[Any], parts: Sequence[Any], *_: Any) -> Any:
        first = values[0]
        if all(value is first or value == first for value in values):
            return first
        heard = [value for value, part in zip(values, parts, strict=True) if getattr(part, counted).any()] or values
        return tuple(sorted(set(heard[0]).intersection(*heard)))

    return rule


def _coarsened(table: NDArray[Any], edges: tuple[float, ...], kept: tuple[float, ...]) -> NDArray[Any]:
    """Return counts between *edges* as counts between those that are *kept*, which are among them unless nothing was counted."""
    if edges is kept or edges == kept:
        return table
    if not table.any():
        return np.zeros((*table.shape[:-1], len(kept) + 1), dtype=table.dtype)
    starts = [0, *(np.searchsorted(edges, kept) + 1).tolist()]
    coarse: NDArray[Any] = np.add.reduceat(table, starts, axis=-1)
    return coarse


@cache
def _common_edges_of(kind: type, field: DeclaredField) -> str | None:
    """Return the field with the edges that the last axis of a table lies between; None where edges are not thinned."""
    if not field.axes[-1].endswith("+1"):
        return None
    name = naming(kind, field.axes[-1])
    return name if any(each.name == name and each.merge is Merge.COMMON for each in declarations(kind)) else None


def _latest_rule(kind: type) -> Rule:
    """Return the rule of exemplars, which are by bucket: where edges are thinned, by the bucket that their value is in then."""
    edges = next((each.name for each in declarations(kind) if each.merge is Merge.COMMON), None)

    def rule(values: list[Any], parts: Sequence[Any], total: Mapping[str, Any], _: MergeSketches | None) -> Any:
        if edges is None:
            return _latest(values)
        return _latest(
            [
                value
                if not value or getattr(part, edges) == total[edges]
                else _latest([{bisect_left(total[edges], each.value_s): each} for each in value.values()])
                for value, part in zip(values, parts, strict=True)
            ]
        )

    return rule


def _latest(parts: Sequence[Mapping[int, Any]]) -> dict[int, Any]:
    """Return per key the exemplar with the latest time; ties are broken by the other fields, so that order does not matter."""
    found: dict[int, Any] = {}
    for part in parts:
        for key, exemplar in part.items():
            known = found.get(key)
            if known is None or _recency(exemplar) > _recency(known):
                found[key] = exemplar
    return dict(sorted(found.items()))


def _recency(exemplar: Any) -> tuple[int, float, int, int]:
    return (exemplar.time_ns, exemplar.value_s, exemplar.trace_id, exemplar.span_id)


_RULES: Mapping[Merge, Callable[[str, Sequence[Any]], Any]] = {
    Merge.UNION: _union,
    Merge.ALIKE: _alike,
    Merge.GIVEN: _given,
    Merge.SAME: _same,
    Merge.SMALLEST: lambda _, values: min(values),
    Merge.LARGEST: lambda _, values: max(values),
}
