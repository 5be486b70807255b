"""Recognises what people pass to models, without importing any of their libraries: by shape, not by type.

`recognise` is called once per type and returns a form, which is remembered (`radiosonde._record.inputs`), so that a later call costs one
dictionary lookup. It inspects the class and the instance's own attributes and evaluates no property: a property of a lazy frame may warn,
or compute.
"""

from __future__ import annotations

import array
import dataclasses
import operator
from collections.abc import Callable, ItemsView, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from radiosonde.model.feature_names import feature_names
from radiosonde.model.iteration import items_of
from radiosonde.reference.containers import EVERY, cut, part_of

TYPES_KNOWN = 64
"""Types whose reader is remembered; then they are forgotten, because a type may be made for every request."""


class Form(Enum):
    """How to read an input."""

    ARRAY = auto()
    """numpy array of any number of axes, or what `as_array` turns into one (tensor, buffer, array of ctypes, ``__array__``)."""
    SPARSE = auto()
    """scipy's sparse matrices and arrays."""
    DMATRIX = auto()
    """XGBoost's own matrix."""
    FRAME = auto()
    """pandas or polars frame, pyarrow table or batch: named columns of equal length."""
    SERIES = auto()
    """one column of such a library: values of one row, or one value of many rows."""
    MAPPING = auto()
    """one row by name: dict, row of a database, object whose names differ from one to the next; or columns by name, where every
    value is a column."""
    SEQUENCE = auto()
    """list or tuple: one row of values, or rows of any readable kind."""
    VIEW = auto()
    """rows without places: values or items of a dict, or a set."""
    OBJECT = auto()
    """one row as attributes: dataclass, pydantic model, named tuple, object of attrs or msgspec, class with ``__slots__``."""
    TEXT = auto()
    """one text."""
    LAZY = auto()
    """a query that has not been run (LazyFrame, Dask, Spark, ibis, DuckDB); Radiosonde does not run it."""
    UNKNOWN = auto()
    """an unsupported value, such as an iterator, which Radiosonde does not consume."""


VIEWS: Final = (ValuesView, ItemsView, AbstractSet)
"""Containers without places, whose order is the same each time: a model reads them in the order in which they are read here."""


_SCALARS = (bytes, bytearray, int, float, complex, bool, type(None), np.generic, type)


_BUILT_IN: dict[type, Form] = {
    list: Form.SEQUENCE,
    tuple: Form.SEQUENCE,
    dict: Form.MAPPING,
    str: Form.TEXT,
    np.ndarray: Form.ARRAY,
    **dict.fromkeys((float, int, bool, bytes, complex, type(None)), Form.UNKNOWN),
}
"""Types that batches hold by the thousand: one lookup instead of thirty checks, 0.1 us instead of 3."""


def recognise(value: object) -> Form:
    """Return the form of *value*, from its type and the names of its attributes."""
    known = _BUILT_IN.get(type(value))
    if known is not None:
        return known
    if isinstance(value, np.ndarray):
        return Form.ARRAY
    if isinstance(value, str):
        return Form.TEXT
    kind = type(value)
    if hasattr(kind, "tocsr") and _has(value, "nnz"):  # before mappings: one of the formats is a dict
        return Form.SPARSE
    if isinstance(value, np.void) and value.dtype.names:
        return Form.MAPPING
    if isinstance(value, (Mapping, *_SCALARS)):
        return Form.MAPPING if isinstance(value, Mapping) else Form.UNKNOWN
    if isinstance(value, (array.array, memoryview)) or (hasattr(kind, "_length_") and hasattr(kind, "_type_")):
        return Form.ARRAY
    if _is_query(value):
        return Form.LAZY
    if hasattr(kind, "num_row") and hasattr(kind, "num_col"):
        return Form.DMATRIX
    if is_frame(value):
        return Form.FRAME
    if _is_series(kind):
        return Form.SERIES
    if _has_own_names(value):
        return Form.MAPPING
    if attribute_names(value) is not None:
        return Form.OBJECT
    if isinstance(value, Sequence):
        return Form.SEQUENCE
    if isinstance(value, VIEWS):
        return Form.VIEW
    if hasattr(kind, "detach") or hasattr(kind, "__array__") or _has(value, "__array_interface__"):
        return Form.ARRAY
    return Form.UNKNOWN


def form_of_item(item: object) -> Form:
    """Return the form of an item of a sequence; an array without axes is one value."""
    form = recognise(item)
    return Form.UNKNOWN if form is Form.ARRAY and getattr(item, "shape", None) == () else form


def is_scalar(form: Form) -> bool:
    """Whether an item of this form is one value, not a row."""
    return form in (Form.UNKNOWN, Form.TEXT)


def is_frame(value: object) -> bool:
    """Whether *value* has named columns: a frame or table of any library."""
    return hasattr(type(value), "__getitem__") and (_is_label(value, "column_names") or _is_label(value, "columns"))


def _has(value: object, name: str) -> bool:
    if hasattr(type(value), name):
        return True
    own = getattr(value, "__dict__", None)  # a class may answer anything: `in` an endless iterator never returns
    return isinstance(own, dict) and name in own


def _is_label(value: object, name: str) -> bool:
    return _has(value, name) and not callable(getattr(type(value), name, None))


def _is_query(value: object) -> bool:
    kind = type(value)
    if hasattr(kind, "__dask_graph__"):
        return True
    if not _has(value, "columns"):
        return False
    # pandas on Spark, ibis and DuckDB: their length and their columns are queries too.
    library = kind.__module__.partition(".")[0]
    return hasattr(kind, "collect") or hasattr(kind, "fetchall") or library in ("pyspark", "ibis")


def _has_own_names(value: object) -> bool:
    """Whether *value* is one row whose names are its own: two of one type may have different ones."""
    kind = type(value)
    if isinstance(value, SimpleNamespace):
        return True
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__") and not hasattr(kind, "__array__"):  # columns have that
        return True
    settings = getattr(kind, "model_config", None)  # of pydantic
    if isinstance(settings, dict) and settings.get("extra") == "allow":
        return True
    # Rows of SQLAlchemy and Spark; a named tuple has its names in its type.
    fields = getattr(kind, "_fields", None)
    return hasattr(kind, "asDict") or (hasattr(kind, "_asdict") and not isinstance(fields, tuple))


def _is_series(kind: type) -> bool:
    library = kind.__module__.partition(".")[0]
    if library == "pyarrow":
        return hasattr(kind, "to_pylist") and hasattr(kind, "take")
    return library in ("pandas", "polars") and hasattr(kind, "to_numpy") and hasattr(kind, "__len__")


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """Return *value* as a numpy array; tensors are detached and brought to the CPU."""
    return part_of(value, EVERY)


def as_mapping(value: Any) -> Mapping[Any, object]:
    """Return one row by name."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, np.void):
        return {name: value[name] for name in value.dtype.names or ()}
    if isinstance(value, SimpleNamespace):
        return vars(value)
    kind = type(value)
    if isinstance(getattr(kind, "model_config", None), dict):
        fields = {name: getattr(value, name) for name in attribute_names(value) or ()}
        extra = value.__pydantic_extra__
        return {**fields, **extra} if type(extra) is dict else fields
    converter = next((name for name in ("to_dict", "_asdict", "asDict") if hasattr(kind, name)), None)
    mapping: Mapping[Any, object] = (
        {name: value[name] for name in items_of(value.keys())} if converter is None else getattr(value, converter)()
    )
    return mapping


def column_names(value: Any) -> list[str] | None:
    """Return the column names of a frame or table, None when *value* is neither; those of a query that has not been run need work."""
    if not is_frame(value) or _is_query(value):
        return None
    return feature_names(value.column_names if _is_label(value, "column_names") else value.columns)


def attribute_names(value: object) -> tuple[str, ...] | None:
    """Return the field names of an object that is a row: dataclass, pydantic model, named tuple, or of attrs, msgspec or slots.

    None for other objects: the purpose of their attributes is unknown.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(item.name for item in dataclasses.fields(value))
    kind = type(value)
    for holder in ("model_fields", "__pydantic_fields__", "__attrs_attrs__", "__struct_fields__", "_fields"):
        fields = getattr(kind, holder, None)
        if isinstance(fields, (tuple, list, dict)) and fields:
            return tuple(getattr(item, "name", item) for item in items_of(fields))
    return _slots(kind)


_NO_ROWS = (
    "__float__", "__int__", "__index__", "__fspath__", "__array__", "__iter__", "__len__", "__call__", "__await__", "__enter__",
    "__getattr__",
)  # fmt: skip
"""Attributes of classes with slots whose objects are not rows: values, containers, functions, resources, proxies."""


def _slots(kind: type) -> tuple[str, ...] | None:
    """Return the public slots of a class whose objects have no other attributes; None for other classes."""
    names: list[str] = []
    for base in reversed(kind.__mro__[:-1]):
        own = vars(base).get("__slots__")
        if not isinstance(
            own, (str, tuple, list, dict, set, frozenset)
        ):  # absent, or an iterator, which is not consumed
            return None
        names += [own] if isinstance(own, str) else own
    # Not `hasattr`, which also finds attributes of the metaclass: every type can be called.
    if "__dict__" in names or any(name in vars(base) for base in kind.__mro__[:-1] for name in _NO_ROWS):
        return None
    return tuple(name for name in names if not name.startswith("_")) or None


def attribute_reader(names: tuple[str, ...]) -> Callable[[Any], tuple[object, ...]]:
    """Return a function that reads the attributes *names* of an object; an unset attribute is None, a missing value."""
    pick = operator.attrgetter(*names)

    def read(item: Any) -> tuple[object, ...]:
        try:
            found = pick(item)
        except AttributeError:
            return tuple(getattr(item, name, None) for name in names)
        return found if len(names) > 1 else (found,)

    return read


LOOKED_AT = 64
"""Number of items inspected to determine the contents of a sequence."""


def head(value: Any) -> list[Any]:
    """Return the first items of a flat sequence of any library as Python objects."""
    first = slice(LOOKED_AT)
    part = value.iloc[first] if hasattr(type(value), "iloc") else cut(value, first)
    for convert in ("to_pylist", "to_list", "tolist"):
        if hasattr(type(part), convert):
            return list(items_of(getattr(part, convert)()))
    return list(items_of(part))
