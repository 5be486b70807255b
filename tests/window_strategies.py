"""Hypothesis strategies for windows, made from the declarations: a field that is declared is drawn without a line here.

Two kinds. `EXACT` windows add up without rounding, whatever the order: small counts, sums in quarters, names from small sets, one
geometry per grid. `AWKWARD` ones hold whatever a store must give back: any text, counts of all magnitudes, sums that are not
finite, any edges, any run of occupied buckets. The bulk of the numbers comes from one seed, the rest from hypothesis.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from radiosonde.model import LAGS, Exemplar, SeriesKey, Window
from radiosonde.model.fields import (
    BUCKETS,
    CELL,
    FLAG,
    FLOAT,
    INT,
    TEXT,
    UINT,
    DeclaredField,
    Merge,
    Stored,
    axis_size,
    declarations,
    names_first,
    naming,
)

INT64 = np.iinfo(np.int64)
# Lone surrogates cannot be stored as they are; `test_writer` says what becomes of them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
EDGES = (0.01, 0.1, 1.0)
KEY = SeriesKey("delays", "1", "stable", "carrier=UA")
_KEYS = {"result": ("correct", "incorrect"), "lag": LAGS}


@dataclass(frozen=True)
class Kind:
    """How values are drawn; see the module."""

    is_exact: bool

    def counts(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return whole numbers."""
        if self.is_exact:
            return rng.integers(0, 1000, shape, dtype=np.int64)
        drawn: np.ndarray = rng.integers(0, 2 ** rng.integers(1, 62, shape), dtype=np.int64)
        return drawn

    def sums(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return floats; exact ones are quarters up to 250, which add without rounding."""
        return rng.integers(0, 1000, shape) / 4 if self.is_exact else rng.normal(size=shape) * 1e3

    def count(self) -> st.SearchStrategy[int]:
        """Draw one whole number."""
        return st.integers(0, 1000 if self.is_exact else int(INT64.max))

    def sum(self) -> st.SearchStrategy[float]:
        """Draw one float."""
        if self.is_exact:
            return self.count().map(lambda value: value / 4)
        return st.one_of(st.floats(), st.sampled_from([0.0, 1 / 3, 1e-310, np.nan, np.inf, -np.inf]))

    def names(self, axis: str) -> st.SearchStrategy[tuple[str, ...]]:
        """Draw the names of an axis, in any order."""
        if not self.is_exact:
            return st.lists(TEXTS, unique=True, max_size=3).map(tuple)
        return st.lists(st.sampled_from([f"{axis} {number}" for number in range(3)]), unique=True).map(tuple)


EXACT, AWKWARD = Kind(is_exact=True), Kind(is_exact=False)


@st.composite
def windows(draw: st.DrawFn, kind: Kind = AWKWARD, grids: tuple[str, ...] | None = None) -> Window:
    """Draw a window.

    Args:
        kind: `EXACT` or `AWKWARD`.
        grids: a window's cells are on one of these; None: on any.
    """
    grid = draw(TEXTS if grids is None else st.sampled_from(grids))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values: dict[str, Any] = {"key": KEY if kind.is_exact else SeriesKey(*(draw(TEXTS) for _ in range(4)))}
    if kind.is_exact:
        start_ns = draw(st.integers(0, 3)) * 60
        values |= {"start_ns": start_ns, "end_ns": start_ns + 60, "process": draw(st.sampled_from(("p1", "p2")))}
    else:
        start_ns = draw(st.integers(0, 2**62))
        values |= {"start_ns": start_ns, "end_ns": start_ns + draw(st.integers(1, 10**15))}
    return draw(groups(Window, kind, rng, grid, values))


@st.composite
def groups(
    draw: st.DrawFn,
    group: type,
    kind: Kind,
    rng: np.random.Generator,
    grid: str = "g1",
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Draw a *group* of fields; *given* ones are as they are."""
    values = dict(given or {})
    run = sorted(draw(st.tuples(st.integers(0, 240), st.integers(0, 240))))
    width = draw(st.integers(4, 6 if kind.is_exact else 16))
    sign = draw(st.sampled_from((-1, 1)))
    # Also as an older store is read: without what came since.
    is_former = draw(st.booleans()) and any(each.at.startswith("label_tables") for each in declarations(group))
    for field in sorted(
        names_first(group), key=lambda each: each.name != "grid"
    ):  # without a grid there are no features
        if field.name not in values:
            if is_former and field.at.startswith("label_tables"):
                values[field.name] = field.default() if field.default else None
            else:
                drawing = Drawing(group, field, kind, rng, grid, values, (run[0], run[1]), width, sign)
                values[field.name] = draw(drawing.value())
    return group(**values)


@dataclass(frozen=True)
class Drawing:
    """One field being drawn: what it is, and what is known of its group."""

    group: type
    field: DeclaredField
    kind: Kind
    rng: np.random.Generator
    grid: str
    values: Mapping[str, Any]
    run: tuple[int, int]
    width: int
    sign: int

    def value(self) -> st.SearchStrategy[Any]:
        """Draw the value."""
        field, kind = self.field, self.kind
        if field.group is not None:
            drawn = groups(field.group, kind, self.rng, self.grid)
            return st.none() | drawn if field.default is not None and field.default() is None else drawn
        if field.merge is Merge.SKETCH:
            return (
                st.just({})
                if kind.is_exact
                else st.dictionaries(st.tuples(TEXTS, TEXTS), st.binary(max_size=30), max_size=3)
            )
        if field.stored is Stored.EXEMPLARS:
            return self._exemplars()
        if len(field.axes) == 1 and field.merge in {Merge.UNION, Merge.ALIKE, Merge.GIVEN, Merge.COMMON}:
            return self._axis()
        if field.axes or field.keys:
            return self._keyed() if field.keys else st.just(self._table())
        return self._single()

    def _single(self) -> st.SearchStrategy[Any]:
        field, kind = self.field, self.kind
        if field.alike:
            return st.sampled_from(("", self.grid)) if field.merge is Merge.GIVEN else st.just(self.grid)
        if field.dtype == TEXT:
            return st.sampled_from(("r1", "r2")) if kind.is_exact else TEXTS
        words = st.integers(0, 2**64 - 1)
        return {INT: kind.count(), UINT: words, FLOAT: kind.sum(), FLAG: st.booleans()}[field.dtype]

    def _axis(self) -> st.SearchStrategy[Any]:
        """Draw the names or the edges of an axis; the features of labelled cells only where there is a grid."""
        field, (axis,) = self.field, self.field.axes
        if field.dtype == TEXT:
            if field.merge is Merge.UNION:
                return self.kind.names(axis)
            if not self.values.get("grid", self.grid):
                return st.just(())
            if self.kind.is_exact:
                return st.just((f"{axis} 0", f"{axis} 1"))
            return self.kind.names(axis).map(lambda names: ("first", *(name for name in names if name != "first")))
        if field.merge is Merge.COMMON and self.kind.is_exact:
            return st.sets(st.sampled_from(EDGES)).map(lambda found: tuple(sorted(found)))
        edges = (
            EDGES if self.kind.is_exact else tuple(sorted((self.rng.random(self.rng.integers(0, 6)) * 1e6).tolist()))
        )
        as_field = edges if field.is_tuple else np.array(edges, dtype=field.dtype)
        return st.sampled_from((as_field, as_field[:0])) if field.merge is Merge.GIVEN else st.just(as_field)

    def _table(self) -> Any:
        """Return a table along the axes; cell tables that may be left out only where there are features."""
        field = self.field
        if field.stored is Stored.SPAN and not len(self.values["classes"]):
            return field.default()  # type: ignore[misc]  # an optional table is declared with one
        if field.merge is Merge.EXTEND and not self.values[naming(self.group, field.axes[0])]:
            return field.default()  # type: ignore[misc]
        sizes = [axis_size(self.group, axis)(self.values) for axis in field.axes]
        # One width per grid, but for tables that are extended: those may be narrower.
        width = self.width if field.merge is Merge.EXTEND or not self.kind.is_exact else 6
        shape = tuple(width if size < 0 else size for size in sizes)
        if CELL in field.axes and not shape[0]:
            shape = (0, 4, *shape[2:])
        if field.dtype == UINT:
            found = self.rng.integers(0, 2**64, shape, dtype=np.uint64)
            found[:1] = 2**64 - 1
            return found
        table = (self.kind.sums if field.dtype == FLOAT else self.kind.counts)(self.rng, shape)
        if field.axes[-1] in BUCKETS:
            kept = np.zeros(shape[-1], dtype=table.dtype)
            kept[self.run[0] : self.run[1]] = 1
            table = table * kept
        if field.stored in {Stored.LINES, Stored.SPARSE}:
            table = table * self.rng.integers(0, 2, (*shape[:-1], 1))
        return table * self.sign if field.pool.name == "NET" else table

    def _keyed(self) -> st.SearchStrategy[Any]:
        field = self.field
        if len(field.keys) == 1 and field.axes:  # by the names of an axis of the group
            return st.just({name: self._table() for name in self.values["classes"]} if self.values["features"] else {})
        parts = [
            st.sampled_from(_KEYS[key]) if key in _KEYS else self.kind.names(key).map(lambda found: (*found, "one")[0])
            for key in field.keys
        ]
        keys = parts[0] if len(parts) == 1 else st.tuples(*parts)
        if field.axes:
            return st.sets(keys, max_size=3).map(lambda found: {key: self._table() for key in sorted(found)})
        return st.dictionaries(keys, self.kind.count(), max_size=3)

    def _exemplars(self) -> st.SearchStrategy[Any]:
        top = 9 if self.kind.is_exact else 2**64 - 1
        exemplar = st.builds(
            Exemplar,
            value_s=st.just(0.5) if self.kind.is_exact else st.floats(0, 1e9),
            time_ns=st.integers(0, 5 if self.kind.is_exact else int(INT64.max)),
            trace_id=st.integers(1, top if self.kind.is_exact else 2**128 - 1),
            span_id=st.integers(1, top),
        )
        if (
            self.kind.is_exact
        ):  # each in the bucket of its value, which is where it is looked for when edges are thinned
            edges = self.values["edges_s"]
            valued = st.tuples(exemplar, st.sampled_from((0.25, *EDGES, 99.0)))
            return st.lists(valued, max_size=2).map(
                lambda drawn: {bisect_left(edges, value): each._replace(value_s=value) for each, value in drawn}
            )
        return st.dictionaries(st.integers(0, 3), exemplar, max_size=2)
