"""Finds the batch inside a wrapper, and what an input that reads as one row may hold as a batch.

Requests wrap their rows: a pydantic ``RootModel``, a dataclass of one list, ``{"instances": [...]}``, columns as attributes. Two rules
separate such a batch from one row. Both are decided without the values of the rows:

1. A mapping or object with one field, which is no known feature, is its field, if that holds rows or is one row. An object whose fields
   are columns of one length is the table of these columns, as a dict of such columns is.
2. Any other mapping or object is one row by name. If it holds containers, a batch may be among them. It then has as many rows as there are
   outputs, provided that one of its containers has as many entries (`sizes_in`). Without that condition the three recommendations for one user
   would be three rows.

Known envelopes of more than one field are not listed by name: the second rule counts their rows, and `radiosonde._record.envelopes` finds
their features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from radiosonde._record.shapes import (
    TYPES_KNOWN,
    Form,
    as_mapping,
    attribute_names,
    attribute_reader,
    is_scalar,
    recognise,
)
from radiosonde._record.tables import InputTable, column_length, table_of
from radiosonde.model.iteration import items_of

PLAIN: Final = frozenset({float, int, bool, str, bytes, type(None)})
"""Types of values of which no field of a wrapper is; one lookup instead of ten checks."""

DEPTH: Final = 2
"""Levels of fields that are searched for a batch: an envelope in an envelope."""

_WRAPPERS: Final = 8
"""Wrappers in each other that are taken off."""

FIELDS: Final = 16
"""Fields of each level, and chunks of a batch, that are searched: at most some milliseconds."""

TABLES: Final = frozenset({Form.FRAME, Form.SPARSE, Form.DMATRIX})
"""Forms that are rows, each by itself."""


def fields_of(value: Any, form: Form) -> Mapping[Any, Any]:
    """Return a mapping or an object as a mapping of its fields; its exceptions propagate."""
    if form is Form.MAPPING:
        return as_mapping(value)
    return {name: getattr(value, name, None) for name in attribute_names(value) or ()}


class FieldReader:
    """Reads the fields of objects; their names are determined once per type."""

    def __init__(self) -> None:
        self._known: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[object, ...]]]] = {}

    def read(self, value: object) -> tuple[tuple[str, ...], tuple[object, ...]]:
        """Return names and values of the fields of an object that is a row."""
        kind = type(value)
        known = self._known.get(kind)
        if known is None:
            if len(self._known) >= TYPES_KNOWN:  # rows of a type made for each request, as of `DataFrame.itertuples`
                self._known.clear()
            names = attribute_names(value) or ()
            known = self._known[kind] = (names, attribute_reader(names))
        return known[0], known[1](value)

    def mapping(self, value: object) -> Mapping[str, object]:
        """Return the fields of an object by name."""
        names, found = self.read(value)
        return dict(zip(names, found, strict=True))

    def forget(self) -> None:
        """Forget all types."""
        self._known.clear()


def opened(fields: Mapping[Any, Any], known: frozenset[str], *, is_object: bool) -> tuple[Any, InputTable | None]:
    """Return the batch or row that a mapping or an object wraps, or else the table that its columns are; (None, None) for one row.

    Args:
        fields: its fields.
        known: names of the features; a field of this name is a feature.
        is_object: the fields are attributes.
    """
    first = next(iter(items_of(fields.values())), None)
    if is_object and type(first) in PLAIN:
        return None, None
    if len(fields) == 1 and type(first) not in PLAIN:
        (name,) = items_of(fields)
        if name not in known and _holds_rows(first):
            return first, None
    table = table_of(fields, Form.MAPPING)
    if is_object and table is not None and len(fields) == 1 and known and known.isdisjoint(table.names or ()):
        return None, None
    return None, table


def flat_content(fields: Mapping[Any, Any], known: frozenset[str]) -> Any:
    """Return the only field of a mapping of no known names, which is then the input itself; None if there is none."""
    if len(fields) != 1:
        return None
    ((name, only),) = items_of(fields.items())
    form = Form.UNKNOWN if name in known or type(only) in PLAIN else recognise(only)
    is_content = _holds_rows(only) if form in (Form.MAPPING, Form.OBJECT) else not is_scalar(form)
    return only if is_content else None


def _holds_rows(value: Any) -> bool:
    """Whether a field is rows or a row by name, not a column of values."""
    form = recognise(value)
    if form in (Form.MAPPING, Form.OBJECT):
        return not _is_deep(value)
    if form in TABLES:
        return True
    return form in (Form.SEQUENCE, Form.VIEW) and not is_scalar(recognise(next(iter(islice(items_of(value), 1)), None)))


def _is_deep(value: Any) -> bool:
    """Whether more than `_WRAPPERS` wrappers lie in each other; a request may nest a thousand, and an object may hold itself."""
    for _ in range(_WRAPPERS):
        form = recognise(value)
        if form not in (Form.MAPPING, Form.OBJECT):
            return False
        fields = fields_of(value, form)
        if len(fields) != 1:
            return False
        (value,) = items_of(fields.values())
    return True


def holds_chunks(value: Sequence[Any]) -> bool:
    """Whether a sequence of rows is one of frames or of matrices, each of which may be a part of a batch."""
    first = next(iter(islice(items_of(value), 1)), None)
    form = recognise(first)
    if form is Form.SEQUENCE:
        return _holds_rows(first)
    return form in TABLES or (form is Form.ARRAY and len(getattr(first, "shape", ())) > 1)


def sizes_in(value: Any, form: Form | None = None, depth: int = DEPTH) -> set[int]:
    """Return how many rows a batch within *value* may have: numbers of entries of its containers, and of chunks together.

    Exceptions of the containers propagate.
    """
    form = recognise(value) if form is None else form
    if form is Form.SEQUENCE and isinstance(value, Sequence):
        return {len(value)} | (_chunk_sizes(value) if len(value) <= FIELDS else set())
    if form not in (Form.MAPPING, Form.OBJECT):
        length = len(value) if form in TABLES and hasattr(type(value), "__len__") else column_length(value)
        return set() if length is None else {length}
    fields = fields_of(value, form)
    entries = [each for each in islice(items_of(fields.values()), FIELDS) if type(each) not in PLAIN]
    own = {len(fields)} if len(entries) == min(len(fields), FIELDS) else set()
    if entries and own and all(type(each) is dict and each.keys() == entries[0].keys() for each in entries):
        own.add(len(entries[0]))  # columns that are mappings by row, as of `DataFrame.to_dict`
    return own.union(*(sizes_in(each, None, depth - 1) for each in entries if depth))


def _chunk_sizes(value: Sequence[Any]) -> set[int]:
    """Return the rows of chunks together, and those of inputs of one length beside each other."""
    lengths = [column_length(each) for each in items_of(value)]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        return set()
    return {sum(known), known[0]} if len(set(known)) == 1 else {sum(known)}
