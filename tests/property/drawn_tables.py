"""Tables, answers and labels drawn for `test_table_oracle`, and what pandas and numpy say has to be counted of them.

The structure is drawn by hypothesis, the values by numpy from a drawn seed: a table of 500 rows costs as much to draw as one of 5.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import radiosonde

DAY_S = 86_400
REFERENCE = radiosonde.Reference.fit(
    {
        "n": np.arange(100.0),
        "d": np.arange(0.0, 100.0 * DAY_S, DAY_S),
        "k": ["0", "1", "2", "3"] * 25,
        "t": ["a", "b", "ü", "long " * 9] * 25,
    },
    model="m",
)
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 -- naive ones are drawn too

# Quarters, which halves of 16 bits hold exactly; each kind with the dtypes that hold it in numpy.
DTYPES = {
    "float": ["f8", "f4", "f2", ">f8"],
    "integer": ["i8", "i4", "i2", "i1", "f8"],
    "unsigned": ["u8", "u4", "u2", "u1", "i4"],
    "truth": ["?"],
    "decimal": ["O"],
}
TEMPORAL = ("datetime", "aware", "date", "time", "span")
CATEGORIES = ("integer", "float", "text", "truth", "decimal")
TEXTS = ["a", "b", "ü", "long " * 9, "", "new"]


class Drawn(NamedTuple):
    """A table.

    Attributes:
        columns: values by name, None for a missing one.
        dtype: of the numbers in numpy.
        number, temporal: kinds of the numbers and of the times.
        unit: of the times where a library has several.
    """

    columns: dict[str, list[Any]]
    dtype: str
    number: str
    temporal: str
    unit: str

    def part(self, rows: slice) -> Drawn:
        """Return some rows."""
        return self._replace(columns={name: column[rows] for name, column in self.columns.items()})


def _numbers(rng: np.random.Generator, kind: str, rows: int) -> list[Any]:
    if kind == "float":
        found = (rng.integers(-80, 480, rows) / 4).tolist()
        return [math.inf if chance < 0.03 else each for each, chance in zip(found, rng.uniform(size=rows), strict=True)]
    if kind == "decimal":
        return [decimal.Decimal(each).scaleb(-2) for each in rng.integers(-2000, 12_000, rows).tolist()]
    if kind == "truth":
        return (rng.uniform(size=rows) < 0.5).tolist()
    return rng.integers(-20 if kind == "integer" else 0, 120, rows).tolist()


def _times(rng: np.random.Generator, kind: str, rows: int) -> list[Any]:
    spans = [dt.timedelta(milliseconds=each) for each in (rng.integers(-10 * DAY_S, 110 * DAY_S, rows) * 500).tolist()]
    if kind == "span":
        return spans
    made = [EPOCH + span for span in spans]
    if kind == "aware":
        zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
        return [each.replace(tzinfo=dt.UTC).astimezone(zone) for each in made]
    return {"datetime": made, "date": [each.date() for each in made], "time": [each.time() for each in made]}[kind]


def _categories(rng: np.random.Generator, kind: str, rows: int) -> list[Any]:
    drawn = rng.integers(0, 2 if kind == "truth" else 5, rows).tolist()
    make = {"integer": int, "float": float, "text": str, "truth": bool, "decimal": decimal.Decimal}[kind]
    return [make(each) for each in drawn]


@st.composite
def tables(draw: Any) -> tuple[Drawn, np.random.Generator]:
    """Draw a table, and the generator that values which belong to it come from."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    rows = draw(
        st.integers(1, 12) | st.integers(1, 12) | st.integers(1, 12) | st.sampled_from([40, 150, 500]), label="rows"
    )
    number, temporal, category = (draw(st.sampled_from(kinds)) for kinds in (sorted(DTYPES), TEMPORAL, CATEGORIES))
    columns = {
        "n": _numbers(rng, number, rows),
        "d": _times(rng, temporal, rows),
        "k": _categories(rng, category, rows),
        "t": [TEXTS[each] for each in rng.integers(0, len(TEXTS), rows).tolist()],
    }
    share = draw(st.sampled_from([0.0, 0.2, 1.0]), label="missing")
    for name, column in columns.items():
        columns[name] = [None if rng.uniform() < share else each for each in column]
    unit = draw(st.sampled_from(["ms", "us", "ns"]))
    return Drawn(columns, draw(st.sampled_from(DTYPES[number])), number, temporal, unit), rng


def _seconds(values: pd.Series[Any], kind: str) -> np.ndarray[Any, Any]:
    """Return times as pandas has them, in seconds."""
    if kind == "span":
        return (pd.to_timedelta(values) / pd.Timedelta(seconds=1)).to_numpy()
    if kind == "time":
        return (pd.to_timedelta(values.map(dt.time.isoformat)) / pd.Timedelta(seconds=1)).to_numpy()
    return ((pd.to_datetime(values, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy()


def _category(value: Any) -> str:
    """Return the text of a category by the documented rule: 1, 1.0, True and "1" are one."""
    return value if isinstance(value, str) else str(int(value))


def expected_cells(table: Drawn) -> dict[str, Counter[Any]]:
    """Return the cells of each feature as Counters of places: body cells by number, the others by name."""
    found = {}
    for feature in REFERENCE.features:
        values = pd.Series(table.columns[feature.name], dtype=object)
        known = values[~values.isna()]
        cells = Counter({"null": len(values) - len(known)})
        if feature.kind == "categorical":
            for text, rows in known.map(_category).value_counts().items():
                place = feature.categories.index(text) if text in feature.categories else "unseen"
                cells[place] += int(rows)
        elif len(known):
            numbers = _seconds(known, table.temporal) if feature.name == "d" else known.astype(np.float64).to_numpy()
            finite, bounds = numbers[np.isfinite(numbers)], np.array(feature.bounds)
            inside = finite[(finite >= feature.low) & (finite <= bounds[-1])]
            cells["unseen"] += len(numbers) - len(finite)
            cells["below"] += int((finite < feature.low).sum())
            cells["above"] += int((finite > bounds[-1]).sum())
            cells.update(np.searchsorted(bounds, inside, side="left").tolist())
        found[feature.name] = +cells
    return found


def cells_of(windows: Any) -> dict[str, Counter[Any]]:
    """Return the cells that were counted, in the form of `expected_cells`."""
    total = sum(window.features.cells for window in windows if window.features is not None)
    names = ("below", "above", "null", "unseen")
    return {
        feature.name: +Counter(
            {**dict(enumerate(row[:-4].tolist())), **dict(zip(names, row[-4:].tolist(), strict=True))}
        )
        for feature, row in zip(REFERENCE.features, total, strict=True)
    }
