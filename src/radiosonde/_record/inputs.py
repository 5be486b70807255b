"""Copies a call's features into the ring: a row into its slot, a batch into the arena.

The readers for the commonest inputs (a float array of one row, a dict) are the hot path and written for it; everything
else is a flat sequence of values, a table, or a sequence of rows, with one reader for each. Inputs that cannot be read are counted by
reason, and the prediction still counts.

The rows of a batch to keep are chosen by their number before any of them is read: at most what fits into half the arena, and at most
`SLOW_VALUES` values that have to be read one by one. The cost of a batch to its caller is therefore bounded for any size and container
(``docs/limits.md``).

Measured per row of 30 (bench_record): array 0.2 us, dict 1.0 us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._record.blocks import (
    EMPTY,
    FLAT_ROW,
    NO_ROW,
    ONE_ROW,
    OTHER_WIDTH,
    Doubtful,
    Recorded,
    RowBlocks,
    Unread,
    doubtful,
)
from radiosonde._record.costs import ROW_VALUES, SERIES_VALUES, SLOW_VALUES, TEXT_ROWS, WIDE_VALUES
from radiosonde._record.encoding import Encoder, listed
from radiosonde._record.envelopes import Content, only_batch
from radiosonde._record.input_losses import InputLosses, OtherWidthError
from radiosonde._record.learning import as_row, rows_of_column
from radiosonde._record.named_rows import NamedRows
from radiosonde._record.row_sequences import (
    as_named,
    first_item,
    flattened,
    is_pair_by_name,
    is_pair_with_row,
    of_view,
    row_width,
    without_keys,
)
from radiosonde._record.schema import INVALID, NAN, Schema
from radiosonde._record.shapes import (
    TYPES_KNOWN,
    Form,
    as_mapping,
    form_of_item,
    is_scalar,
    recognise,
)
from radiosonde._record.summaries import (
    CHUNK_VALUES,
    READ_VALUES,
    stride_of,
    summarise,
    summarise_sparse,
    summarise_texts,
)
from radiosonde._record.tables import InputTable, pieces, table_of
from radiosonde._record.wrapped import (
    PLAIN,
    TABLES,
    FieldReader,
    flat_content,
    holds_chunks,
    opened,
    sizes_in,
)
from radiosonde._ring.ring import Ring
from radiosonde.model.iteration import items_of
from radiosonde.model.losses import FEATURE_VALUES_UNKNOWN, FEATURES_UNREADABLE, FEATURES_WIDTH
from radiosonde.reference.containers import EVERY, Rows, cut, part_of, plain_column
from radiosonde.reference.values import is_masked

_DOUBLES = "dfe?bhilqBHILQ"
"""Types of numpy's that fit into a double without a warning: all numbers but complex and extended ones."""

Writer = Callable[[Any, int, int], Recorded]


class InputWriter:
    """Writes the features of one model's calls.

    Args:
        schema: names and kinds of the features.
        ring: the destination.
        guard: counts losses.

    Attributes:
        blocks: places for rows.
        by_type: how to write a value, by its type; bounded.
        is_tentative: whether the first answer may show that rows are taken apart another way.
        may_be_envelope: whether answers may show that rows by name are envelopes.
    """

    def __init__(self, schema: Schema, ring: Ring, guard: Guard) -> None:
        self._schema = schema
        self._ring = ring
        self._guard = guard
        self.is_tentative = self.may_be_envelope = False
        self.blocks = RowBlocks(ring, schema.width, guard)
        self._encoder = Encoder(schema, guard)
        self._losses = InputLosses(guard, schema.width)
        self._named = NamedRows(schema, guard)
        self._row_shapes = ((1, schema.width), (schema.width,)) if schema.is_plain else ()
        self._texts = list(schema.categorical)
        self._fields_of = FieldReader()
        self.by_type: dict[type, Writer] = {}
        self._forget_types()

    def _forget_types(self) -> None:
        self._fields_of.forget()
        self.by_type.clear()
        self.by_type[np.ndarray] = self._array
        if self._schema.reading == "columns":
            self.by_type[dict] = self._fast_dict()

    def _fast_dict(self) -> Writer:
        if self._schema.hidden:
            return self._mapping
        return self._dict_with_texts if self._texts else self._dict

    def write(self, value: object, slot: int, index: int) -> Recorded:
        """Copy the features of *value* into *slot* (or the arena) and return the result."""
        writer = self.by_type.get(type(value))
        if writer is None:
            if len(self.by_type) >= TYPES_KNOWN:
                self._forget_types()
            writer = self.by_type[type(value)] = self._writer_for(recognise(value))
        return writer(value, slot, index)

    def _writer_for(self, form: Form) -> Writer:
        writers: dict[Form, Writer] = {
            Form.ARRAY: lambda value, slot, index: self._tabular(value, Form.ARRAY, slot, index),
            Form.SPARSE: lambda value, slot, index: self._tabular(value, Form.SPARSE, slot, index),
            Form.DMATRIX: lambda value, slot, index: self._tabular(value, Form.DMATRIX, slot, index),
            Form.FRAME: lambda value, slot, index: self._tabular(value, Form.FRAME, slot, index),
            Form.SERIES: self._series,
            Form.MAPPING: self._mapping,
            Form.SEQUENCE: self._sequence,
            Form.OBJECT: self._object,
            Form.TEXT: self._text,
            Form.VIEW: self._view,
            Form.LAZY: self._losses.lazy,
            Form.UNKNOWN: self._losses.unreadable,
        }
        return writers[form]

    # One row, fast ---------------------------------------------------------------------------------------------------

    def _array(self, value: NDArray[Any], slot: int, index: int) -> Recorded:
        shape = value.shape
        if shape in self._row_shapes and value.dtype.char in _DOUBLES:
            self._ring.rows[slot] = value
            return FLAT_ROW if self.is_tentative and len(shape) == 1 and shape[0] > 1 else ONE_ROW
        return self._tabular(value, Form.ARRAY, slot, index)

    def _dict(self, value: Mapping[str, object], slot: int, index: int) -> Recorded:
        schema = self._schema
        if len(value) == schema.width:
            try:
                # struct takes floats, integers, booleans and numpy scalars; anything else is for the slow path.
                schema.pack(self._ring.memory, self._ring.rows_offset + slot * schema.width * 8, *schema.pick(value))
            except Exception:  # noqa: BLE001, S110 - None, text, a lacking name, any ``__float__``: read value by value below
                pass
            else:
                return ONE_ROW
        return self._mapping(value, slot, index)

    def _dict_with_texts(self, value: Mapping[str, object], slot: int, index: int) -> Recorded:
        schema = self._schema
        if len(value) == schema.width:
            try:
                row: list[Any] = list(schema.pick(value))
                for position, codes in self._texts:
                    row[position] = codes.codes.get(row[position])
                schema.pack(self._ring.memory, self._ring.rows_offset + slot * schema.width * 8, *row)
            except Exception:  # noqa: BLE001, S110 - also an unknown category, which is None here and gets its code below
                pass
            else:
                return ONE_ROW
        return self._mapping(value, slot, index)

    def _notice_texts(self) -> None:
        """Make the fast path for dicts encode texts in the features that have held texts."""
        if self._schema.text_features > len(self._texts):
            codes = enumerate(self._schema.codes)
            self._texts = [(place, known) for place, known in codes if known is not None and known.names]
            self._forget_types()

    # One row by name -------------------------------------------------------------------------------------------------

    def _mapping(self, value: Any, slot: int, index: int) -> Recorded:
        return self._fields(as_mapping(value), slot, index)

    def _object(self, value: object, slot: int, index: int) -> Recorded:
        return self._fields(self._fields_of.mapping(value), slot, index, is_object=True)

    def _fields(self, fields: Mapping[Any, Any], slot: int, index: int, *, is_object: bool = False) -> Recorded:
        """Record the fields of a mapping or an object: one row, a table of columns, or what it wraps."""
        first = next(iter(items_of(fields.values())), None)
        if type(first) not in PLAIN:
            known = self._schema.known
            inner, table = opened(fields, known, is_object=is_object)
            if inner is not None:
                return self.write(inner, slot, index)
            if table is None or known.isdisjoint(table.names or ()):
                inner = flat_content(fields, known)
                if inner is None and table is not None and self._places(table) is None:
                    inner = self._named.batch_in(
                        fields
                    )  # as many rows as entries beside them: names, an index, weights
                if inner is not None:
                    return self.write(inner, slot, index)
            if table is not None:
                return self._table(table, slot, index)
        return self._named_row(fields, slot, index)

    def _named_row(self, value: Mapping[Any, object], slot: int, index: int) -> Recorded:
        row = self._named.values(value)
        is_plain = all(type(each) in PLAIN for each in items_of(value.values()))
        if row is None and not is_plain:
            inner = self._named.batch_in(value)
            if inner is not None:
                recorded = self.write(inner, slot, index)
                # One answer to all of them shows that they are a value of one row.
                is_settled = isinstance(recorded, Unread) or recorded.rows == 1
                return recorded if is_settled else doubtful(recorded, {1}, FEATURES_UNREADABLE, 0)
        if row is None:
            self._losses.other_width(1, "none of its names is one of them")
        recorded = NO_ROW if row is None else self._one_row(row, slot)
        sizes = None if is_plain else self._guard.attempt(sizes_in, value, Form.MAPPING)
        if isinstance(sizes, Exception) or not sizes:
            return recorded
        made = (
            doubtful(recorded, sizes, FEATURES_UNREADABLE, 0) if row else doubtful(recorded, sizes, FEATURES_WIDTH, 1)
        )
        if self.may_be_envelope:
            batch = self._guard.attempt(only_batch, value)
            made.within = batch.size if isinstance(batch, Content) else None
        return made

    def _one_row(self, values: Sequence[object], slot: int) -> Recorded:
        if self._schema.reading == "wide":
            self._ring.rows[slot] = self._encoder.wide_row(values)
        else:
            number = self._encoder.number
            self._ring.rows[slot] = [number(position, value) for position, value in enumerate(values)]
            self._notice_texts()
        return ONE_ROW

    # Flat sequences --------------------------------------------------------------------------------------------------

    def _flat(self, value: Any, slot: int, index: int) -> Recorded:
        """Record a flat sequence of values: one row of them, or rows of one value each."""
        count, schema = len(value), self._schema
        if not count:
            return EMPTY
        if schema.reading == "texts":
            kept, recorded = self.blocks.plan(count, index, -(-count // TEXT_ROWS))
            return self.blocks.store(summarise_texts(listed(plain_column(value, kept))), recorded, slot)
        if schema.reading == "wide":
            self._one_row(value, slot)
            return FLAT_ROW if self.is_tentative else ONE_ROW
        if schema.width == count:
            recorded = self._one_row(listed(plain_column(value)), slot)
            return FLAT_ROW if self.is_tentative and count > 1 else recorded
        if schema.width == 1:
            return self._table(
                InputTable(count, 1, column=lambda _, kept: plain_column(value, kept), slow=1), slot, index
            )
        self._losses.other_width(1, f"it has {count} values")
        return OTHER_WIDTH

    def _fits(self, row: Any) -> bool:
        return self._schema.reading != "columns" or row_width(row, form_of_item(row)) == self._schema.width

    def _text(self, value: str, slot: int, index: int) -> Recorded:
        is_expected = self._schema.reading == "texts" or self._schema.width == 1
        return self._flat([value], slot, index) if is_expected else self._losses.unreadable(value, slot, index)

    def _series(self, value: Any, slot: int, index: int) -> Recorded:
        row = as_row(value)
        if row is None:
            return self._column(value, slot, index)
        is_named = any(isinstance(label, str) for label in row)
        if is_named or not self._schema.known.isdisjoint(map(str, row)):
            recorded = self._named_row(row, slot, index)
            return FLAT_ROW if recorded is ONE_ROW and self.is_tentative and not is_named else recorded
        return self._column(value, slot, index)  # labelled by places in some frame

    def _column(self, value: Any, slot: int, index: int) -> Recorded:
        """Record a column of any library: of values, or of rows."""
        rows = rows_of_column(value)
        return self._flat(value, slot, index) if rows is None else self._sequence(rows, slot, index)

    def _sequence(self, value: Sequence[Any], slot: int, index: int) -> Recorded:
        if not len(value):
            return EMPTY
        first = first_item(value)
        form = form_of_item(first)
        if is_scalar(form):
            is_pair = type(value) is tuple and is_pair_by_name(value)
            return self.write(value[1], slot, index) if is_pair else self._flat(value, slot, index)
        if form is Form.SEQUENCE and len(first) == 2:
            content = as_named(value, self._schema.known) or (without_keys(value) if is_pair_with_row(first) else None)
            if content is not None:
                return self.write(content, slot, index)
        if self._schema.is_whole and form in (Form.ARRAY, Form.SEQUENCE):
            return self._flat(flattened(value), slot, index)
        return self._chunks(value, form, slot, index) if holds_chunks(value) else self._items(value, form, slot, index)

    def _view(self, value: Any, slot: int, index: int) -> Recorded:
        content = of_view(value)
        return self._losses.unreadable(value, slot, index) if content is None else self.write(content, slot, index)

    def _chunks(self, value: Sequence[Any], form: Form, slot: int, index: int) -> Recorded:
        """Record a sequence of frames or matrices: each is a row (an image), or a part of a batch, as the answers show."""
        first = first_item(value)
        is_fitting = form not in TABLES and self._fits(first) and self._fits(value[-1])
        if len(value) == 1 and not is_fitting and (form in TABLES or self._fits(first_item(first))):
            return self.write(first, slot, index)
        sizes = sizes_in(value, Form.SEQUENCE, 0)
        if is_fitting:
            return doubtful(self._items(value, form, slot, index), sizes, FEATURES_UNREADABLE, 0)
        self._losses.other_width(len(value), "it is a sequence of tables; concatenate them")
        return doubtful(self.blocks.reserve(len(value), index), sizes, FEATURES_WIDTH, len(value))

    # Sequences of rows -----------------------------------------------------------------------------------------------

    def _items(self, value: Sequence[Any], form: Form, slot: int, index: int) -> Recorded:
        schema = self._schema
        is_wide = schema.reading == "wide"
        first = first_item(value)
        width = min(len(first), READ_VALUES) if is_wide and hasattr(type(first), "__len__") else schema.width
        # A value of a row by name costs about as much as two of a column.
        cost = 2 * width + (SERIES_VALUES if form is Form.SERIES else ROW_VALUES)
        kept, recorded = self.blocks.plan(len(value), index, -(-len(value) * cost // SLOW_VALUES))
        found = [self._guard.attempt(self._row_of, item, form) for item in cut(value, kept)]
        rows = [row for row in found if not isinstance(row, Exception)]
        if len(rows) < len(found):
            if not self._losses.of_items(found, recorded):
                return recorded  # as of a table without one of the features: its rows are in no cell
            # Rows that are lost are in no cell either: the block holds the others only.
            recorded = recorded._replace(kept=len(rows))
        if is_wide:
            return self.blocks.store(np.array([self._encoder.wide_row(row) for row in rows]), recorded, slot)
        return self._store_columns([list(column) for column in zip(*rows, strict=True)], recorded, slot)

    def _row_of(self, item: Any, form: Form) -> Sequence[object]:
        """Return the values of one row of a sequence. Exceptions of the item propagate.

        Raises:
            OtherWidthError: it does not have these features.
        """
        is_by_value = self._schema.reading == "columns"
        if form is Form.MAPPING and type(item) is dict and is_by_value and item.keys() == self._schema.known:
            return self._schema.pick(item)
        row = as_row(item) if form is Form.SERIES else None
        if row is not None:
            return self._named.item(row)
        if form is Form.OBJECT:
            names, found = self._fields_of.read(item)
            if is_by_value and names == self._schema.names:
                return found
        if form in (Form.MAPPING, Form.OBJECT):
            fields = as_mapping(item) if form is Form.MAPPING else self._fields_of.mapping(item)
            inner = flat_content(fields, self._schema.known)
            return self._named.item(fields) if inner is None else self._row_of(inner, form_of_item(inner))
        if form is Form.SEQUENCE:
            flat = flattened(item)
        else:
            flat = list(listed(plain_column(part_of(item, EVERY).reshape(-1))))
        if is_by_value and len(flat) != self._schema.width:
            raise OtherWidthError(f"it has {len(flat)} values")
        return flat

    # Tables ----------------------------------------------------------------------------------------------------------

    def _tabular(self, value: Any, form: Form, slot: int, index: int) -> Recorded:
        if form is Form.ARRAY and not hasattr(value, "shape"):
            value = part_of(value, EVERY)
        if form is Form.ARRAY and self._schema.is_whole and len(value.shape) > 1:
            return self._flat(part_of(value, EVERY).reshape(-1), slot, index)
        table = table_of(value, form)
        if table is not None:
            return self._table(table, slot, index)
        if not len(value.shape):
            self._losses.other_width(1, "it is one value")
            return NO_ROW
        return self._column(value, slot, index)

    def _table(self, table: InputTable, slot: int, index: int) -> Recorded:
        schema, rows = self._schema, table.rows
        if not rows:
            return EMPTY
        if schema.reading == "wide":
            return self._wide_table(table, slot, index)
        places = self._places(table)
        if places is None:
            self._losses.other_width(
                rows, f"it has {table.width} columns" if table.names is None else "none of its columns is one of them"
            )
            return self.blocks.reserve(rows, index)
        slow = max(table.slow, len(schema.categorical))
        kept, recorded = self.blocks.plan(rows, index, -(-rows * slow // SLOW_VALUES))
        if table.doubles is not None and schema.is_plain and recorded.position and not isinstance(kept, slice):
            # Without a copy in between, which takes three times as long (bench_batch); the places are within bounds.
            np.take(table.doubles, kept, axis=0, out=self.blocks.target(recorded, slot), mode="clip")
            return self.blocks.stored(recorded)
        if table.matrix is not None:
            return self._matrix(table.matrix(kept), recorded, slot)
        self._encoder.begin_batch()
        block = self.blocks.target(recorded, slot)
        for place_in_block, piece in pieces(kept, rows):
            for position, place in enumerate(places):
                block[place_in_block, position] = (
                    NAN if place is None else self._column_of(table, place, piece, position)
                )
        self._notice_texts()
        return self.blocks.stored(recorded)

    def _column_of(self, table: InputTable, place: int, piece: Rows, position: int) -> NDArray[np.float64] | float:
        column = self._guard.attempt(table.read, place, piece)
        if isinstance(column, Exception):
            self._guard.warn("features", "A column of features cannot be read (%s)", type(column).__name__)
            return INVALID
        return self._encoder.column(position, column)

    def _places(self, table: InputTable) -> Sequence[int | None] | None:
        """Return per feature its column of the table, None for a lacking one; None when no column is a feature's."""
        schema = self._schema
        if table.names is None or table.matrix is not None:
            return range(schema.width) if table.width == schema.width and schema.reading == "columns" else None
        known = {name: place for place, name in enumerate(table.names)}
        places = [known.get(name) for name in schema.names]
        found = len(places) - places.count(None)
        if not found:
            # Columns numbered for want of names are identified by position, like columns of an array.
            is_numbered = table.width == schema.width and table.names == list(map(str, range(table.width)))
            return range(schema.width) if is_numbered and schema.reading == "columns" else None
        if table.width > found:
            self._guard.lose(FEATURE_VALUES_UNKNOWN, table.rows)
        return places

    def _matrix(self, part: Any, recorded: Recorded, slot: int) -> Recorded:
        dense = part.toarray() if hasattr(part, "tocsr") else part
        if dense.dtype.kind in "fiub" and self._schema.is_plain and not is_masked(dense):
            return self.blocks.store(dense, recorded, slot)
        self._encoder.begin_batch()
        block = self.blocks.target(recorded, slot)
        for piece, _ in pieces(EVERY, len(dense)):
            for position in range(dense.shape[1]):
                block[piece, position] = self._encoder.column(position, plain_column(dense[piece, position]))
        self._notice_texts()
        return self.blocks.stored(recorded)

    def _store_columns(self, columns: Sequence[list[Any]], recorded: Recorded, slot: int) -> Recorded:
        """Write columns."""
        self._encoder.begin_batch()
        block = self.blocks.target(recorded, slot)
        for position, column in enumerate(columns):
            block[:, position] = self._encoder.column(position, column)
        self._notice_texts()
        return self.blocks.stored(recorded)

    def _wide_table(self, table: InputTable, slot: int, index: int) -> Recorded:
        stride = stride_of(table.width)
        read = -(-table.width // stride)
        bound = SLOW_VALUES if table.slow or table.matrix is None else WIDE_VALUES
        kept, recorded = self.blocks.plan(table.rows, index, -(-table.rows * read // bound))
        if table.matrix is None:
            numbers = [self._encoder.numbers(table.read(place, kept)) for place in range(0, table.width, stride)]
            block = summarise(np.stack(numbers, axis=1))
            block[:, 0] = table.width
            return self.blocks.store(block, recorded, slot)
        part = table.matrix(kept)
        if hasattr(part, "tocsr"):
            return self.blocks.store(summarise_sparse(part), recorded, slot)
        if part.dtype.kind in "fiub" and not is_masked(part):
            return self.blocks.store(summarise(part), recorded, slot)
        step = max(1, CHUNK_VALUES // read)
        for start in range(0, len(part), step):
            numbers_of = self._encoder.numbers(plain_column(part[start : start + step].reshape(-1)))
            self.blocks.target(recorded, slot)[start : start + step] = summarise(numbers_of.reshape(-1, table.width))
        return self.blocks.stored(recorded)

    def reread(self, recorded: Doubtful, rows: int, index: int) -> Recorded:
        """Return the result for an input that holds a batch of *rows*, as its answers show; its features are lost."""
        self._losses.other_rows(recorded, rows)
        return self.blocks.reserve(rows, index)
