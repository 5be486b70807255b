"""Converts what a model returned for some rows to one column: numbers, or classes.

Floating-point answers are numbers. Integers, booleans and texts are classes, written as a category is (`radiosonde.model.feature_names`), so that
the class ``1`` of a model and the text ``"1"`` of a table are one. Of a matrix with two columns the second is the answer (the
probability of the second class), of a wider one the number of the largest column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import ConfigurationError
from radiosonde.model.feature_names import number_text
from radiosonde.reference.values import plain

Column = NDArray[Any]
"""One answer per row: doubles (NaN: missing), or objects that are texts (None: missing)."""


def answer_column(answer: Any, rows: int, key: str | None = None) -> Column:
    """Return the answers to *rows* rows.

    Args:
        answer: an array, a series, a frame, a tensor, a list with an answer per row, or a mapping of columns.
        rows: number of rows that were asked for.
        key: entry to use of answers that are mappings.

    Raises:
        ConfigurationError: there is another number of answers, or they cannot be converted.
    """
    if isinstance(answer, Mapping):
        answer = answer[_key([*answer], key)]
    found = _array(answer)
    if found.dtype == object and found.ndim == 1 and len(found) and isinstance(found[0], Mapping):
        chosen = _key([*found[0]], key)
        try:
            found = _array([each[chosen] for each in found])
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                f"an answer has no entry {chosen!r}; choose one that all have with --output"
            ) from error
    if found.ndim == 0 or found.ndim > 2 or len(found) != rows:
        shape = " x ".join(map(str, found.shape)) or "a single value"
        raise ConfigurationError(f"the model returned {shape} for {rows} rows; it must return one answer per row")
    return _classes_or_numbers(_narrowed(found))


def recorded_column(values: Any) -> Column:
    """Return a column of recorded answers (a list or an array of any library) in the same form."""
    return _classes_or_numbers(_array(values))


def aligned(a: Column, b: Column) -> tuple[Column, Column]:
    """Return two columns of one kind: numbers if one holds numbers and the other can be converted, else classes."""
    if (a.dtype == object) == (b.dtype == object):
        return a, b
    try:
        return _numbers(a), _numbers(b)
    except ValueError:
        return _classes(a), _classes(b)


def _key(names: Sequence[Any], key: str | None) -> Any:
    if key is not None:
        if key in names:
            return key
        raise ConfigurationError(f"answers have no entry {key!r}; they have: {', '.join(map(str, names))}")
    if len(names) == 1:
        return names[0]
    raise ConfigurationError(f"answers have several entries ({', '.join(map(str, names))}); choose one with --output")


def _array(values: Any) -> NDArray[Any]:
    if type(values).__module__.partition(".")[0] == "pyarrow":
        # Integers with nulls would become doubles, and classes would be numbers.
        is_number = str(values.type) in {"double", "float", "halffloat"}
        return np.asarray(values.to_numpy(zero_copy_only=False)) if is_number else _objects(values.to_pylist())
    if hasattr(values, "detach"):  # a tensor of PyTorch
        values = values.detach().cpu()
    for name in ("to_numpy", "numpy"):
        if not isinstance(values, np.ndarray) and callable(getattr(values, name, None)):
            values = getattr(values, name)()
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        return np.array(values, dtype=object)
    if isinstance(values, np.ndarray):
        return values
    try:
        kinds = {type(value) for value in values}
        if bool in kinds and len(kinds) > 1:  # numpy would turn True into 1.0
            return _objects(values)
        found = np.asarray(values)
    except (ValueError, TypeError):  # rows of different lengths
        return _objects(values)
    return _objects(values) if found.dtype.kind not in "biuf" else found


def _objects(values: Any) -> NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        found[place] = value
    return found


def _narrowed(found: NDArray[Any]) -> NDArray[Any]:
    """Return one column of a matrix."""
    if found.ndim == 1:
        return found
    if found.shape[1] <= 2:
        if not found.shape[1]:
            raise ConfigurationError("the model returned a matrix without columns; it must return one answer per row")
        return np.asarray(found[:, -1])
    return np.asarray(np.argmax(found.astype(np.float64), axis=1))


def _classes_or_numbers(found: NDArray[Any]) -> Column:
    if found.dtype.kind == "f":
        return found.astype(np.float64)
    if found.dtype.kind in "biu":
        return _classes(found)
    known = [value for value in found.tolist() if value is not None]
    if known and all(isinstance(value, (float, np.floating, Decimal)) for value in known):
        return np.array([np.nan if value is None else float(value) for value in found.tolist()])
    return _classes(found)


def _classes(found: NDArray[Any]) -> Column:
    texts: dict[Any, str | None] = {}
    written = np.empty(len(found), dtype=object)
    for place, value in enumerate(found.tolist()):
        try:
            if value not in texts:
                texts[value] = _text(value)
            written[place] = texts[value]
        except TypeError:
            raise ConfigurationError(
                f"the model returned a {type(value).__name__} per row; choose an entry with --output, or return a number or a class"
            ) from None
    return written


def _text(value: Any) -> str | None:
    if isinstance(value, (str, bytes)):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    read = plain(value)
    if isinstance(read, str):
        return read
    if np.isnan(read):
        return None
    return number_text(read) if np.isfinite(read) else str(value)


def _numbers(found: Column) -> Column:
    return np.array([np.nan if value is None else float(value) for value in found.tolist()])
