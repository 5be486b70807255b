"""Rows in containers that are no sequence of rows themselves: pairs of a key and a row, views of a dict, sets, rows under given names.

``DataFrame.iterrows()``, ``enumerate(rows)``, ``dict.items()``, ``zip(ids, rows)`` and ``DataFrame.groupby()`` give pairs. The key names the row
and is no feature. A pair is a tuple of a key (a value, or a tuple of values) and a row; a list is one only if its row has names, as in
``[["id", {...}], ...]`` of JSON, since a list of two may be a row of two features.

Nothing is copied here: a row is taken from its container when it is read, so a batch of millions costs what its kept rows cost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, ItemsView, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from radiosonde._record.shapes import LOOKED_AT, Form, as_array, form_of_item, is_scalar, recognise
from radiosonde.model.iteration import items_of
from radiosonde.reference.containers import cut, passed_at

_BY_NAME: Final = (Form.MAPPING, Form.OBJECT, Form.FRAME)
_ROWS: Final = (*_BY_NAME, Form.SERIES, Form.ARRAY, Form.SEQUENCE)


class Viewed(Sequence[Any]):
    """The items of a container without places, in its order."""

    def __init__(self, items: Collection[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return list(islice(self._items, *place.indices(len(self))))
        return next(islice(self._items, range(len(self))[place], None))

    def items_at(self, places: NDArray[np.intp]) -> list[Any]:
        """Return the items at ascending *places*."""
        return passed_at(self._items, places)


class Mapped(Sequence[Any]):
    """The items of a sequence as *read* returns them."""

    def __init__(self, items: Sequence[Any], read: Callable[[Any], Any]) -> None:
        self._items = items
        self._read = read

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return list(map(self._read, cut(self._items, place)))
        return self._read(self._items[place])

    def items_at(self, places: NDArray[np.intp]) -> list[Any]:
        """Return the items at ascending *places*."""
        return list(map(self._read, cut(self._items, places)))


def of_view(value: Any) -> Sequence[Any] | dict[Any, Any] | None:
    """Return the rows, or the one row of values, of a container without places; None for a set of values, which has no order.

    Items of a dict are the dict again, unless they are pairs of a key and a row with names.
    """
    items = Viewed(value)
    first = next((item for item in items[:LOOKED_AT] if item is not None), None)
    if isinstance(value, ItemsView) and len(items):
        return items if is_pair_by_name(first) else dict(value)
    return None if isinstance(value, AbstractSet) and is_scalar(form_of_item(first)) and len(items) else items


def is_pair_with_row(item: Any) -> bool:
    """Whether *item* is a key and a row."""
    if type(item) is not tuple and type(item) is not list:
        return False
    if len(item) != 2:
        return False
    key, row = item
    form = form_of_item(row)
    if form not in (_ROWS if type(item) is tuple else _BY_NAME):
        return False
    parts = key if type(key) is tuple else (key,)
    return all(is_scalar(form_of_item(part)) for part in parts) and (form in _BY_NAME or len(row) > 0)


def is_pair_by_name(item: Any) -> bool:
    """Whether *item* is a key and a row with names, or a frame: of other pairs, a single one may be two features."""
    if not is_pair_with_row(item):
        return False
    form = form_of_item(item[1])
    return form in _BY_NAME or (form is Form.SERIES and isinstance(first_item(getattr(item[1], "index", ())), str))


def without_keys(pairs: Sequence[Any]) -> Sequence[Any]:
    """Return the rows of pairs; an item that is none is left as it is."""
    return Mapped(pairs, lambda item: item[1] if is_pair_with_row(item) else item)


def as_named(pairs: Sequence[Any], known: Collection[str]) -> dict[str, Any] | None:
    """Return pairs of a known name and a value or column as the row or table that they are; None for other rows."""
    if len(pairs) > len(known):
        return None
    named = {
        pair[0]: pair[1]
        for pair in pairs
        if recognise(pair) is Form.SEQUENCE and len(pair) == 2 and isinstance(pair[0], str) and pair[0] in known
    }
    return named if len(named) == len(pairs) else None


def under_names(rows: Sequence[Any], names: Sequence[str]) -> Sequence[Any]:
    """Return rows of values as rows by name; one of another width is left as it is."""
    width = len(names)
    return Mapped(rows, lambda row: dict(zip(names, row, strict=True)) if len(row) == width else row)


def first_item(value: Sequence[Any]) -> Any:
    """Return the first item that is not None among the first `LOOKED_AT`."""
    return next((item for item in cut(value, slice(LOOKED_AT)) if item is not None), None)


def is_nested(row: Sequence[Any]) -> bool:
    """Whether a row holds rows itself."""
    return len(row) > 0 and form_of_item(row[0]) in (Form.SEQUENCE, Form.ARRAY)


def flattened(row: Any) -> list[Any]:
    """Return the values of rows in rows, one by one: as an array, [1, "2"] would be text throughout."""
    if form_of_item(row) is Form.ARRAY:
        return list(as_array(row).reshape(-1).tolist())
    rows = items_of(row)
    return list(items_of(value for item in rows for value in flattened(item))) if is_nested(row) else list(rows)


def row_width(item: Any, form: Form) -> int:
    """Return the number of values of an item of a sequence of rows, including nested ones."""
    if form is Form.ARRAY:
        return int(np.prod([int(axis) for axis in items_of(getattr(item, "shape", np.shape(item)))], dtype=np.int64))
    if is_nested(item):
        return len(item) * row_width(item[0], recognise(item[0]))
    return len(item)
