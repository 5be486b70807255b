"""Statements of a join store in SQLite inside one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from radiosonde._join.batches import decode_stated, encode_stated
from radiosonde._join.joining import Received, target_of
from radiosonde._join.matching import LaneCodes, Stated
from radiosonde._join.prediction_chunks import (
    Key,
    Place,
    PredictionChunk,
    decode,
    decode_lane,
    encode_lane,
    merged_lane,
    place_of,
)
from radiosonde._join.store import LaneNames

_CHUNK = "SELECT lane, rows, cells, fragment FROM fragments"
_LABEL = "id, value, time_ns, since_ns"

LANES_KNOWN = 256
"""Largest number of cached lanes; each receipt may add one."""


class SqliteLookup:
    """Looks things up in one transaction; implements `radiosonde._join.joining.JoinLookup`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lanes: dict[int, LaneCodes] = {}

    def aliases(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `JoinLookup`."""
        statement = "SELECT name, target FROM aliases WHERE name IN (SELECT value FROM json_each(?))"
        return dict(self._connection.execute(statement, (json.dumps(names),)))

    def chunks(self, places: Sequence[Place]) -> Iterable[Sequence[PredictionChunk]]:
        """See `JoinLookup`."""
        return (self.at(place) for place in places)

    def at(self, place: Place) -> list[PredictionChunk]:
        """Return the chunks of one page."""
        rows = self._connection.execute(f"{_CHUNK} WHERE nonce = ? AND page = ?", place)
        return [decode(self._lane(lane), table, cells, number) for lane, table, cells, number in rows]

    def stated(self, nonce: int, keys: Sequence[Key]) -> Mapping[Key, Stated]:
        """See `JoinLookup`."""
        statement = (
            "SELECT low, start_ns, stated FROM labelled WHERE nonce = ? AND low IN (SELECT value FROM json_each(?))"
        )
        found = self._connection.execute(statement, (nonce, json.dumps([low for low, _ in keys])))
        return {(low, start_ns): decode_stated(document) for low, start_ns, document in found}

    def oldest(self, limit: int) -> Iterator[tuple[Place, int, int]]:
        """Yield (place, number, start of the youngest) of the chunks whose predictions are the oldest."""
        statement = "SELECT nonce, page, fragment, newest_ns FROM fragments ORDER BY newest_ns LIMIT ?"
        for nonce, page, number, newest_ns in self._connection.execute(statement, (limit,)).fetchall():
            yield (nonce, page), number, newest_ns

    def _lane(self, number: int) -> LaneCodes:
        codes = self._lanes.get(number)
        if codes is None:
            (document,) = self._connection.execute("SELECT document FROM lanes WHERE lane = ?", (number,)).fetchone()
            codes = self._lanes[number] = LaneCodes(decode_lane(document))
        return codes


class LaneNumbers:
    """The numbers of lanes in one file, remembered: reading a lane's names at each chunk would cost more than writing it."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._known: dict[LaneNames, int] = {}

    def number(self, connection: sqlite3.Connection, names: LaneNames) -> int:
        """Return the number of the lane with *names*, after storing new names."""
        if connection is not self._connection or len(self._known) >= LANES_KNOWN:
            self._connection = connection  # a new connection may be to another file
            self._known.clear()
        number = self._known.get(names)
        # Numbers are never given twice, so one that is there is the same lane still.
        if number is None or not connection.execute("SELECT 1 FROM lanes WHERE lane = ?", (number,)).fetchone():
            number = self._known[names] = _lane_number(connection, names)
        return number

    def clear(self) -> None:
        """Forget all: a transaction that wrote some of them was rolled back."""
        self._known.clear()


def _lane_number(connection: sqlite3.Connection, names: LaneNames) -> int:
    known = connection.execute("SELECT lane, document FROM lanes WHERE nonce = ?", (names.nonce,)).fetchall()
    for number, document in known:
        merged = merged_lane(decode_lane(document), names)
        if merged is not None:
            text = encode_lane(merged)
            if text != document:
                connection.execute("UPDATE lanes SET document = ? WHERE lane = ?", (text, number))
            return int(number)
    row = (names.nonce, encode_lane(names))
    return int(connection.execute("INSERT INTO lanes (nonce, document) VALUES (?, ?)", row).lastrowid or 0)


def write_chunk(connection: sqlite3.Connection, lane: int, place: Place, chunk: PredictionChunk) -> None:
    """Keep a chunk."""
    arrays = (chunk.rows.tobytes(), chunk.cells.tobytes())
    connection.execute(
        "INSERT INTO fragments (nonce, page, lane, newest_ns, rows, cells) VALUES (?, ?, ?, ?, ?, ?)",
        (*place, lane, chunk.newest_ns, *arrays),
    )


def replace_chunk(connection: sqlite3.Connection, number: int, rest: PredictionChunk | None) -> None:
    """Leave *rest* of a chunk, or nothing."""
    if rest is None:
        connection.execute("DELETE FROM fragments WHERE fragment = ?", (number,))
    else:
        values = (rest.newest_ns, rest.rows.tobytes(), rest.cells.tobytes(), number)
        connection.execute("UPDATE fragments SET newest_ns = ?, rows = ?, cells = ? WHERE fragment = ?", values)


def drop_lanes(connection: sqlite3.Connection, nonces: Iterable[int]) -> None:
    """Forget the lanes of *nonces* of which nothing is kept any more."""
    rows = [(nonce,) for nonce in set(nonces)]
    connection.executemany(
        "DELETE FROM lanes WHERE nonce = ?1 AND NOT EXISTS (SELECT 1 FROM fragments WHERE nonce = ?1)", rows
    )


def write_stated(connection: sqlite3.Connection, stated: Mapping[tuple[int, Key], Stated]) -> None:
    """Store statements."""
    documents = encode_stated(stated.values())
    rows = [(nonce, *key, document) for (nonce, key), document in zip(stated, documents, strict=True)]
    rows.sort()  # one walk through the tree instead of a search each
    connection.executemany("INSERT OR REPLACE INTO labelled VALUES (?, ?, ?, ?)", rows)


def drop_stated(connection: sqlite3.Connection, nonce: int, keys: Iterable[Key]) -> None:
    """Delete the statements for removed predictions."""
    connection.executemany(
        "DELETE FROM labelled WHERE nonce = ? AND low = ? AND start_ns = ?", [(nonce, *key) for key in keys]
    )


def write_received(connection: sqlite3.Connection, labels: Iterable[Received]) -> None:
    """Keep labels that came."""
    encode = json.JSONEncoder().encode
    rows = [(own, None if value is None else encode(value), *times) for own, value, *times in labels]
    connection.executemany(f"INSERT INTO received ({_LABEL}) VALUES (?, ?, ?, ?)", rows)  # noqa: S608


def take_received(connection: sqlite3.Connection, limit: int) -> list[Received]:
    """Take out the labels that came first."""
    rows = connection.execute(f"SELECT {_LABEL}, seq FROM received ORDER BY seq LIMIT ?", (limit,)).fetchall()  # noqa: S608
    if rows:
        connection.execute("DELETE FROM received WHERE seq <= ?", (rows[-1][-1],))
    return _decoded(rows)


def write_waiting(connection: sqlite3.Connection, labels: Iterable[Received]) -> None:
    """Let labels wait."""
    rows = []
    for label in labels:
        target = target_of(label.id or "")
        place = (None, None) if target is None else place_of(target[0], target[1][0])
        rows.append((label.id, json.dumps(label.value), label.time_ns, label.since_ns, *place))
    connection.executemany(f"INSERT INTO waiting ({_LABEL}, nonce, page) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608


def take_waiting(connection: sqlite3.Connection, waited_out_ns: int, limit: int) -> list[Received]:
    """Take out labels that have waited since *waited_out_ns* or longer."""
    rows = connection.execute(
        f"SELECT {_LABEL}, seq FROM waiting WHERE since_ns <= ? ORDER BY since_ns LIMIT ?",  # noqa: S608
        (waited_out_ns, limit),
    ).fetchall()
    connection.executemany("DELETE FROM waiting WHERE seq = ?", [row[-1:] for row in rows])
    return _decoded(rows)


def wake(connection: sqlite3.Connection, column: str, wanted: Iterable[object]) -> None:
    """Requeue waiting labels: by ``id``, or by ``(nonce, page)``."""
    for each in wanted:
        values = each if isinstance(each, tuple) else (each,)
        where = f"{column} = (?, ?)" if isinstance(each, tuple) else f"{column} = ?"
        connection.execute(f"INSERT INTO received ({_LABEL}) SELECT {_LABEL} FROM waiting WHERE {where}", values)  # noqa: S608
        connection.execute(f"DELETE FROM waiting WHERE {where}", values)  # noqa: S608


def _decoded(rows: Sequence[tuple[object, ...]]) -> list[Received]:
    # One text for all values: a call of the parser for each would take a third of the time of receiving it.
    values = json.loads(f"[{','.join('null' if row[1] is None else str(row[1]) for row in rows)}]")
    return [Received(row[0], value, row[2], row[3]) for row, value in zip(rows, values, strict=True)]  # type: ignore[arg-type]
