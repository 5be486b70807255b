"""Compares two tables row by row, by DuckDB: which keys are missing, and in which columns the others differ.

DuckDB joins on the key and spills to disk beyond its limit of memory, so the tables may exceed it. Values are compared as fingerprints
compare them: NULL and NaN are one, and numbers are doubles, so that a column of integers equals the same column as floats. Rows are
distinguished by their key; a key that comes several times on one side is counted and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.sql import quoted

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1500MB"


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """How one column differs over the rows that both sides have.

    Attributes:
        name: of the column.
        rows: rows with another value.
        missing_a: of these, rows without a value in A.
        missing_b: of these, rows without a value in B.
        largest: largest absolute difference of numbers; None if there are none to compare.
        mean: mean difference of numbers, B minus A, over the rows that differ; None likewise.
    """

    name: str
    rows: int
    missing_a: int
    missing_b: int
    largest: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class KeyedDifference:
    """How two tables differ.

    Attributes:
        common: keys that both sides have once.
        only_a, only_b: keys of one side alone.
        repeated_a, repeated_b: keys that come several times on a side; they are compared no further.
        rows: common keys whose rows differ in some column.
        columns: the columns that differ.
    """

    common: int
    only_a: int
    only_b: int
    repeated_a: int
    repeated_b: int
    rows: int
    columns: tuple[ColumnDifference, ...]

    @property
    def is_equal(self) -> bool:
        """Whether both tables hold the same rows."""
        return not (self.only_a or self.only_b or self.repeated_a or self.repeated_b or self.rows)


def compare_by_key(a: Path, b: Path, key: Sequence[str], columns: Sequence[str] = ()) -> KeyedDifference:
    """Compare two Parquet or CSV tables by *key*.

    Args:
        a: a file, or a folder of Parquet files.
        b: likewise.
        key: columns that identify a row.
        columns: columns to compare; empty: all that both have.

    Raises:
        ConfigurationError: a column is missing, or a file cannot be read.
    """
    import duckdb

    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as connection:
        try:
            kinds = [_kinds(connection, path, side) for path, side in ((a, "a"), (b, "b"))]
            common = [name for name in kinds[0] if name in kinds[1] and name not in key]
            wanted = list(columns) or common
            for path, held in zip((a, b), kinds, strict=True):
                missing = [name for name in (*key, *wanted) if name not in held]
                if missing:
                    raise ConfigurationError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(held)}")
            return _compared(connection, key, {name: (kinds[0][name], kinds[1][name]) for name in wanted})
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise ConfigurationError(f"cannot compare {a} and {b} by key: {first}; check both files") from error


def _kinds(connection: duckdb.DuckDBPyConnection, path: Path, side: str) -> dict[str, str]:
    """Make *path* the view *side* and return the types of its columns."""
    pattern = str(path / "**/*.parquet" if path.is_dir() else path).replace("'", "''")
    reader = "read_csv" if path.suffix.lower() in {".csv", ".tsv"} else "read_parquet"
    connection.execute(f"CREATE VIEW {side} AS SELECT * FROM {reader}('{pattern}')")  # noqa: S608 - quoted
    return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {side}").fetchall()}


def _compared(
    connection: duckdb.DuckDBPyConnection, key: Sequence[str], columns: dict[str, tuple[str, str]]
) -> KeyedDifference:
    keys = ", ".join(quoted("duckdb", name) for name in key)
    for side in "ab":
        values = ", ".join(
            f"any_value({_value(name, kinds)}) AS v{place}" for place, (name, kinds) in enumerate(columns.items())
        )
        chosen = ", ".join(f"{quoted('duckdb', name)} AS k{place}" for place, name in enumerate(key))
        tail = f", {values}" if values else ""
        view = f"SELECT {chosen}, count(*) AS n{tail} FROM {side} GROUP BY {keys}"  # noqa: S608 - quoted
        connection.execute(f"CREATE VIEW once_{side} AS {view}")
    same = " AND ".join(f"a.k{place} IS NOT DISTINCT FROM b.k{place}" for place in range(len(key)))
    both, differ = "a.n = 1 AND b.n = 1", [f"a.v{place} IS DISTINCT FROM b.v{place}" for place in range(len(columns))]
    counts = [
        f"count(*) FILTER ({both})",
        "count(*) FILTER (b.n IS NULL)",
        "count(*) FILTER (a.n IS NULL)",
        "count(*) FILTER (a.n > 1)",
        "count(*) FILTER (b.n > 1)",
        f"count(*) FILTER ({both} AND ({' OR '.join(differ) or 'false'}))",
    ]
    for place, name in enumerate(columns):
        where = f"{both} AND {differ[place]}"
        step = f"b.v{place} - a.v{place}" if _is_number(*columns[name]) else "NULL::DOUBLE"
        counts += [
            f"count(*) FILTER ({where})",
            f"count(*) FILTER ({where} AND a.v{place} IS NULL)",
            f"count(*) FILTER ({where} AND b.v{place} IS NULL)",
            f"max(abs({step})) FILTER ({where})",
            f"avg({step}) FILTER ({where})",
        ]
    query = f"SELECT {', '.join(counts)} FROM once_a a FULL JOIN once_b b ON {same}"  # noqa: S608 - names are quoted
    found: list[Any] = list(connection.execute(query).fetchall()[0])
    totals, rest = found[:6], found[6:]
    differences = [ColumnDifference(name, *rest[5 * place : 5 * place + 5]) for place, name in enumerate(columns)]
    common, only_a, only_b, repeated_a, repeated_b, rows = totals
    differing = tuple(each for each in differences if each.rows)
    return KeyedDifference(common, only_a, only_b, repeated_a, repeated_b, rows, differing)


_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "FLOAT", "DOUBLE",
            "DECIMAL", "BOOLEAN")  # fmt: skip


def _is_number(*kinds: str) -> bool:
    return all(kind.startswith(_NUMBERS) for kind in kinds)


def _value(name: str, kinds: tuple[str, str]) -> str:
    column = quoted("duckdb", name)
    if not _is_number(*kinds):
        return column if kinds[0] == kinds[1] else f"{column}::VARCHAR"
    return f"CASE WHEN isnan({column}::DOUBLE) THEN NULL ELSE {column}::DOUBLE END"
