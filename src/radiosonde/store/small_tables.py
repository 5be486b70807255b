"""Tables of a store that people write to by commands, a row at a time. The first row creates its table."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde.errors import StoreError
from radiosonde.store.connection import writing


class SmallTable(NamedTuple):
    """A table of rows that are numbered in the order in which they were written.

    Attributes:
        name: its name.
        schema: the statement that creates it.
        columns: its columns, the number first.
    """

    name: str
    schema: str
    columns: str

    def rows(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """Return all rows, in order; none where there is no table yet."""
        if not self.is_in(connection):
            return []
        return connection.execute(f"SELECT {self.columns} FROM {self.name} ORDER BY 1").fetchall()  # noqa: S608 - our own text

    def append(self, path: Path, values: Sequence[Any], most: int) -> int:
        """Write a row of *values*, without its number, to the store at *path*, and return the number.

        Args:
            path: the store.
            values: one per column but the first.
            most: rows the table may hold.

        Raises:
            StoreError: the store cannot be written, or the table is full.
        """
        with writing(path) as connection:
            connection.execute(self.schema)
            (held,) = connection.execute(f"SELECT count(*) FROM {self.name}").fetchone()  # noqa: S608 - our own text
            if held >= most:
                raise StoreError(
                    f"{path} holds {held} {self.name}, the maximum: delete old rows of its table `{self.name}`"
                )
            marks = ", ".join("?" * len(values))
            connection.execute(
                f"INSERT INTO {self.name} ({self.columns}) VALUES (NULL, {marks})",  # noqa: S608 - our own text
                values,
            )
            (number,) = connection.execute("SELECT last_insert_rowid()").fetchone()
        return int(number)

    def is_in(self, connection: sqlite3.Connection) -> bool:
        """Return whether the store has the table."""
        return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (self.name,)).fetchone() is not None
