"""Converts a feature value to the number stored in the ring.

`plain` maps every Python object to a double, a text, or one of two markers; it never imports the library of a value, and uses only the
attributes of its class (a size-one array has ``__float__``, and warns when it is used). The meaning of the numbers is documented in
`radiosonde.model.times` and `radiosonde.model.feature_names`.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from radiosonde.model.names import LONGEST_NAME
from radiosonde.model.times import array_seconds, seconds

if TYPE_CHECKING:
    from decimal import Decimal

NAN: Final = float("nan")
INVALID: Final = float("inf")
"""Represents a value that is neither number, text nor missing: an infinity, a list, a conversion that failed."""

MISSING_TYPES: Final = frozenset({"NAType", "NaTType", "MaskedConstant"})
"""Types of pandas' NA and NaT and numpy's masked, which raise or warn when used; by name, so that nothing is imported."""

Plain = float | str
"""A finite double, NaN for missing, `INVALID`, or a text."""


def is_masked(value: object) -> bool:
    """Whether *value* is a masked array of numpy's.

    Does not mention ``np.ma``, which numpy 2 imports at first mention. That takes milliseconds of a first prediction, and
    a signal handler that interrupts the import and uses it again recurses until the interpreter's limit. Without an import of `numpy.ma`
    there are no masked arrays.
    """
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, getattr(masked, "MaskedArray", ()))


def plain(value: object) -> Plain:
    """Convert *value* to a double or a text.

    Whole numbers beyond doubles are `INVALID`. Exceptions of the value's conversion propagate.
    """
    kind: Any = type(value)
    return _reader_of(kind)(value)


def _number(value: Any) -> float:
    return float(value)


def _decimal(value: Decimal) -> float:
    return NAN if value.is_nan() else float(value)


def _bytes(value: bytes) -> str:
    return value[: 4 * LONGEST_NAME].decode(errors="replace")


def _numpy(value: np.generic) -> Plain:
    kind = value.dtype.kind
    if kind in "fiub":
        return float(value)
    if kind in "mM":
        return float(array_seconds(np.asarray(value).reshape(1))[0])
    if kind == "V" and not isinstance(value, np.void):
        return float(value)  # a number of a library's own, such as JAX's bfloat16
    return INVALID  # complex numbers, records


def _array(value: np.ndarray[Any, Any]) -> Plain:
    if is_masked(value) and value.ndim == 0 and np.ma.getmaskarray(value).all():
        return NAN
    return plain(value.item()) if value.ndim == 0 and value.dtype.kind in "fiubOUS" else INVALID


def _pandas_time(value: Any) -> float:
    return float(array_seconds(np.asarray(value.asm8).reshape(1))[0])


def _named(kind: type) -> Callable[[Any], Plain] | None:
    """Return the reader of a type that is known by name only."""
    if kind.__name__ in MISSING_TYPES:
        return lambda _: NAN
    library = kind.__module__.partition(".")[0]  # pandas 3 moved its scalars from ``pandas._libs`` to ``pandas``
    if library == "pandas":
        if hasattr(kind, "asm8"):  # Timestamp and Timedelta; before datetime and timedelta, which they are too
            return _pandas_time
        if hasattr(kind, "start_time"):
            return lambda value: _pandas_time(value.start_time)
    if library == "pyarrow" and hasattr(kind, "as_py"):
        return lambda value: plain(value.as_py())
    return None


_BY_CLASS: Final[tuple[tuple[type, Callable[[Any], Plain]], ...]] = (
    (Enum, lambda value: plain(value.value)),
    (str, str.__str__),  # a subclass may write itself otherwise
    (float, _number),
    (int, _number),
    (bytes, _bytes),  # before numpy's scalars: its bytes are both
    (np.generic, _numpy),
    (np.ndarray, _array),
    ((dt.date), seconds),
    (dt.time, seconds),
    (dt.timedelta, seconds),
    (complex, lambda _: INVALID),
    (bytearray, lambda value: _bytes(bytes(value[: 4 * LONGEST_NAME]))),  # before sequences: it is one
    (Mapping, lambda _: INVALID),
    (Sequence, lambda _: INVALID),
    (AbstractSet, lambda _: INVALID),
)


@functools.lru_cache(maxsize=256)  # bounded: a class per request must not be kept for ever
def _reader_of(kind: type) -> Callable[[Any], Plain]:
    if kind is type(None):
        return lambda _: NAN
    named = _named(kind)
    if named is not None:
        return named
    decimal = sys.modules.get("decimal")  # loaded if there is a Decimal; takes 0.3 MiB
    if decimal is not None and issubclass(kind, decimal.Decimal):
        return _decimal
    for known, reader in _BY_CLASS:
        if issubclass(kind, known):
            return reader
    if hasattr(kind, "__float__") or hasattr(kind, "__index__"):
        return _number_or_missing
    if getattr(kind, "__str__", None) is not object.__str__ and not hasattr(kind, "__len__"):
        return str  # a UUID, an address, a path
    return lambda _: INVALID


def _number_or_missing(value: Any) -> float:
    shape = getattr(value, "shape", ())
    if isinstance(shape, (tuple, list)) and len(shape) > 0:
        return INVALID  # an array of one value converts, and warns
    return float(value)
