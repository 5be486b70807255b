"""Learns the schema of rows from the first input: names or width, and how to extract values.

The kinds of features are not learned (`radiosonde._ring.text_codes`), and the guess may be wrong: a flat list of three
numbers is a row of three features or three rows of one, a matrix is many rows or one image. The first answer decides
(`radiosonde._record.row_counts`); until then the reading is tentative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from radiosonde._record.encoding import listed
from radiosonde._record.envelopes import only_batch
from radiosonde._record.row_sequences import (
    first_item,
    is_pair_by_name,
    is_pair_with_row,
    of_view,
    row_width,
    without_keys,
)
from radiosonde._record.schema import Schema
from radiosonde._record.shapes import LOOKED_AT, Form, as_array, as_mapping, form_of_item, head, is_scalar, recognise
from radiosonde._record.summaries import TEXT_NAMES, WIDE_NAMES
from radiosonde._record.tables import table_of
from radiosonde._record.wrapped import fields_of, flat_content, opened, sizes_in
from radiosonde.model.feature_names import feature_names
from radiosonde.reference.containers import plain_column


class Learned(NamedTuple):
    """The schema learned from one value.

    Attributes:
        names: feature names by column; the numbered ones of a value without names.
        is_text: a row is one text.
        alternative: the rows of the other reading, as `Schema` splits them; None when there is no other.
    """

    names: Sequence[str]
    is_text: bool = False
    alternative: Alternative | None = None

    def schema(self, most: int) -> Schema:
        """Return the schema: the names, or the names of the summary if there are more than *most*."""
        return make_schema(self.names, most, is_text=self.is_text)


class Alternative(NamedTuple):
    """The other reading of a value.

    Attributes:
        values: values of one row.
        is_whole: an array of any number of axes is one row.
        within: of an envelope: what its only container of rows is read as.
    """

    values: int
    is_whole: bool
    within: Learned | None = None

    def schema(self, most: int) -> Schema:
        """Return the schema of this reading."""
        return (
            self.within.schema(most)
            if self.within is not None
            else make_schema(Numbered(self.values), most, is_whole=self.is_whole)
        )


class Numbered(Sequence[str]):
    """Generated names of unnamed features, created on access: there may be 10**12 of them."""

    def __init__(self, width: int) -> None:
        self._width = width

    def __len__(self) -> int:
        return self._width

    def __getitem__(self, place: Any) -> Any:
        chosen = range(self._width)[place]
        return f"f{chosen}" if isinstance(chosen, int) else [f"f{at}" for at in chosen]


def make_schema(names: Sequence[str], most: int, *, is_text: bool = False, is_whole: bool = False) -> Schema:
    """Return the schema of rows of these features; a summary of them when there are more than *most*."""
    if is_text:
        return Schema(TEXT_NAMES, reading="texts")
    if len(names) > most:
        return Schema(WIDE_NAMES, reading="wide", is_whole=is_whole)
    return Schema(list(names), is_whole=is_whole)


def learn(value: Any) -> Learned | None:
    """Learn the schema from *value*; return None if it has no readable row. Exceptions of the user's object propagate."""
    form = recognise(value)
    if form is Form.TEXT:
        return Learned((), is_text=True)
    if form is Form.ARRAY and not hasattr(value, "shape"):
        value = as_array(value)
    if form in (Form.MAPPING, Form.OBJECT):
        return _learn_fields(fields_of(value, form), is_object=form is Form.OBJECT)
    table = table_of(value, form)
    if table is not None:
        if not table.width:
            return None
        is_matrix = form is Form.ARRAY and table.names is None and table.rows > 1
        other = Alternative(table.rows * table.width, is_whole=True) if is_matrix else None
        return Learned(table.names or Numbered(table.width), alternative=other)
    if form is Form.ARRAY:
        return _learn_column(value)
    if form is Form.SERIES:
        return _learn_series(value)
    if form is Form.SEQUENCE:
        return _learn_sequence(value)
    if form is Form.VIEW:
        content = of_view(value)
        return None if content is None else learn(content)
    return None


def _learn_fields(fields: Mapping[Any, Any], *, is_object: bool) -> Learned | None:
    """Learn from a mapping or the fields of an object: what it wraps, a table of columns, or one row."""
    if not fields:
        return None
    inner, table = opened(fields, frozenset(), is_object=is_object)
    if inner is not None:
        return learn(inner)
    if table is None:
        batch = only_batch(fields)
        within = None if batch is None else learn(batch.rows)
        other = (
            None
            if within is None
            else Alternative(len(within.names), is_whole=False, within=within._replace(alternative=None))
        )
        return Learned(feature_names(fields), alternative=other)
    # One column of values may be one row of them, under any name.
    is_flat = table.width == 1 and len(fields) == 1 and table.rows > 1
    return Learned(table.names or (), alternative=Alternative(table.rows, is_whole=False) if is_flat else None)


def learn_flat(value: Any) -> Learned | None:
    """Learn from a flat sequence: numbers are one row, texts are one row each."""
    count = len(value) if getattr(value, "shape", (1,)) else 0
    if not count:
        return None
    if holds_texts(value):
        return Learned((), is_text=True, alternative=Alternative(count, is_whole=False) if count > 1 else None)
    return Learned(Numbered(count), alternative=Alternative(1, is_whole=False) if count > 1 else None)


def holds_texts(value: Any) -> bool:
    """Whether a flat sequence holds texts, as far as its first items show."""
    items = [item for item in head(value) if item is not None]
    return bool(items) and all(isinstance(item, str) for item in items)


class ColumnOfRows(Sequence[Any]):
    """A column of any library whose items are rows, as a sequence: sliced first, then converted, so a slice costs only its own rows."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return listed(plain_column(self._column, place))
        return self[place : place + 1][0]


def rows_of_column(value: Any) -> Sequence[Any] | None:
    """Return a flat column of mappings, lists, arrays or objects as a sequence of rows; None for a column of values.

    Of a column that holds both, it is one row, in which a list is a value that cannot be read.
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind in "fiubcmM" or not hasattr(value, "__len__") or not len(value):
        return None
    rows = ColumnOfRows(value)
    items = [item for item in rows[:LOOKED_AT] if item is not None]
    return None if not items or any(is_scalar(form_of_item(item)) for item in items) else rows


def _learn_sequence(value: Sequence[Any]) -> Learned | None:
    if not len(value):
        return None
    first = first_item(value)
    form = form_of_item(first)
    if is_scalar(form):
        return learn(value[1]) if type(value) is tuple and is_pair_by_name(value) else learn_flat(value)
    if is_pair_with_row(first):
        return _learn_sequence(without_keys(value))
    if form in (Form.ARRAY, Form.SEQUENCE):
        width = row_width(first, form)
        other = Alternative(len(value) * width, is_whole=True) if len(value) > 1 else None
        return Learned(Numbered(width), alternative=other) if width else None
    wrapped = flat_content(fields_of(first, form), frozenset()) if form in (Form.MAPPING, Form.OBJECT) else None
    learned = learn(first) if wrapped is None else _learn_sequence([wrapped])
    return None if learned is None else learned._replace(alternative=None)


def _learn_series(value: Any) -> Learned | None:
    labels = row_labels(value)
    if labels is not None:
        return Learned(feature_names(labels), alternative=None if is_named(labels) else _of_series(value))
    return _learn_column(value)


def _learn_column(value: Any) -> Learned | None:
    rows = rows_of_column(value)
    return learn_flat(value) if rows is None else _learn_sequence(rows)


def _of_series(value: Any) -> Alternative | None:
    return Alternative(1, is_whole=False) if len(value) > 1 else None


def row_labels(value: Any) -> Sequence[Any] | None:
    """Return the labels of a pandas Series that may be one row; None for a column: texts or rows labelled by position."""
    index = getattr(value, "index", None)
    if index is None or not hasattr(type(value), "to_dict"):
        return None
    labels: Sequence[Any] = index
    if is_named(labels):
        return labels
    return None if holds_texts(value) or rows_of_column(value) is not None else labels


def is_named(labels: Sequence[Any]) -> bool:
    """Whether labels are names: the first of them is a text."""
    return len(labels) > 0 and isinstance(labels[0], str)


def as_row(value: Any) -> Mapping[Any, object] | None:
    """Return a pandas Series that may be one row as a mapping, None for a column."""
    return None if row_labels(value) is None else as_mapping(value)


def count_rows(value: object) -> int | None:
    """Return the number of rows of an input that is not recorded, None if unknown; its exceptions propagate."""
    form = recognise(value)
    if form in (Form.MAPPING, Form.OBJECT):
        fields = fields_of(value, form)
        inner, table = opened(fields, frozenset(), is_object=form is Form.OBJECT)
        if inner is not None:
            return count_rows(inner)
        return table.rows if table is not None else None if sizes_in(fields, Form.MAPPING) else 1
    table = table_of(value, form)
    if table is not None:
        return table.rows
    if form is Form.VIEW:
        content = of_view(value)
        return None if content is None else count_rows(content)
    if form is Form.SEQUENCE and isinstance(value, Sequence):
        if not len(value) or not is_scalar(form_of_item(first_item(value))):
            return len(value)
        return count_rows(value[1]) if type(value) is tuple and is_pair_by_name(value) else None
    return 1 if form is Form.TEXT else None
