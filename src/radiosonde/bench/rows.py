"""Rows to call a model with: read from a file, or generated from a signature, an estimator or a reference."""

from __future__ import annotations

import csv
import dataclasses
import enum
import inspect
import json
import random
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from radiosonde.bench.target import Target
from radiosonde.bench.target import parameters as parameters_of
from radiosonde.errors import ConfigurationError
from radiosonde.reference.profile import FeatureProfile, Reference

MOST_ROWS: Final = 1000
"""Rows that are taken in turns; more would measure the memory that holds them."""

WIDTH: Final = 30
"""Number of values of a list of unknown length."""

FORMS: Final = ("auto", "dict", "list", "array", "frame", "kwargs")


class Call(NamedTuple):
    """Arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def read(path: Path) -> list[Any]:
    """Return the first rows of a Parquet, JSON, JSON lines or CSV file: dicts by column, or lists.

    Raises:
        ConfigurationError: the file cannot be read or holds no rows.
    """
    try:
        rows = _read(path)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"cannot read rows from {path} ({error}); give Parquet, JSON, JSON lines or CSV"
        ) from error
    if not rows:
        raise ConfigurationError(f"{path} holds no rows")
    return rows


def _read(path: Path) -> list[Any]:
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            import pyarrow.parquet as pq
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "reading Parquet needs pyarrow: pip install 'radiosonde[desk]', or give JSON"
            ) from error
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=MOST_ROWS), None)
            return [] if batch is None else list(batch.to_pylist())
    with path.open(encoding="utf-8-sig", newline="") as text:
        if path.suffix.lower() == ".csv":
            return [
                {name: _typed(value) for name, value in row.items()} for row in islice(csv.DictReader(text), MOST_ROWS)
            ]
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return [json.loads(line) for line in islice(filter(str.strip, text), MOST_ROWS)]
        document = json.load(text)
    return list(document[:MOST_ROWS]) if isinstance(document, list) else [document]


def _typed(text: str | None) -> Any:
    for kind in (int, float):
        try:
            return kind(text)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return text or None


def calls(target: Target, rows: Sequence[Any] | None, form: str, batch: int) -> list[Call]:
    """Return the calls that give *rows* to the target in turns.

    Args:
        target: the function to call.
        rows: rows of a file; None: they are generated.
        form: one of `FORMS`: how a row is passed.
        batch: rows per call.

    Raises:
        ConfigurationError: nothing says what rows the target takes, or they do not fit it.
    """
    parameters = parameters_of(target.bare)
    if rows is None:
        if not parameters:
            return [Call((), {})]
        rows = _made_up(target, parameters)
    if all(isinstance(row, Mapping) and row and set(row) <= {"args", "kwargs"} for row in rows):
        return [Call(tuple(row.get("args", ())), dict(row.get("kwargs", {}))) for row in rows]
    form = form_of(target, rows[0], parameters) if form == "auto" else form
    if form == "kwargs":
        return [Call((), named(row, parameters)) for row in rows]
    make = maker(form, parameters[0].annotation if parameters else None, target.owner)
    groups = [[rows[(at + place) % len(rows)] for place in range(batch)] for at in range(0, len(rows), batch)]
    if batch > 1 or form in ("array", "frame"):
        return [Call((make(group),), {}) for group in groups]
    return [Call((make(group)[0],), {}) for group in groups]


def _required(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    return [each for each in parameters if each.default is each.empty]


def form_of(target: Target, row: Any, parameters: Sequence[inspect.Parameter]) -> str:
    """Return how a row is passed, according to the signature."""
    if hasattr(target.owner, "n_features_in_"):
        return "frame" if hasattr(target.owner, "feature_names_in_") else "array"
    required = _required(parameters)
    if isinstance(row, Mapping) and (len(required) > 1 or (required and required[0].name in row)):
        return "kwargs"
    kind = parameters[0].annotation if parameters else inspect.Parameter.empty
    name = getattr(kind, "__name__", str(kind))
    if name == "DataFrame":
        return "frame"
    if name in ("ndarray", "NDArray", "Tensor") or "ndarray" in str(kind):
        return "array"
    if _is_record(kind):
        return "record"
    if (typing.get_origin(kind) or kind) in (list, tuple, Sequence):
        return "list"
    return "dict" if isinstance(row, Mapping) else "list"


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (hasattr(kind, "model_validate") or dataclasses.is_dataclass(kind))


def named(row: Any, parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    """Return the keyword arguments that a row holds."""
    known = {each.name: each.annotation for each in parameters}
    if not isinstance(row, Mapping):
        return dict(zip(known, row, strict=False))
    return {name: _record(known[name], value) for name, value in row.items() if name in known}


def _record(kind: Any, value: Any) -> Any:
    if not _is_record(kind) or not isinstance(value, Mapping):
        return value
    return kind.model_validate(value) if hasattr(kind, "model_validate") else kind(**value)


def maker(form: str, kind: Any, owner: object) -> Callable[[Any], Any]:
    """Return the function that converts rows to the arguments of calls: one for all rows (arrays and frames), or one for each."""
    if form == "record":
        return lambda rows: [_record(kind, row) for row in rows]
    if form == "dict":
        return lambda rows: [dict(row) if isinstance(row, Mapping) else row for row in rows]
    if form == "list":
        return lambda rows: [_values(row) for row in rows]
    if form == "array":
        return lambda rows: np.asarray([_values(row) for row in rows], dtype=np.float64)
    names = getattr(owner, "feature_names_in_", None)
    library = "polars" if getattr(kind, "__module__", "").startswith("polars") else "pandas"
    frame = __import__(library).DataFrame
    if names is None:
        return lambda rows: frame(list(rows))
    return lambda rows: frame([dict(zip(names, _values(row, names), strict=True)) for row in rows])


def _values(row: Any, names: Sequence[str] | None = None) -> list[Any]:
    if not isinstance(row, Mapping):
        return list(row)
    return list(row.values()) if names is None else [row[name] for name in names]


# Generated rows -----------------------------------------------------------------------------------------------


def _made_up(target: Target, parameters: Sequence[inspect.Parameter]) -> list[Any]:
    """Return rows that fit the target, by its reference, its estimator or its signature."""
    dice = random.Random(7)
    if target.reference is not None:
        return [_drawn(target.reference, dice) for _ in range(MOST_ROWS)]
    width = getattr(target.owner, "n_features_in_", None)
    if width is not None:
        names = getattr(target.owner, "feature_names_in_", range(width))
        return [{str(name): dice.gauss(0.0, 1.0) for name in names} for _ in range(MOST_ROWS)]
    required = _required(parameters) or list(parameters)
    try:
        if len(required) == 1 and _is_record(required[0].annotation):
            return [_fields(required[0].annotation, dice) for _ in range(MOST_ROWS)]
        return [{"kwargs": {each.name: _value(each.annotation, dice) for each in required}} for _ in range(MOST_ROWS)]
    except LookupError:
        said = ", ".join(str(each).partition("=")[0] for each in parameters)
        raise ConfigurationError(
            f"nothing says what rows {target.model}({said}) takes; pass --input rows.parquet (or .json), or --reference "
            "delays.reference.json, or annotate its parameters"
        ) from None


def _fields(kind: Any, dice: random.Random) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = kind.model_fields if hasattr(kind, "model_fields") else [field.name for field in dataclasses.fields(kind)]
    return {name: _value(hints[name], dice) for name in names}


def _value(kind: Any, dice: random.Random) -> Any:
    """Return a value of a type. Raises LookupError for an unknown type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _value(inner[0], dice)
    if origin in (typing.Union, types.UnionType):
        return _value(next(each for each in inner if each is not type(None)), dice)
    if origin is typing.Literal:
        return dice.choice(inner)
    if origin in (list, tuple, Sequence):
        return [_value(inner[0], dice) for _ in range(WIDTH)]
    if _is_record(kind):
        return _record(kind, _fields(kind, dice))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return dice.choice(list(kind))
    made: dict[Any, Callable[[], Any]] = {
        float: lambda: dice.gauss(0.0, 1.0),
        int: lambda: dice.randrange(100),
        bool: lambda: dice.random() < 0.5,
        str: lambda: dice.choice("abcd"),
    }
    return made[kind]()


def _drawn(reference: Reference, dice: random.Random) -> dict[str, Any]:
    return {feature.name: _drawn_value(feature, dice) for feature in reference.features}


def _drawn_value(feature: FeatureProfile, dice: random.Random) -> Any:
    if feature.kind == "categorical":
        return dice.choice(feature.categories) if feature.categories else "a"
    edges = (feature.low, *feature.bounds)
    place = dice.randrange(max(len(edges) - 1, 1))
    low, high = edges[place], edges[min(place + 1, len(edges) - 1)]
    return dice.uniform(low, high)
