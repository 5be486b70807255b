"""ClickHouse as a source, as far as one gets without an engine: its address, its errors, and what becomes of many windows.

Against a real engine, fed by a collector: ``tests/backends/test_clickhouse_source.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from radiosonde._clock import wall_ns
from radiosonde.cli import main
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.sources import ClickHouseAddress, open_source, parse
from radiosonde.store.window_text import window_text
from tests.e2e._receivers import free_port
from tests.factories import HOUR_NS, make_window
from tests.http_server import Handler, http_server

MINUTE_NS, DAY_NS = 60 * 10**9, 24 * HOUR_NS


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("clickhouse://db/otel", ClickHouseAddress("db", 8123, "otel"), "clickhouse://db:8123/otel"),
        ("clickhouse://db:9000/otel/", ClickHouseAddress("db", 9000, "otel"), "clickhouse://db:9000/otel"),
        (
            "clickhouse://me:p%40ss@db/otel?secure=true", ClickHouseAddress("db", 8443, "otel", "me", "p@ss", secure=True),
            "clickhouse://me@db:8443/otel?secure=true",
        ),
        ("clickhouse://[::1]:81/a%20b", ClickHouseAddress("::1", 81, "a b"), "clickhouse://[::1]:81/a b"),
        ("store.sqlite", Path("store.sqlite"), "store.sqlite"),
        ("clickhouse/otel", Path("clickhouse/otel"), "clickhouse/otel"),
    ],
    ids=["plain", "port", "all", "IPv6", "a store", "a folder"],
)  # fmt: skip
def test_an_address_is_read_and_shown_without_its_password(text, expected, shown):
    """A path stays a path."""
    found = parse(text)
    assert found == expected
    assert str(found) == shown
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "text",
    ["clickhouse://", "clickhouse://db", "clickhouse:///otel", "clickhouse://db/a/b", "clickhouse://db/otel?tls=1",
     "clickhouse://db:port/otel", "clickhouse://db/otel?secure=maybe", "clickhouse://me:hidden@db", "clickhouse://[::1/otel"],
    ids=range(9),
)  # fmt: skip
def test_a_wrong_address_is_refused_with_its_form(text):
    """And without the password in it."""
    with pytest.raises(ConfigurationError, match=r"write clickhouse://") as refused:
        parse(text)
    assert "hidden" not in str(refused.value)


def test_the_command_line_refuses_a_wrong_address(capsys):
    """As any argument that cannot be used."""
    assert main(["diagnose", "clickhouse://db"]) == 2
    assert "write clickhouse://" in capsys.readouterr().err


@contextmanager
def database(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Run a server that answers queries; yield its address, and the queries with their headers."""
    asked: list[tuple[str, Any]] = []

    class Database(Handler):
        def respond(self) -> None:
            query = self.body().decode()
            asked.append((query, self.headers))
            self.answer(*answer(query))

    with http_server(Database) as server:
        yield f"clickhouse://127.0.0.1:{server.server_port}/otel", asked


def lines(*rows: dict[str, Any]) -> bytes:
    """Return rows as ClickHouse sends them."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


SOME = lines({"windows": 1, "written": "5"})


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b"Code: 60. DB::Exception: Table otel.otel_logs does not exist\nmore", "does not exist; check"),
        (516, b"Authentication failed", "answered 516: Authentication failed; check"),
        (200, b"Code: 241. Memory limit exceeded\n", "ended its answer: Code: 241. Memory limit exceeded; try again"),
        (200, lines({"windows": 0, "written": 0}), "has no windows; set RADIOSONDE_WINDOW_EVENTS=true"),
    ],
    ids=["no table", "no access", "in the middle", "no windows"],
)
def test_an_error_of_the_database_says_what_to_do(status, body, message):
    """When the source is opened."""
    with (
        database(lambda _: (status, body)) as (address, _),
        pytest.raises(StoreError, match=message.replace(".", r"\.")),
    ):
        open_source(parse(address))


def test_a_database_that_does_not_listen_is_an_error():
    """With its address, and without its password."""
    port = free_port()
    with pytest.raises(StoreError, match=rf"clickhouse://me@127.0.0.1:{port}/otel does not answer") as failed:
        open_source(parse(f"clickhouse://me:hidden@127.0.0.1:{port}/otel"))
    assert "hidden" not in str(failed.value)


def test_user_and_password_come_from_the_environment_or_the_address(monkeypatch, capsys):
    """Those of the address win."""
    monkeypatch.setenv("CLICKHOUSE_USER", "someone")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
    with database(lambda _: (403, b"no")) as (address, asked):
        assert main(["diagnose", address]) == 2
        assert main(["diagnose", address.replace("//", "//me:mine@")]) == 2
    assert [(headers["X-ClickHouse-User"], headers["X-ClickHouse-Key"]) for _, headers in asked] == [
        ("someone", "secret"), ("me", "mine"),
    ]  # fmt: skip
    assert all(headers["X-ClickHouse-Database"] == "otel" for _, headers in asked)
    assert "secret" not in capsys.readouterr().err


class Held:
    """A database with windows, by day."""

    def __init__(self, windows: list[Any], written_ns: int) -> None:
        self._days: dict[int, list[dict[str, Any]]] = {}
        self._written_ns = written_ns
        for number, window in enumerate(windows):
            body = window_text(window, process="p", written_ns=written_ns)
            row = {"instance": "one", "number": str(number), "body": body}
            self._days.setdefault((window.end_ns - 1) // DAY_NS, []).append(row)

    def answer(self, query: str) -> tuple[int, bytes]:
        """Answer the queries of a reader."""
        if "count() AS windows" in query:
            return 200, SOME
        if " AS day" in query:
            return 200, lines(*({"day": day, "written": str(self._written_ns)} for day in sorted(self._days)))
        if "sketch" in query:
            return 200, b""
        (day,) = (day for day in self._days if f"toInt64({day * DAY_NS}))" in query.partition("Timestamp > ")[2][:60])
        return 200, lines(*self._days[day])


@pytest.mark.parametrize(
    ("age_days", "parts"), [(0, 180), (1.5, 180), (3, 3), (400, 3)], ids=["now", "yesterday", "days ago", "a year ago"]
)
def test_windows_that_were_written_long_ago_are_added_up_to_hours(age_days, parts):
    """As a store does with them; by the time of writing, so that a replay of old traffic keeps its minutes."""
    written = [
        make_window(start_ns=DAY_NS + minute * MINUTE_NS, end_ns=DAY_NS + (minute + 1) * MINUTE_NS)
        for minute in range(180)
    ]
    held = Held(written, wall_ns() - round(age_days * DAY_NS))
    with database(held.answer) as (address, _):
        found = open_source(parse(address)).windows()
    assert len(found) == parts
    assert sum(window.calls for window in found) == sum(window.calls for window in written)
    assert {(window.end_ns - window.start_ns) // MINUTE_NS for window in found} == {180 // parts}


def test_days_are_read_one_after_the_other_and_bounds_are_in_the_query():
    """What is asked for a day has the bounds of the day, of the interval, and the model with its quotes escaped."""
    written = [make_window(start_ns=day * DAY_NS, end_ns=day * DAY_NS + MINUTE_NS) for day in range(3, 6)]
    with database(Held(written, wall_ns()).answer) as (address, asked):
        found = open_source(parse(address), sketches=False).windows(7, 9 * DAY_NS, "it's \\")
    assert [window.start_ns // DAY_NS for window in found] == [3, 4, 5]
    days = [query for query, _ in asked if "any(Body)" in query]
    assert len(days) == 3
    for day, query in zip(range(3, 6), days, strict=True):
        assert f"Timestamp > fromUnixTimestamp64Nano(toInt64({day * DAY_NS}))" in query
        assert f"Timestamp <= fromUnixTimestamp64Nano(toInt64({(day + 1) * DAY_NS}))" in query
        assert "Timestamp > fromUnixTimestamp64Nano(toInt64(7))" in query
        assert f"< {9 * DAY_NS}" in query
        assert r"= 'it\'s \\'" in query


def test_a_damaged_event_is_named():
    """With the process and the number that it has."""
    held = Held([make_window(start_ns=DAY_NS, end_ns=DAY_NS + MINUTE_NS)], wall_ns())

    def answer(query: str) -> tuple[int, bytes]:
        status, body = held.answer(query)
        return status, body.replace(b"start_ns", b"begun_ns") if b"any(Body)" in query.encode() else body

    with database(answer) as (address, _), pytest.raises(StoreError, match="window 0 of process one is damaged"):
        open_source(parse(address)).windows()


def test_a_command_that_writes_refuses_a_database(capsys):
    """With what to give instead."""
    with database(lambda query: (200, SOME if "count() AS windows" in query else b"")) as (address, _):
        assert main(["baseline", "exclude", "--why", "known", address, "1970-01-02", "1970-01-03"]) == 2
    assert "keeps no annotations; name a store instead" in capsys.readouterr().err
