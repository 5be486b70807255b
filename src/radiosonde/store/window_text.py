"""A window as one JSON document, for carriers that have no tables.

Its names are the columns of table ``windows`` and, below ``features``, those of table ``features``, each with one value per feature. Both
follow from the declarations of the fields, as the tables do, so a document has every signal that a store has. Columns that a reader does
not know are ignored, and missing ones have their defaults: the processes of a fleet are never upgraded at once. Sketches are not in it: they
are most of the bytes of a window, and carriers have events for them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from radiosonde.model import Window
from radiosonde.model.fields import FLAG, INT, TEXT, UINT
from radiosonde.store.documents import places
from radiosonde.store.rows import (
    FEATURE_COLUMNS,
    JSON_COLUMNS,
    WINDOW_COLUMNS,
    FeaturePart,
    feature_rows,
    readable,
    to_json,
    unpacked,
    window_from,
    window_row,
)

_FEATURES = "features"
_JSON = frozenset(JSON_COLUMNS)
_PER_FEATURE = {place.path[0]: place.field for place in places() if place.column == _FEATURES}
_UNSIGNED = frozenset(name for name, field in _PER_FEATURE.items() if field.dtype == UINT)
"""Columns with unsigned numbers, which a row has as signed ones."""
_NESTED = frozenset(
    name for name, field in _PER_FEATURE.items() if len(field.axes) > 1 or field.dtype not in {INT, FLAG, TEXT, UINT}
)
"""Columns whose cells are JSON in a row."""


def window_text(window: Window, *, process: str, written_ns: int) -> str:
    """Return the document of *window*; *process* is used if the window names none.

    Raises:
        ValueError, TypeError, AttributeError, KeyError, OverflowError: no row can hold it.
    """
    row = window_row(window, process=process, written_ns=written_ns)
    parts = [
        f"{to_json(name)}:{unpacked(cell) if name in _JSON else to_json(cell)}"
        for name, cell in zip(WINDOW_COLUMNS[1:], row, strict=True)
        if cell is not None
    ]
    if window.features is not None:
        rows = feature_rows(window.features)
        columns = dict(zip(FEATURE_COLUMNS, zip(*rows, strict=True), strict=True)) if rows else {}
        parts.append(f"{to_json(_FEATURES)}:{{{','.join(_column(name, cells) for name, cells in columns.items())}}}")
    (text,) = readable([("{" + ",".join(parts) + "}",)])[0]
    return str(text)


def _column(name: str, cells: tuple[Any, ...]) -> str:
    return f"{to_json(name)}:[{','.join(cells if name in _NESTED else map(to_json, cells))}]"


def window_of_text(text: str) -> Window:
    """Return the window of a document, without sketches.

    Raises:
        ValueError, KeyError, TypeError: the document is damaged.
        StoreError: a table has another geometry than this version of Radiosonde counts with.
    """
    document = json.loads(text)
    columns = {name: document.get(name) for name in WINDOW_COLUMNS}
    held = document.get(_FEATURES, {})
    features = {
        name: np.array(held[name], dtype=np.int64).view(np.uint64) if name in _UNSIGNED else held[name]
        for name in _PER_FEATURE
        if name in held
    }
    return window_from(columns, FeaturePart(features))
