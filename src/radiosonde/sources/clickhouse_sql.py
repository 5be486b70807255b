"""Queries of the table of log records that OpenTelemetry's ClickHouse exporter writes, through ClickHouse's HTTP interface.

The standard library is enough for them: a handful of statements needs no driver.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, Window
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.sources.address import ClickHouseAddress
from radiosonde.store import Interval, ReferenceRow
from radiosonde.store.retention import DAY_NS
from radiosonde.store.window_text import window_of_text

TIMEOUT_S = 60.0
"""Longest wait for a part of an answer."""


def attribute(name: str) -> str:
    """Return the expression of an attribute of a record, as text."""
    return f"LogAttributes['{name}']"


def number(name: str) -> str:
    """Return the expression of an attribute of a record, as a number."""
    return f"toInt64OrZero({attribute(name)})"


VERSION = {"model": attribute(names.MODEL_NAME), "version": attribute(names.MODEL_VERSION)}
RELEASE = {**VERSION, "variant": attribute(names.VARIANT)}
END = "toUnixTimestamp64Nano(Timestamp)"
DAY = f"if({END} > 0, intDiv({END} - 1, {DAY_NS}), intDiv({END}, {DAY_NS}) - 1)"
"""The day since the epoch in which a window ends; one that ends at midnight belongs to the day before."""
INSTANCE = f"ResourceAttributes['{names.SERVICE_INSTANCE_ID}']"
START, WRITTEN, NUMBER = (number(name) for name in (names.WINDOW_START, names.WINDOW_WRITTEN, names.WINDOW_NUMBER))


def quoted(text: str) -> str:
    """Return *text* as a literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def time_of(ns: int) -> str:
    """Return the time *ns* nanoseconds after the Unix epoch as an expression."""
    return f"fromUnixTimestamp64Nano(toInt64({ns}))"


def is_event(event: str) -> str:
    """Return the condition on the records of an event."""
    return f"{attribute(names.EVENT_NAME)} = '{event}'"


def chosen(interval: Interval, event: str = events.WINDOW) -> str:
    """Return the condition on the events of an interval; the time of an event is the end of its window."""
    model = RELEASE["model"]
    parts = [is_event(event), f"{model} {'=' if interval.runtime else '!='} {quoted(RUNTIME_MODEL)}"]
    if interval.model is not None:
        parts.append(f"{model} = {quoted(interval.model)}")
    if interval.start_ns is not None:
        parts.append(f"Timestamp > {time_of(interval.start_ns)}")
    if interval.end_ns is not None:
        parts.append(f"{START} < {interval.end_ns}")
    return " AND ".join(parts)


def select(
    address: ClickHouseAddress, columns: Mapping[str, str], condition: str, more: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a query of table ``otel_logs`` by column.

    Raises:
        StoreError: there is none.
    """
    selected = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    query = f"SELECT {selected} FROM otel_logs WHERE {condition} {more} FORMAT JSONEachRow"  # noqa: S608 - names and numbers are ours, text is quoted
    headers = {"X-ClickHouse-Database": address.database, "Content-Type": "text/plain; charset=utf-8"}
    if address.user:
        headers |= {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password}
    request = urllib.request.Request(address.url, query.encode(), headers, method="POST")  # noqa: S310 - http or https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - same
            for line in answer:
                try:
                    row = json.loads(line)
                except ValueError:  # an error in the middle of an answer is a line of text
                    raise StoreError(f"{address} ended its answer: {_first(line)}; try again") from None
                yield row
    except urllib.error.HTTPError as error:
        with error:
            said = _first(error.read(2000))
        raise StoreError(
            f"{address} answered {error.code}: {said}; check the database, its tables and the user"
        ) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise StoreError(f"{address} does not answer ({reason}); check host and port of its HTTP interface") from error


def _first(text: bytes) -> str:
    return text.decode(errors="replace").strip().partition("\n")[0][:300]


def reference_rows(address: ClickHouseAddress, after_ns: int | None = None) -> list[ReferenceRow]:
    """Return the references, or those that were sent after an instant.

    Raises:
        StoreError: the database cannot be read.
    """
    condition = is_event(events.REFERENCE)
    if after_ns is not None:
        condition = f"Timestamp > {time_of(after_ns)} AND {condition}"
    columns = {
        **VERSION, "reference_id": attribute(names.REFERENCE_ID), "document": "any(Body)", "written_ns": f"max({WRITTEN})",
    }  # fmt: skip
    rows = select(address, columns, condition, "GROUP BY model, version, reference_id")
    return [ReferenceRow(**{**row, "written_ns": int(row["written_ns"])}) for row in rows]


def window_of(address: ClickHouseAddress, row: Mapping[str, Any]) -> Window:
    """Return the window in the body of *row*.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return window_of_text(row["body"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{address}: window {row['number']} of process {row['instance']} is damaged ({error}); delete the event, "
            f"or upgrade radiosonde if a newer version wrote it"
        ) from error
