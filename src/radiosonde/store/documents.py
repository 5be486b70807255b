"""Converts groups of counts to documents and back, and maps fields to columns, from the declarations.

A field lies at ``column.name`` (`DeclaredField.at`); by default the column has the name of its group in `Window`. A column with
names below it is a document of one group: its fields in the order of their declarations.

A store of a former version may hold a field in another place (`DeclaredField.formerly`), or not at all: the field then has the default of
its dataclass field, or the one of its declaration. A field without either is required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from radiosonde.model import Window
from radiosonde.model.fields import DeclaredField, Stored, declarations, names_first
from radiosonde.store.shapes import HEADS, SHAPES, Document, Plain, Shape, Span, Target, occupied

if TYPE_CHECKING:
    import pyarrow as pa

FEATURE_TABLES = frozenset({"features", "sketches"})
"""Tables beside ``windows``; a field that lies there has a row per feature."""


class FieldLocation(NamedTuple):
    """Where a field lies.

    Attributes:
        group: field of `Window` that holds the group; ``""`` for a field of `Window` itself.
        kind: class of the group.
        field: the declaration.
        column: of table ``windows``, or a table of `FEATURE_TABLES`.
        path: names below the column, outermost first; none for a column that is the value.
    """

    group: str
    kind: type
    field: DeclaredField
    column: str
    path: tuple[str, ...]


@cache
def places() -> tuple[FieldLocation, ...]:
    """Return the place of every field of a window; groups are replaced by their fields."""
    return tuple(_places("", Window))


def _places(group: str, kind: type) -> Iterator[FieldLocation]:
    for field in declarations(kind):
        if field.group is not None and not group:
            yield from _places(field.name, field.group)
        else:
            column, *path = (field.at or (f"{group}.{field.name}" if group else field.name)).split(".")
            yield FieldLocation(group, kind, field, column, tuple(path))


class _Entry(NamedTuple):
    """A shape, and the struct of the document it lies in."""

    below: tuple[str, ...]
    shape: Shape


class GroupDocument:
    """The document of a group inside another one: all of its fields, by name."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._entries = list(
            _entries([FieldLocation("", kind, field, "", (field.name,)) for field in declarations(kind)])
        )

    def write(self, group: Any) -> dict[str, Any]:
        """Return the document of *group*."""
        document: Target = {}
        span = _span(self._kind, group)
        for entry in self._entries:
            entry.shape.write(document, group, span)
        return document

    def read(self, document: Document) -> Any:
        """Return the group in *document*.

        Raises:
            StoreError: a table has another geometry than this version of Radiosonde counts with.
        """
        values: dict[str, Any] = {}
        shapes = {entry.shape.field.name: entry.shape for entry in self._entries if _is_field(entry.shape)}
        for field in names_first(self._kind):
            values[field.name] = _read(shapes[field.name], document, values)
        return self._kind(**values)

    def type(self) -> pa.DataType:
        """Return the Arrow type."""
        return _struct(self._entries)


class _Nested(Shape):
    """A group in a document: a struct."""

    @cached_property
    def _inner(self) -> GroupDocument:
        return group_document(self.field.group)

    def write(self, target: Target, group: Any, span: Span) -> None:
        """Write the document of the group."""
        target[self.name] = self._inner.write(self.value(group))

    def read(self, document: Document, values: Mapping[str, Any]) -> Any:
        """Return the group."""
        return self._inner.read(document[self.name])

    def types(self) -> dict[str, pa.DataType]:
        """Return the type of the struct."""
        return {self.name: self._inner.type()}


@cache
def group_document(kind: type) -> GroupDocument:
    """Return the document of *kind*, for groups that lie in others or travel by themselves."""
    return GroupDocument(kind)


class ColumnDocument:
    """The document in one column of table ``windows``.

    Args:
        column: its name.

    Attributes:
        owner: the group it belongs to; without that group the column is NULL, as it is where all it holds is tables without elements.

    Raises:
        TypeError: fields of two groups are declared to lie there.
    """

    def __init__(self, column: str) -> None:
        held = [place for place in places() if place.column == column and place.path]
        self.owner, self._kind = held[0].group, held[0].kind
        strange = next((place for place in held if place.group != self.owner), None)
        if strange is not None:
            raise TypeError(
                f"{strange.group}.{strange.field.name} is declared at column {column!r} of {self.owner}: give it a column"
            )
        self._entries = list(_entries(held))
        is_sparse = all(place.field.stored is Stored.SPARSE for place in held)
        self._tables = [place.field.name for place in held] if is_sparse else []
        self._writes = [(entry.below, entry.shape.write) for entry in self._entries]

    def write(self, window: Window) -> dict[str, Any] | None:
        """Return the document of *window*; None without the group, and without an element of it."""
        group = getattr(window, self.owner)
        if group is None or (self._tables and not any(map(_has_elements, map(group.__getattribute__, self._tables)))):
            return None
        span = _span(self._kind, group)
        document: Target = {}
        for below, write in self._writes:
            target = document
            for name in below:
                target = target.setdefault(name, {})
            write(target, group, span)
        return document

    def type(self) -> pa.DataType:
        """Return the Arrow type."""
        return _struct(self._entries)


def _has_elements(table: Any) -> bool:
    return bool(table if isinstance(table, Mapping) else table.size)


def in_present_places(columns: dict[str, Any]) -> dict[str, Any]:
    """Return a row of ``windows``, documents parsed, with what a former version wrote elsewhere where this one writes it."""
    for place, former, heads in _moved():
        held = _below(columns, former[:-1])
        if held is None or held.get(former[-1]) is None:
            continue
        if not place.path:
            columns[place.column] = held[former[-1]] if columns[place.column] is None else columns[place.column]
            continue
        document = columns[place.column] or {}
        if document.get(place.path[-1]) is None:
            beside = {name: held[name] for name in heads}
            columns[place.column] = {**document, **beside, place.path[-1]: held[former[-1]]}
    return columns


@cache
def _moved() -> list[tuple[FieldLocation, tuple[str, ...], tuple[str, ...]]]:
    """Return the fields that formerly lay elsewhere, where that was, and the names of what stands before their shape."""
    return [
        (place, tuple(place.field.formerly.split(".")), _head_names(place))
        for place in places()
        if place.field.formerly
    ]


def _head_names(place: FieldLocation) -> tuple[str, ...]:
    head = HEADS.get(place.field.stored)
    return () if head is None else tuple(head(place.kind, place.field, "").types())


class _Source(NamedTuple):
    """Where one field of a group is read from.

    Attributes:
        field: name of the field.
        document: number of the document that holds it, in `GroupReader`.
        name: its name there.
        decode: for a field whose value needs nothing but itself: what makes it of what is in the document.
        shape: for any field.
        former: its place in stores of former versions.
    """

    field: str
    document: int
    name: str
    decode: Callable[[Any, Mapping[str, Any]], Any] | None
    shape: Shape
    former: tuple[str, ...]


class GroupReader:
    """Reads one group of a window out of its columns.

    Args:
        name: field of `Window`.
    """

    def __init__(self, name: str) -> None:
        held = [place for place in places() if place.group == name]
        self._kind = held[0].kind
        self._first = held[0].column
        order = names_first(self._kind)
        held.sort(key=lambda place: order.index(place.field))
        self._per_feature = [place.field.name for place in held if place.column in FEATURE_TABLES]
        kept = [place for place in held if place.column not in FEATURE_TABLES]
        # Looked up once per window, not once per field: a month of windows has two million fields.
        self._documents = list(dict.fromkeys((place.column, *place.path)[:-1] for place in kept))
        self._sources = [self._source(place) for place in kept]

    def _source(self, place: FieldLocation) -> _Source:
        *below, name = place.column, *place.path
        shape = _shape(place.kind, place.field, name)
        former = tuple(place.field.formerly.split(".")) if place.field.formerly else ()
        decode = shape.decode if isinstance(shape, Plain) else None
        return _Source(place.field.name, self._documents.index(tuple(below)), name, decode, shape, former)

    def read(self, columns: Mapping[str, Any], features: Mapping[str, Any]) -> Any:
        """Return the group; None where the column of its first field is NULL.

        Args:
            columns: values by column name, documents parsed.
            features: the fields that lie in `FEATURE_TABLES`, by field name.

        Raises:
            StoreError: a table has another geometry than this version of Radiosonde counts with.
        """
        if columns[self._first] is None:
            return None
        values = {name: features[name] for name in self._per_feature}
        documents = [_below(columns, below) for below in self._documents]
        for field, number, name, decode, shape, former in self._sources:
            document = documents[number]
            found = None if document is None else document.get(name)
            if document is None or found is None:
                values[field] = _read(shape, _former(shape, columns, former), values)
            else:
                values[field] = shape.read(document, values) if decode is None else decode(found, values)
        return self._kind(**values)


def _former(shape: Shape, columns: Mapping[str, Any], former: tuple[str, ...]) -> Document | None:
    """Return a document that has a field where this version looks for it, from its place in former versions; None without one."""
    held = _below(columns, former[:-1]) if former else None
    # With what stands beside it: the head of its shape is in the same document.
    return None if held is None else {**held, shape.name: held.get(former[-1])}


def _below(document: Document | None, steps: tuple[str, ...]) -> Document | None:
    for step in steps:
        document = None if document is None else document.get(step)
    return document


def _read(shape: Shape, document: Document | None, values: Mapping[str, Any]) -> Any:
    field = shape.field
    if document is not None and document.get(shape.name) is not None:
        return shape.read(document, values)
    if field.absent is not None:
        return field.absent(values)
    if field.default is None:
        raise KeyError(shape.name)
    return field.default()


def _shape(kind: type, field: DeclaredField, name: str) -> Shape:
    return (_Nested if field.stored is Stored.GROUP else SHAPES.get(field.stored, Shape))(kind, field, name)


def _is_field(shape: Shape) -> bool:
    return type(shape) not in HEADS.values()


def _entries(held: list[FieldLocation]) -> Iterator[_Entry]:
    headed = set()
    for place in held:
        head = HEADS.get(place.field.stored)
        if head is not None and head not in headed:
            headed.add(head)
            yield _Entry(place.path[:-1], head(place.kind, place.field, ""))
        yield _Entry(place.path[:-1], _shape(place.kind, place.field, place.path[-1]))


def _struct(entries: list[_Entry]) -> pa.DataType:
    import pyarrow as pa

    tree: dict[str, Any] = {}
    for below, shape in entries:
        target = tree
        for name in below:
            target = target.setdefault(name, {})
        target.update(shape.types())
    return pa.struct({name: pa.struct(held) if isinstance(held, dict) else held for name, held in tree.items()})


@cache
def _trimmed(kind: type) -> tuple[str, ...]:
    """Return the fields of *kind* that share one span."""
    return tuple(each.name for each in declarations(kind) if each.stored in {Stored.TRIMMED, Stored.ROWS})


def _span(kind: type, group: Any) -> Span:
    """Return the buckets that hold something in any trimmed table of *group*."""
    first, end = -1, 0
    for name in _trimmed(kind):
        found = occupied(getattr(group, name))
        if found[1]:
            first, end = found[0] if first < 0 else min(first, found[0]), max(end, found[1])
    return (max(first, 0), end)
