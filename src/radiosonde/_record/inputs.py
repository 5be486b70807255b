"""Copies a call's features into the ring: a row into its slot, a batch into the arena.

The readers for the commonest inputs (a float array of one row, a dict) are the hot path and written for it; everything
else goes through `_convert`, which is defined for every object. What cannot be read is counted by reason, and the
prediction still counts.

Measured per row of 30 (bench_record): array 0.2 us, dict 1.0 us.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._record.schema import INVALID, NAN, Schema
from radiosonde._record.shapes import Form, as_array, as_mapping, attribute_names, column, column_names, recognise
from radiosonde._ring import Ring
from radiosonde._ring.layout import BATCH_OUTPUTS, INPUT_NONE, INPUT_ROW
from radiosonde.model import LONGEST_NAME, name_of
from radiosonde.model.losses import (
    BATCH_REFUSED,
    FEATURE_VALUES_UNKNOWN,
    FEATURES_UNREADABLE,
    FEATURES_WIDTH,
)
from radiosonde.model.names import REPLACED


class Recorded(NamedTuple):
    """What became of a call's features.

    Attributes:
        rows: rows of the call.
        position: arena position + 1 of the batch's block; 0 for a single row.
        kept: rows in the block.
        step: every step-th row is kept.
        kind: `INPUT_ROW` when features were recorded, else `INPUT_NONE`.
    """

    rows: int
    position: int
    kept: int
    step: int
    kind: int


ONE_ROW = Recorded(1, 0, 1, 1, INPUT_ROW)
NO_ROW = Recorded(1, 0, 1, 1, INPUT_NONE)
EMPTY = Recorded(0, 0, 0, 1, INPUT_NONE)

_MISSING_TYPES = {"NAType", "NaTType"}
"""pandas' NA and NaT, which raise when asked whether they are true; named, so that pandas need not be imported."""

_MIX_FIRST, _MIX_SECOND, _WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, (1 << 64) - 1
"""Two multiplications with a fold between: spread record indices over the offsets of a thinned batch, so no row is favoured."""


class InputWriter:
    """Writes the features of one model's calls.

    Args:
        schema: names and kinds of the features.
        ring: where to.
        guard: counts what is lost.
    """

    def __init__(self, schema: Schema, ring: Ring, guard: Guard) -> None:
        self._schema = schema
        self._ring = ring
        self._guard = guard
        self._row_shape = (schema.width,)
        self._row_shapes = ((1, schema.width), self._row_shape)
        self._positions = {name: position for position, name in enumerate(schema.names)}
        self._getters: dict[type, Callable[[Any], tuple[object, ...]]] = {}
        self.by_type: dict[type, Callable[[Any, int, int], Recorded]] = {
            np.ndarray: self._array,
            dict: self._fast_dict(),
        }

    def _fast_dict(self) -> Callable[[Any, int, int], Recorded]:
        if self._schema.hidden:
            return lambda value, slot, index: self._mapping(value, slot)
        return self._dict_with_categories if self._schema.categorical else self._dict

    def write(self, value: object, slot: int, index: int) -> Recorded:
        """Copy the features of *value* into *slot* (or the arena) and say what became of them."""
        writer = self.by_type.get(type(value))
        if writer is None:
            writer = self.by_type[type(value)] = self._writer_for(recognise(value))
        return writer(value, slot, index)

    def _writer_for(self, form: Form) -> Callable[[Any, int, int], Recorded]:
        return {
            Form.ARRAY: lambda value, slot, index: self._array(as_array(value), slot, index),
            Form.FRAME: self._frame,
            Form.MAPPING: lambda value, slot, index: self._mapping(as_mapping(value), slot),
            Form.SEQUENCE: self._sequence,
            Form.OBJECT: lambda value, slot, index: self._mapping(self._attributes(value), slot),
            Form.UNKNOWN: self._unreadable,
        }[form]

    # One row, fast ---------------------------------------------------------------------------------------------------

    def _array(self, value: NDArray[Any], slot: int, index: int) -> Recorded:
        shape = value.shape
        if shape in self._row_shapes and not self._schema.categorical and not self._schema.hidden:
            plain = value.dtype.kind in "fiub"  # objects and text: numpy would take "3.5" for a number
            self._ring.rows[slot] = value if plain else self._convert(value.reshape(-1).tolist())
            return ONE_ROW
        return self._other_array(value, slot, index)

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
        return self._mapping(value, slot)

    def _dict_with_categories(self, value: Mapping[str, object], slot: int, index: int) -> Recorded:
        schema = self._schema
        if len(value) == schema.width:
            try:
                row: list[Any] = list(schema.pick(value))
                for position, codes in schema.categorical:
                    row[position] = codes.codes.get(row[position])
                schema.pack(self._ring.memory, self._ring.rows_offset + slot * schema.width * 8, *row)
            except Exception:  # noqa: BLE001, S110 - also an unknown category, which is None here and gets its code below
                pass
            else:
                return ONE_ROW
        return self._mapping(value, slot)

    # Everything else -------------------------------------------------------------------------------------------------

    def _mapping(self, value: Mapping[Any, object], slot: int) -> Recorded:
        row = self._named(value)
        if row is None:
            return NO_ROW
        self._ring.rows[slot] = row
        return ONE_ROW

    def _named(self, value: Mapping[Any, object]) -> list[float] | None:
        names = self._schema.names
        missing = object()
        values = [value.get(name, missing) for name in names]
        absent = sum(item is missing for item in values)
        if absent and self._has_other_names(value):
            by_text = {
                name_of(name): item for name, item in value.items()
            }  # labelled by position, as a pandas row may be
            values = [by_text.get(name, missing) for name in names]
            absent = sum(item is missing for item in values)
        if absent == len(names):
            self._guard.lose(FEATURES_WIDTH)
            return None
        if len(value) > len(names) - absent:
            self._guard.lose(FEATURE_VALUES_UNKNOWN)
        return self._convert([None if item is missing else item for item in values])

    def _has_other_names(self, value: Mapping[Any, object]) -> bool:
        """Say whether the row's own names may be other spellings of the schema's: no text, or text that had to be changed."""
        if any(not isinstance(name, str) for name in value):
            return True
        return any(REPLACED in name or len(name) == LONGEST_NAME for name in self._schema.names)

    def _attributes(self, value: object) -> Mapping[str, object]:
        kind = type(value)
        getter = self._getters.get(kind)
        names = attribute_names(value) or ()
        if getter is None:
            pick = operator.attrgetter(*names)
            getter = self._getters[kind] = pick if len(names) > 1 else lambda item: (pick(item),)
        return dict(zip(names, getter(value), strict=True))

    def _convert(self, values: Sequence[object]) -> list[float]:
        return [self._number(position, value) for position, value in enumerate(values)]

    def _number(self, position: int, value: object) -> float:
        number = self._guard.attempt(self._schema.number, position, value, self._guard.lose)
        if isinstance(number, Exception):
            return NAN if type(value).__name__ in _MISSING_TYPES else INVALID
        return number

    def _sequence(self, value: Sequence[Any], slot: int, index: int) -> Recorded:
        if not len(value):
            return EMPTY
        form = recognise(value[0])
        if form is Form.UNKNOWN:
            if len(value) != self._schema.width:
                self._guard.lose(FEATURES_WIDTH)
                return NO_ROW
            self._ring.rows[slot] = self._convert(value)
            return ONE_ROW
        nothing, rows = [NAN] * self._schema.width, []
        for item in value:
            row = self._guard.attempt(self._row_of, item, form)
            if isinstance(row, Exception):
                self._guard.lose(FEATURES_UNREADABLE)
                row = None
            rows.append(nothing if row is None else row)
        return self._matrix(np.array(rows, dtype=np.float64), slot, index)

    def _row_of(self, item: Any, form: Form) -> list[float] | None:
        """Return one row of a sequence; None when it has another width, counted. May raise what the item raises."""
        if form is Form.MAPPING:
            return self._named(as_mapping(item))
        if form is Form.OBJECT:
            return self._named(self._attributes(item))
        # Lists value by value: as an array, [1, "2"] would be text throughout and [1, None] would lose the difference.
        flat = list(item) if form is Form.SEQUENCE else as_array(item).reshape(-1).tolist()
        if len(flat) != self._schema.width:
            self._guard.lose(FEATURES_WIDTH)
            return None
        return self._convert(flat)

    def _frame(self, value: Any, slot: int, index: int) -> Recorded:
        names = column_names(value) or []
        places = {name: place for place, name in enumerate(names)}
        columns: list[NDArray[np.float64] | None] = []
        rows = len(value)
        for position, name in enumerate(self._schema.names):
            if name in places:
                columns.append(self._column(column(value, places[name], name), position))
            else:
                columns.append(None)
        absent = sum(item is None for item in columns)
        if absent == len(columns):
            self._guard.lose(FEATURES_WIDTH, rows)
            return self._block(rows, index)
        if len(names) > len(columns) - absent:
            self._guard.lose(FEATURE_VALUES_UNKNOWN, rows)
        matrix = np.empty((rows, len(columns)))
        for position, filled in enumerate(columns):
            matrix[:, position] = NAN if filled is None else filled
        return self._matrix(matrix, slot, index)

    def _column(self, values: NDArray[Any], position: int) -> NDArray[np.float64]:
        codes = self._schema.codes[position]
        if codes is None and values.dtype.kind in "fiub":
            numbers = values.astype(np.float64)
            if position in self._schema.hidden:
                numbers = np.where(np.isnan(numbers), NAN, np.where(np.isinf(numbers), INVALID, 0.0))
            return numbers
        known = codes.codes if codes is not None else {}
        numbers = np.empty(len(values))
        for place, value in enumerate(values.tolist()):
            code = known.get(value) if known and isinstance(value, str) else None
            numbers[place] = self._number(position, value) if code is None else code
        return numbers

    def _other_array(self, value: NDArray[Any], slot: int, index: int) -> Recorded:
        width = self._schema.width
        if value.ndim == 1 and value.shape == self._row_shape:
            value = value.reshape(1, width)
        if value.ndim != 2 or value.shape[1] != width:
            rows = value.shape[0] if value.ndim == 2 else 1
            self._guard.lose(FEATURES_WIDTH, rows)
            return self._block(rows, index)
        if value.dtype.kind not in "fiub" or self._schema.categorical or self._schema.hidden:
            converted = [self._column(value[:, position], position) for position in range(width)]
            value = np.stack(converted, axis=1)
        return self._matrix(value, slot, index)

    def _matrix(self, matrix: NDArray[Any], slot: int, index: int) -> Recorded:
        rows = len(matrix)
        if rows == 1:
            self._ring.rows[slot] = matrix[0]
            return ONE_ROW
        recorded = self._block(rows, index)
        if recorded.position:
            step, width = recorded.step, self._schema.width
            offset = first_row(index, step)
            self._ring.arena.block(recorded.position - 1, recorded.kept, width)[:] = matrix[offset::step]
            return recorded._replace(kind=INPUT_ROW)
        return recorded

    def _block(self, rows: int, index: int) -> Recorded:
        """Reserve the arena's block of a batch, thinned if it is too large; its features are not yet written."""
        if rows == 0:
            return EMPTY
        if rows == 1:
            return NO_ROW
        arena = self._ring.arena
        values_a_row = self._schema.width + BATCH_OUTPUTS
        fitting = arena.largest // values_a_row
        step = -(-rows // fitting) if fitting else 1
        kept = len(range(first_row(index, step), rows, step))
        position = arena.reserve(kept * values_a_row)
        if position < 0:
            self._guard.lose(BATCH_REFUSED, rows)
            return Recorded(rows, 0, 0, 1, INPUT_NONE)
        return Recorded(rows, position + 1, kept, step, INPUT_NONE)

    def _unreadable(self, value: object, slot: int, index: int) -> Recorded:
        self._guard.lose(FEATURES_UNREADABLE)
        self._guard.tell(
            "features", "Features of type %s cannot be read; give observe(..., input=a callable that returns a dict)",
            type(value).__name__,
        )  # fmt: skip
        return NO_ROW


def first_row(index: int, step: int) -> int:
    """Return the first kept row of batch *index* thinned to every *step*-th row: uniform over ``range(step)``.

    Uniform over any batches there are, say every tenth record: one multiplication alone is not, a second one after a
    fold is.
    """
    if step == 1:
        return 0
    mixed = (index + 1) * _MIX_FIRST & _WORD
    mixed = (mixed ^ mixed >> 32) * _MIX_SECOND & _WORD
    return (mixed >> 32) % step


def count_rows(value: object) -> int:
    """Return the rows of an input that is not recorded; may raise what the user's object raises."""
    form = recognise(value)
    if form is Form.FRAME:
        return len(value)  # type: ignore[arg-type]
    if form is Form.ARRAY:
        array = as_array(value)
        return int(array.shape[0]) if array.ndim == 2 else 1
    if form is Form.SEQUENCE and isinstance(value, Sequence):
        return len(value) if not len(value) or recognise(value[0]) is not Form.UNKNOWN else 1
    return 1


def learn_schema(value: object) -> Schema | None:
    """Return the schema of the first value seen; None when it has no readable row."""
    form = recognise(value)
    if form is Form.SEQUENCE and isinstance(value, Sequence) and len(value):
        inner = recognise(value[0])
        if inner is not Form.UNKNOWN:
            return learn_schema(value[0])
        return Schema.of_row(_numbered(len(value)), list(value))
    if form is Form.ARRAY:
        array = as_array(value)
        if array.ndim not in (1, 2) or array.shape[-1] == 0:
            return None
        row = array if array.ndim == 1 else array[:1].reshape(-1)
        return Schema.of_row(_numbered(array.shape[-1]), row.tolist() or [0.0] * array.shape[-1])
    if form is Form.FRAME:
        names = column_names(value) or []
        return (
            Schema.of_row(names, [_example(column(value, place, name)) for place, name in enumerate(names)])
            if names
            else None
        )
    if form in (Form.MAPPING, Form.OBJECT):
        row_by_name = as_mapping(value) if form is Form.MAPPING else _as_dict(value)
        return (
            Schema.of_row(
                [name if isinstance(name, str) else _printed(name) for name in row_by_name], list(row_by_name.values())
            )
            if row_by_name
            else None
        )
    return None


def _printed(name: object) -> str:
    """Return the text of a feature's name; raises what the name raises: such a row teaches nothing."""
    str(name)
    return name_of(name)


def _example(values: NDArray[Any]) -> object:
    """Return a value that tells the kind of a column: its first that is not missing; text when all are."""
    if values.dtype.kind in "fiubmM":
        return 0.0
    for value in values.tolist():
        is_missing = value is None or type(value).__name__ in _MISSING_TYPES or str(value) == "nan"
        if not is_missing:
            return value
    return ""


def _as_dict(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in attribute_names(value) or ()}


def _numbered(width: int) -> list[str]:
    return [f"f{position}" for position in range(width)]
