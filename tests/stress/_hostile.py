"""Values that people and their libraries pass to models, the worst of each kind, and strategies that draw them.

What a strategy draws is a recipe: plain text that hypothesis can print and shrink, whatever the value does. `made` makes the
value, so an object whose ``__repr__`` raises exists in a test's own code only.
"""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import fractions
import itertools
import math
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tests.stress._hostile_tables import (
    COLUMNS,
    DTYPES,
    FILLS,
    HUGE,
    POLARS,
    Level,
    Shade,
    array_of,
    arrow_of,
    huge_of,
    pandas_of,
    polars_of,
    sparse_of,
)


class Made(NamedTuple):
    """A recipe: the name of a maker in `MAKERS` and what it is made from."""

    maker: str
    arguments: tuple[Any, ...] = ()


def made(recipe: Any) -> Any:
    """Return the value of a recipe, including recipes inside plain containers."""
    if isinstance(recipe, Made):
        return MAKERS[recipe.maker](*recipe.arguments)
    if type(recipe) in (list, tuple):
        return type(recipe)(made(item) for item in recipe)
    if type(recipe) is dict:
        return {key: made(item) for key, item in recipe.items()}
    return recipe


# Objects that raise or lie ---------------------------------------------------------------------------------------------


class GrudgeError(Exception):
    """Raised by hostile objects; its own text cannot be had either."""

    def __str__(self) -> str:
        raise ValueError("no text for you")

    __repr__ = __str__


def _raises(error: type[Exception]) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


def _returns(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def _endless(*_: Any) -> Any:
    return itertools.count()


BEHAVIOURS: dict[str, Callable[..., Any]] = {
    "raises ValueError": _raises(ValueError),
    "raises KeyError": _raises(KeyError),
    "raises AttributeError": _raises(AttributeError),
    "raises RecursionError": _raises(RecursionError),
    "raises MemoryError": _raises(MemoryError),
    "raises StopIteration": _raises(StopIteration),
    "raises GrudgeError": _raises(GrudgeError),
    "None": _returns(None),
    "-1": _returns(-1),
    "3": _returns(3),
    "10**30": _returns(10**30),
    "10**12": _returns(10**12),
    "nan": _returns(math.nan),
    "text": _returns("x\ud800"),
    "list": _returns([1.0, 2.0]),
    "an endless iterator": _endless,
    "itself": lambda self, *_: self,
}

METHODS = (
    "__str__", "__repr__", "__len__", "__iter__", "__getitem__", "__contains__", "__float__", "__int__", "__index__",
    "__bool__", "__eq__", "__hash__", "__array__", "__getattr__", "__lt__", "__abs__", "__add__", "__sub__", "__neg__",
    "get", "keys", "values", "items", "to_dict", "to_numpy", "to_list", "to_pylist", "tolist", "item", "bit_length",
    "is_integer", "decode", "encode", "isprintable", "num_row", "num_col", "tocsr", "toarray", "collect", "detach",
)  # fmt: skip
"""Methods that reading a value may call."""

PROPERTIES = (
    "__class__", "shape", "ndim", "dtype", "columns", "column_names", "index", "name", "value", "hex", "label",
    "probability", "model_fields", "__dict__", "nnz", "null_count", "tzinfo", "feature_names",
)  # fmt: skip
"""Attributes that reading a value may access."""


class _Sequence(Sequence):
    def __getitem__(self, place: Any) -> Any:
        return [1.0, 2.0, 3.0][place]

    def __len__(self) -> int:
        return 3


class _Mapping(Mapping):
    def __getitem__(self, key: Any) -> Any:
        return {"a": 1.0, "label": "yes"}[key]

    def __iter__(self) -> Any:
        return iter(("a", "label"))

    def __len__(self) -> int:
        return 2


class _Plain:
    """Nothing at all."""


BASES: dict[str, tuple[type, tuple[Any, ...]]] = {
    "object": (_Plain, ()),
    "dict": (dict, ({"a": 1.0, "label": "yes"},)),
    "list": (list, ([1.0, 2.0, 3.0],)),
    "tuple": (tuple, ((0.5, 0.5),)),
    "str": (str, ("yes",)),
    "bytes": (bytes, (b"yes",)),
    "int": (int, (1,)),
    "float": (float, (0.25,)),
    "Sequence": (_Sequence, ()),
    "Mapping": (_Mapping, ()),
    "UserDict": (collections.UserDict, ({"a": 1.0},)),
    "deque": (collections.deque, ([1.0, 2.0],)),
    "Decimal": (decimal.Decimal, ("0.5",)),
    "Fraction": (fractions.Fraction, (1, 3)),
    "datetime": (dt.datetime, (2026, 1, 2)),
    "UUID": (uuid.UUID, ("12345678" * 4,)),
}


def _trap(base: str, methods: tuple[tuple[str, str], ...], properties: tuple[tuple[str, str], ...]) -> Any:
    """Return an instance of a new class on *base* some of whose methods and attributes do what they should not."""
    kind, arguments = BASES[base]
    body: dict[str, Any] = {name: BEHAVIOURS[behaviour] for name, behaviour in methods}
    body.setdefault("__hash__", kind.__hash__ or object.__hash__)
    lies = {name: property(BEHAVIOURS[behaviour]) for name, behaviour in properties}
    honest = type("Honest", (kind,), {})
    try:
        trap: Any = honest(*arguments)
        trap.__class__ = type("Trap", (kind,), body | lies)
    except Exception:  # noqa: BLE001 - a layout that cannot be changed afterwards, or a lie that Python itself catches
        return type("Trap", (_Plain,), body | lies)()
    return trap


def _array_trap(behaviour: str) -> Any:
    class Trap(np.ndarray):
        def __getitem__(self, place: Any) -> Any:
            return BEHAVIOURS[behaviour](self)

        tolist = reshape = astype = tobytes = __getitem__

    return np.array([[1.0, 2.0]]).view(Trap)


def _record(values: tuple[Any, ...], form: str) -> Any:
    names = [f"f{place}" for place in range(len(values))]
    held = [made(value) for value in values]
    if form == "dataclass":
        return make_dataclass("Row", names)(*held)
    if form == "named tuple":
        return collections.namedtuple("Row", names)(*held)  # noqa: PYI024 - made anew for each, as itertuples does
    return types.SimpleNamespace(**dict(zip(names, held, strict=True)))


def _raising_dataclass(behaviour: str) -> Any:
    kind = make_dataclass("Row", ["a", "b"])
    row = kind(1.0, 2.0)
    kind.a = property(BEHAVIOURS[behaviour])
    return row


def _released() -> memoryview:
    view = memoryview(bytearray(8))
    view.release()
    return view


# Containers that go on for ever ----------------------------------------------------------------------------------------


def _loop(form: str) -> Any:
    """Return a structure that contains itself."""
    if form == "dict":
        loop: Any = {"a": 1.0}
        loop["self"] = loop
        return loop
    if form == "dict of list":
        inner: list[Any] = [1.0]
        inner.append(inner)
        return {"a": inner, "b": inner}
    if form == "array":
        held = np.empty(2, dtype=object)
        held[:] = [held, 1.0]
        return held
    loop = [[1.0]] if form == "rows" else []
    loop.append(loop)
    return loop


def _deep(depth: int, form: str) -> Any:
    value: Any = 1.0
    for _ in range(depth):
        value = {"a": value} if form == "dict" else [value]
    return value


def _iterator(form: str) -> Any:
    return {
        "generator": lambda: (float(place) for place in range(3)),
        "endless": itertools.count,
        "map": lambda: map(float, "12"),
        "rows": lambda: iter([[1.0, 2.0], [3.0, 4.0]]),
        "zip": lambda: zip("ab", [1.0, 2.0], strict=True),
        "raises": lambda: map(float, ["1", "x"]),
    }[form]()


MAKERS: dict[str, Callable[..., Any]] = {
    "trap": _trap,
    "array trap": _array_trap,
    "record": _record,
    "raising dataclass": _raising_dataclass,
    "loop": _loop,
    "deep": _deep,
    "iterator": _iterator,
    "array": array_of,
    "masked": lambda *of: np.ma.masked_array(array_of(*of), mask=np.arange(math.prod(of[1])).reshape(of[1]) % 2),
    "huge": huge_of,
    "pandas": pandas_of,
    "polars": polars_of,
    "arrow": arrow_of,
    "sparse": lambda form, shape: sparse_of(form, shape, nan=False),
    "sparse nan": lambda form, shape: sparse_of(form, shape, nan=True),
    "memoryview": lambda: memoryview(array.array("d", [1.0, 2.0])),
    "released": _released,
    "deque": lambda items: collections.deque(made(items)),
    "proxy": lambda items: types.MappingProxyType(made(items)),
    "keys": lambda items: made(items).keys(),
    "object": object,
    "exception": GrudgeError,
}


# Strategies ------------------------------------------------------------------------------------------------------------

behaviours = st.sampled_from(tuple(BEHAVIOURS))
traps = st.builds(
    lambda *of: Made("trap", of),
    st.sampled_from(tuple(BASES)),
    st.lists(st.tuples(st.sampled_from(METHODS), behaviours), min_size=1, max_size=4).map(tuple),
    st.lists(st.tuples(st.sampled_from(PROPERTIES), behaviours), max_size=2).map(tuple),
)

ODD_TEXTS = (
    "", "\ud800", "x\udfff", "a\x00b\x1b[2J\n", "\u202eabc", "ä" * 5_000, "yes", "no", "label", "__other__", "__overflow__",
    "nan", "0", "1", "True", "otel.metric.overflow", "f0", "a", "'; DROP TABLE windows; --", '"\\\n', "\u2028", "😀" * 200,
)  # fmt: skip
texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(), max_size=6))
numbers = st.one_of(
    st.sampled_from((
        0, 1, -1, 2, 3, 2**53 + 1, 2**63, -(2**64), 10**400, True, False, 0.0, -0.0, 0.5, 1.5, 1e-320, 1.7e308, math.nan,
        math.inf, -math.inf, 2 + 1j, decimal.Decimal("NaN"), decimal.Decimal("1e500"), fractions.Fraction(1, 3),
        np.float64("nan"), np.float32(1e30), np.int64(3), np.bool_(1), np.str_("\udc80"), np.datetime64("NaT"),
        np.longdouble("1e4000"), np.complex64(1j), np.void(b"abc"), np.bytes_(b"\xff"),
    )),
    st.floats(),
    st.integers(-5, 5),
)  # fmt: skip
scalars = st.one_of(
    numbers,
    texts,
    st.sampled_from((
        None, ..., NotImplemented, int, Shade, Shade.RED, Shade.ODD, Shade.BAD, Level.LOW, b"caf\xe9", bytearray(b"x"), pd.NA,
        pd.NaT, uuid.UUID(int=3), PurePosixPath("/\udcff"), dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.timedelta(1), frozenset({1}), range(3), slice(None), len,
    )),
    st.sampled_from([Made(maker) for maker in ("memoryview", "released", "object", "exception")]),
)  # fmt: skip

shapes = st.sampled_from((
    (), (0,), (1,), (2,), (3,), (5,), (1, 0), (0, 2), (1, 1), (1, 2), (1, 3), (3, 1), (4, 2), (2, 3, 2), (1, 1, 2), (7, 3),
))  # fmt: skip
_arrays = st.tuples(st.sampled_from(DTYPES), shapes, st.sampled_from(FILLS), st.sampled_from(("C", "F", "reversed")))
arrays = st.tuples(st.sampled_from(("array", "array", "array", "masked")), _arrays).map(Made._make)
_rows = st.integers(0, 3)
_polars_columns = st.lists(st.sampled_from(tuple(POLARS)), max_size=3).map(tuple)
frames = st.one_of(
    st.builds(
        lambda *of: Made("pandas", of),
        st.lists(st.sampled_from(COLUMNS), max_size=3).map(tuple),
        st.sampled_from(("plain", "plain", "same", "numbers", "levels", "odd")),
        _rows,
        st.sampled_from(("frame", "row", "column", "index")),
    ),
    st.builds(lambda *of: Made("polars", of), _polars_columns, _rows, st.sampled_from(("frame", "lazy", "series"))),
    st.builds(
        lambda *of: Made("arrow", of),
        _polars_columns,
        _rows,
        st.sampled_from(("table", "batch", "column", "chunked", "same")),
    ),
    st.builds(
        lambda form, shape, nan: Made("sparse nan" if nan else "sparse", (form, shape)),
        st.sampled_from(("csr", "csc", "coo", "lil", "dok", "bsr", "dia")),
        st.sampled_from(((1, 2), (3, 2), (0, 2), (1, 0), (4, 4))),
        st.booleans(),
    ),
)

oddities = st.one_of(
    traps,
    st.builds(lambda form: Made("array trap", (form,)), behaviours),
    st.builds(lambda form: Made("raising dataclass", (form,)), behaviours),
    st.builds(lambda form: Made("loop", (form,)), st.sampled_from(("dict", "dict of list", "array", "list", "rows"))),
    st.builds(
        lambda depth, form: Made("deep", (depth, form)),
        st.sampled_from((5, 100, 3_000)),
        st.sampled_from(("list", "dict")),
    ),
    st.builds(
        lambda form: Made("iterator", (form,)),
        st.sampled_from(("generator", "endless", "map", "rows", "zip", "raises")),
    ),
)
huge = st.builds(lambda form: Made("huge", (form,)), st.sampled_from(HUGE))

leaves = st.one_of(scalars, arrays, traps)
keys = st.one_of(
    texts,
    numbers.filter(lambda number: not isinstance(number, (decimal.Decimal, np.void))),
    st.sampled_from((None, (), b"k")),
)
rows = st.one_of(
    st.lists(numbers, max_size=4),
    st.lists(scalars, max_size=4),
    st.dictionaries(keys, leaves, max_size=4),
    st.lists(leaves, max_size=3).map(tuple),
    st.builds(
        lambda held, form: Made("record", (tuple(held), form)),
        st.lists(leaves, min_size=1, max_size=3),
        st.sampled_from(("dataclass", "named tuple", "namespace")),
    ),
)
containers = st.one_of(
    st.lists(rows, max_size=4),
    st.lists(rows, max_size=3).map(tuple),
    st.dictionaries(keys, st.lists(scalars, max_size=3), max_size=3),
    st.dictionaries(texts, rows, max_size=3),
    st.builds(lambda maker, held: Made(maker, (held,)), st.just("deque"), st.lists(leaves, max_size=3)),
    st.builds(
        lambda maker, held: Made(maker, (held,)),
        st.sampled_from(("proxy", "keys")),
        st.dictionaries(texts, leaves, max_size=3),
    ),
    st.lists(arrays, max_size=3),
)

values = st.one_of(scalars, rows, rows, containers, arrays, frames, oddities)
"""Anything, once in a while large (see `values_or_huge`)."""

values_or_huge = st.integers(0, 24).flatmap(lambda draw: huge if draw == 0 else values)

answers = st.one_of(
    values_or_huge,
    st.sampled_from(("yes", "no", 0.25, 1.0, 1, True, None)),
    st.sampled_from((
        [0.25, 0.75], ("yes", 0.5), {"label": "yes", "probability": 0.5}, {"probabilities": {"yes": 0.5, "no": 0.5}},
        {"score": 2.5}, [[0.5, 0.5], [0.1, 0.9]], ["yes", "no", "no"], [1, 2.5, "x"], [None, "yes", math.nan],
    )),
    st.dictionaries(
        st.sampled_from(("label", "class", "probability", "probabilities", "confidence", "score", "value", "prediction")),
        values,
        max_size=3,
    ),
)  # fmt: skip

names = st.one_of(texts, scalars, traps)
