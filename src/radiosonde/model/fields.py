"""Declarations of window fields, in the metadata of each dataclass field.

The rest of the library uses only the declaration of a field. Adding windows and subtracting totals
(`radiosonde.model.addition`), the documents of SQLite and the columns of Parquet (`radiosonde.store`), reading both back, the
table in ``docs/store.md`` and the strategies of the property tests are derived from it. A new signal is therefore one
field with a default and the line that counts it.

Plain metadata instead of a separate table of specifications: the declaration is next to the type and the default, and a field without one
is an error.

Axes are named. Those in `FIXED_AXES` have one size everywhere. Any other axis belongs to its group: the field whose only
axis it is (``classes`` for ``class``) names its rows, and ``edge+1`` is one longer than ``edge``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache
from typing import Any

from radiosonde.model.buckets import LAG, LATENCY, ExponentialBuckets

INT, FLOAT, UINT, TEXT, FLAG, BYTES = "int64", "float64", "uint64", "text", "bool", "bytes"
"""Types of one number, name or body."""

BUCKETS: Mapping[str, ExponentialBuckets] = {"bucket": LATENCY, "lag": LAG}
"""Axes that are exponential buckets; tables along them are stored trimmed to the occupied ones."""

FIXED_AXES: Mapping[str, int] = {
    **{axis: buckets.size for axis, buckets in BUCKETS.items()},
    "batch size": 21,
    "confidence": 20,
    "confidence or none": 21,
    "log-odds": 97,
    "moment": 3,
    "row": 1,
    "sign": 2,
}
"""Axes of the same size in every window."""

CELL = "cell"
"""Axis of the cells of a feature, whose last four are the special ones; as long as the group's widest feature needs."""


class Merge(Enum):
    """Rule for a field in the sum of two windows."""

    SUM = "sum"
    """Numbers add; tables add by the names of their first axis, mappings by key; empty ones are ignored."""
    EXTEND = "extend, sum"
    """As `SUM`, after narrower cell tables got the body cells that never occurred in them."""
    UNION = "union"
    """The names of an axis: in their order if all parts agree, else sorted."""
    ALIKE = "equal"
    """Part of the geometry: windows that differ in it do not add up."""
    GIVEN = "equal where given"
    """As `ALIKE`, but empty values are ignored."""
    COMMON = "those common to all"
    """Edges of bins: the sum has the edges that all parts have, and counts between them; so windows from before and after a change
    of edges add up. A part without counts is ignored."""
    SAME = "kept if equal"
    """The common value, or the empty one."""
    SMALLEST = "min"
    LARGEST = "max"
    LATEST = "latest"
    """Per key the exemplar with the latest time."""
    SKETCH = "sketch"
    """Serialized sketches by (feature, kind), merged by their own law."""
    GROUP = "by field"
    """A group of fields, each by its own rule; None is ignored."""


class Pool(Enum):
    """How the sum over several series (cohorts, versions) is to be read."""

    ADD = "adds"
    ESTIMATE = "adds, estimated"
    """Rows are weighted under load: multiply by the group's ``evidence_ratio`` before treating them as independent."""
    NET = "adds, net"
    """A part may hold negative counts, because a correction subtracts counts of an earlier part: pool before reading."""
    LEVEL = "largest"
    APART = "kept apart"
    """Belongs to one series, grid or process."""


class Stored(Enum):
    """The shape of a field in a document (JSON in SQLite, a struct in Parquet)."""

    PLAIN = "plain"
    """A number or a text; along axes a list (of lists); a mapping by one name as it is."""
    TRIMMED = "trimmed"
    """Occupied buckets only, from ``offset`` on; the document's fields that are trimmed share one span."""
    KEYS = "keys"
    """The names of the rows of another field, which is `ROWS`."""
    ROWS = "rows"
    """A map from the name of a row to the row, trimmed."""
    SPAN = "span"
    """A separate struct with ``scale``, ``offset`` and trimmed ``counts``; null for an empty table."""
    PAIRS = "pairs"
    """A mapping by several names: a list of structs with one field per name, and ``rows``."""
    LINES = "lines"
    """A mapping by several names to tables: a list of structs, one per line that holds something."""
    COLUMNS = "columns"
    """A table whose last axis is moments: a struct with a list per moment."""
    SPARSE = "sparse"
    """Occupied places, ``feature * width + cell``, with their values."""
    EXEMPLARS = "exemplars"
    """A list of structs; ids in hexadecimal, because no SQL engine has a 128-bit integer that all others can read."""
    GROUP = "group"
    """A struct with the fields of the group."""


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredField:
    """One field.

    Attributes:
        name: of the field.
        dtype: type of one element.
        axes: axes of the table, outermost first; none for a single value.
        merge: see `Merge`.
        pool: see `Pool`.
        stored: see `Stored`.
        at: place in a store, ``column.name``; the column is one of table ``windows``, or is ``features`` or ``sketches``,
            the tables of that name.
        formerly: place in stores of former versions, ``column.name``, read where *at* holds nothing; empty: there was none.
        keys: names of the parts of a key, for a mapping.
        moments: names of the entries of axis ``moment``.
        group: class of the fields below, for `Merge.GROUP`.
        alike: name of a property that must be equal for windows to add up; fields with the same name are compared.
        absent: computes the value missing from a store from the fields before it; default: the default of the dataclass.
        read_by: the reader of the field.
        is_tuple: whether values are tuples, not arrays.
        default: creates the value missing from a store; None: a store without it is damaged.
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    merge: Merge
    pool: Pool
    stored: Stored
    at: str
    formerly: str
    keys: tuple[str, ...]
    moments: tuple[str, ...]
    group: type | None
    alike: str
    absent: Callable[[Mapping[str, Any]], Any] | None
    read_by: str
    is_tuple: bool
    default: Callable[[], Any] | None


_NAMING = frozenset({Merge.UNION, Merge.ALIKE, Merge.GIVEN, Merge.COMMON})

_POOLS = {
    Merge.LARGEST: Pool.LEVEL,
    **dict.fromkeys((Merge.ALIKE, Merge.GIVEN, Merge.COMMON, Merge.SAME, Merge.SMALLEST), Pool.APART),
}


def declared(
    dtype: str = INT, *axes: str, merge: Merge = Merge.SUM, stored: Stored = Stored.PLAIN, **more: Any
) -> dict[str, Any]:
    """Return the metadata of a field.

    Args:
        dtype: type of one element.
        axes: axes of its table, outermost first.
        merge: rule for the sum of two windows.
        stored: shape in a document.
        more: further attributes of `Declared`. *read_by* is required, so that every counted field has a reader.
    """
    pool = more.pop("pool", _POOLS.get(merge, Pool.ADD))
    return {"declared": (dtype, axes, merge, pool, stored, more)}


def counted_group(kind: type, *, read_by: str = "see its fields", **more: Any) -> dict[str, Any]:
    """Return the metadata of a field that holds a group of fields."""
    return declared("group", merge=Merge.GROUP, stored=Stored.GROUP, pool=Pool.ADD, group=kind, read_by=read_by, **more)


@cache
def declarations(kind: type) -> tuple[DeclaredField, ...]:
    """Return the declarations of the fields of *kind*, a dataclass, in their order.

    Raises:
        TypeError: a field has no declaration.
    """
    found = []
    for each in fields(kind):
        if "declared" not in each.metadata:
            raise TypeError(f"{kind.__name__}.{each.name} is not declared: give its field metadata=declared(...)")
        dtype, axes, merge, pool, stored, more = each.metadata["declared"]
        default: Callable[[], Any] | None = None
        if each.default_factory is not MISSING:
            default = each.default_factory
        elif each.default is not MISSING:
            default = _constant(each.default)
        usual = {"at": "", "formerly": "", "keys": (), "moments": (), "group": None, "alike": "", "absent": None}
        derived = {"default": default, "is_tuple": str(each.type).startswith("tuple")}
        found.append(DeclaredField(each.name, dtype, axes, merge, pool, stored, **{**usual, **more, **derived}))
    return tuple(found)


@cache
def names_first(kind: type) -> tuple[DeclaredField, ...]:
    """Return `declarations` with the fields that name axes before those that lie along them."""
    return tuple(sorted(declarations(kind), key=lambda each: not (len(each.axes) == 1 and each.merge in _NAMING)))


@cache
def naming(kind: type, axis: str) -> str | None:
    """Return the field of *kind* that names the rows (or gives the edges) of *axis*; None for an axis of fixed size."""
    axis = axis.removesuffix("+1")
    if axis in FIXED_AXES or axis == CELL:
        return None
    for each in declarations(kind):
        if each.axes == (axis,) and each.merge in _NAMING:
            return each.name
    raise TypeError(f"no field of {kind.__name__} names the rows of axis {axis!r}: declare one with this axis alone")


@cache
def axis_size(kind: type, axis: str) -> Callable[[Mapping[str, Any]], int]:
    """Return a function for the size of *axis* in a group of *kind*, from the fields that name axes (`names_first`).

    Edges make one bin more than there are of them; edges that may be left out make none when they are. Cells have no size of
    their own: -1.
    """
    if axis == CELL:
        return lambda _: -1
    name = naming(kind, axis)
    if name is None:
        size = FIXED_AXES[axis]
        return lambda _: size
    if not axis.endswith("+1"):
        return lambda values: len(values[name])
    may_be_empty = any(each.name == name and each.merge is Merge.GIVEN for each in declarations(kind))
    return lambda values: 0 if may_be_empty and not len(values[name]) else len(values[name]) + 1


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value
