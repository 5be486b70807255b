"""Reading windows from ClickHouse: the events ``radiosonde.window`` in the table that OpenTelemetry's exporter writes.

Each event is a whole window as one document (`radiosonde.store.window_text`), so a diagnosis finds in ClickHouse what it finds in a
store. The SQL views over metrics answer questions of people; they cannot give windows back, because metrics have no cells by variant, no
phases by cohort, and count labels by when they came.

Days are read one after the other, with the bounds of time in the query. The parts of a window, of which every late label is one, are added up,
and the windows of days that were written long ago to hours, as a store does with them: at most one day of parts is in memory at a time. The HTTP interface of ClickHouse is
queried by the standard library: four statements need no driver.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from radiosonde._clock import wall_ns
from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, Window
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.sketches import merge_bytes
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources.address import ClickHouseAddress
from radiosonde.store import Interval, ReferenceRow, SeriesSummary
from radiosonde.store.compact import HOUR_NS, Tiers
from radiosonde.store.retention import DAY_NS
from radiosonde.store.window_text import window_of_text

TIMEOUT_S = 60.0
"""Longest wait for a part of an answer."""

_TURN_ON = "set RADIOSONDE_WINDOW_EVENTS=true where the models are served, with OTLP to a collector that writes to it"


def _attribute(name: str) -> str:
    return f"LogAttributes['{name}']"


def _number(name: str) -> str:
    return f"toInt64OrZero({_attribute(name)})"


_VERSION = {"model": _attribute(names.MODEL_NAME), "version": _attribute(names.MODEL_VERSION)}
_RELEASE = {**_VERSION, "variant": _attribute(names.VARIANT)}
_END = "toUnixTimestamp64Nano(Timestamp)"
_INSTANCE = f"ResourceAttributes['{names.SERVICE_INSTANCE_ID}']"
_START, _WRITTEN = _number(names.WINDOW_START), _number(names.WINDOW_WRITTEN)


class ClickHouseReader:
    """Reads one database; holds nothing open between calls.

    Args:
        address: of the database.
        sketches: kinds of sketches to read too; True for all.
        tiers: ages at which windows are added up.
    """

    annotations_path = None
    """Annotations are kept in stores only."""

    def __init__(
        self, address: ClickHouseAddress, *, sketches: bool | Sequence[str] = True, tiers: Tiers | None = None
    ) -> None:
        self._address = address
        self._sketches = sketches
        self._minutes_ns = (tiers or Tiers()).minutes_ns

    @property
    def path(self) -> ClickHouseAddress:
        """The address."""
        return self._address

    # Parts ----------------------------------------------------------------------------------------------------------

    def parts(self, interval: Interval) -> list[tuple[int, Window]]:
        """Return (id, part) for every window in *interval*.

        Raises:
            StoreError: the database cannot be read, or an event is damaged.
        """
        found: list[tuple[int, Window]] = []
        settled_ns = wall_ns() - self._minutes_ns
        for day, written_ns in self._days(interval):
            found += _added_up(self._day(day, interval), HOUR_NS if written_ns < settled_ns else 1)
        return found

    def _days(self, interval: Interval) -> list[tuple[int, int]]:
        """Return the days in which windows end, and when the newest of each was written."""
        columns = {"day": f"intDiv({_END} - 1, {DAY_NS})", "written": f"max({_WRITTEN})"}
        found = self._select(columns, _chosen(interval), "GROUP BY day ORDER BY day")
        return [(int(row["day"]), int(row["written"])) for row in found]

    def _day(self, day: int, interval: Interval) -> list[tuple[int, Window]]:
        bounds = f"Timestamp > {_time(day * DAY_NS)} AND Timestamp <= {_time((day + 1) * DAY_NS)}"
        columns = {"instance": _INSTANCE, "number": _number(names.WINDOW_NUMBER), "body": "any(Body)"}
        parts: dict[int, Window] = {}
        # The first window of a release and span of time in which a process has counted features.
        held: dict[tuple[Any, ...], int] = {}
        for row in self._select(
            columns, f"{bounds} AND {_chosen(interval)}", "GROUP BY instance, number ORDER BY instance, number"
        ):
            try:
                window = window_of_text(row["body"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(
                    f"{self._address}: window {row['number']} of process {row['instance']} is damaged ({error}); delete the event, "
                    f"or upgrade radiosonde if a newer version wrote it"
                ) from error
            part = _part_id(row["instance"], row["number"])
            parts[part] = window
            if window.features is not None and window.features.names:
                held.setdefault((row["instance"], *window.key[:3], window.start_ns, window.end_ns), part)
        if self._sketches and held:
            self._add_sketches(parts, held, f"{bounds} AND {_chosen(interval, events.SKETCH_WINDOW)}")
        return list(parts.items())

    def _add_sketches(self, parts: dict[int, Window], held: dict[tuple[Any, ...], int], condition: str) -> None:
        """Give the sketches of a release to one of its windows: they are sent with cohorts added up, and read by release."""
        if not isinstance(self._sketches, bool):
            condition += f" AND kind IN ({', '.join(map(_quoted, self._sketches))})"
        columns = {
            "instance": _INSTANCE, **_RELEASE, "started": _START, "ended": _END, "cohort": _attribute(names.COHORT),
            "feature": _attribute(names.FEATURE_NAME), "kind": _attribute(names.SKETCH_KIND), "body": "Body",
        }  # fmt: skip
        bodies: dict[int, dict[tuple[str, str], list[bytes]]] = {}
        for row in self._select(columns, condition, f"GROUP BY {', '.join(columns)} ORDER BY {', '.join(columns)}"):
            part = held.get(
                (row["instance"], row["model"], row["version"], row["variant"], int(row["started"]), int(row["ended"]))
            )
            if part is not None:
                kept = bodies.setdefault(part, {})
                kept.setdefault((row["feature"], row["kind"]), []).append(b64decode(row["body"]))
        for part, sketches in bodies.items():
            features = parts[part].features
            assert features is not None  # noqa: S101 - narrowing; only windows with features are held
            merged = {(feature, kind): merge_bytes(kind, found) for (feature, kind), found in sketches.items()}
            parts[part] = replace(parts[part], features=replace(features, sketches=merged))

    # Summaries -------------------------------------------------------------------------------------------------------

    def references(self) -> list[ReferenceRow]:
        """Return every reference.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = {
            **_VERSION, "reference_id": _attribute(names.REFERENCE_ID), "document": "any(Body)", "written_ns": f"max({_WRITTEN})",
        }  # fmt: skip
        rows = self._select(columns, _is(events.REFERENCE), "GROUP BY model, version, reference_id")
        return [ReferenceRow(**{**row, "written_ns": int(row["written_ns"])}) for row in rows]

    def summaries(self) -> list[SeriesSummary]:
        """Return a summary, per model, version and variant.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = {
            **_RELEASE,
            "cohorts": f"uniqExact({_attribute(names.COHORT)})",
            "processes": "uniqExact(JSONExtractString(Body, 'process'))",
            "windows": f"uniqExact({_INSTANCE}, {_number(names.WINDOW_NUMBER)})",
            "start_ns": f"min({_START})",
            "end_ns": f"max({_END})",
            "calls": "sum(JSONExtractInt(Body, 'calls'))",
            "rows": "sum(JSONExtractInt(Body, 'rows'))",
        }
        key = ", ".join(_RELEASE)
        found = self._select(columns, _chosen(Interval()), f"GROUP BY {key} ORDER BY {key}")
        return [
            SeriesSummary(*(row[name] for name in _RELEASE), *(int(row[name]) for name in SeriesSummary._fields[3:]))
            for row in found
        ]

    def held_bytes(self) -> int:
        """Return the bytes of all windows, before compression.

        Raises:
            StoreError: the database cannot be read.
        """
        (row,) = self._select({"bytes": "sum(length(Body))"}, _is(events.WINDOW))
        return int(row["bytes"])

    def last_written_ns(self) -> int | None:
        """Return when the newest window was written, by the writer's wall clock; None without windows.

        Raises:
            StoreError: the database cannot be read.
        """
        return self.mark()[1] or None

    def mark(self) -> tuple[int, int]:
        """Return a value that changes when a window is added: the number of windows, and when the last was written.

        Raises:
            StoreError: the database cannot be read.
        """
        (row,) = self._select({"windows": "count()", "written": f"max({_WRITTEN})"}, _is(events.WINDOW))
        return int(row["windows"]), int(row["written"])

    def spans(self) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = {"model": _RELEASE["model"], "started": _START, "ended": _END}
        found = self._select(columns, _is(events.WINDOW), "GROUP BY model, started, ended")
        return {(row["model"], int(row["started"]), int(row["ended"])) for row in found}

    def check(self) -> None:
        """See that there are windows.

        Raises:
            StoreError: the database cannot be read, or has none.
        """
        if not self.mark()[0]:
            raise StoreError(f"{self._address} has no windows; {_TURN_ON}")

    # The HTTP interface ---------------------------------------------------------------------------------------------

    def _select(self, columns: Mapping[str, str], condition: str, more: str = "") -> Iterator[dict[str, Any]]:
        """Yield the rows of a query of table ``otel_logs`` by column.

        Raises:
            StoreError: there is none.
        """
        address = self._address
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
            raise StoreError(
                f"{address} does not answer ({reason}); check host and port of its HTTP interface"
            ) from error


def _first(text: bytes) -> str:
    return text.decode(errors="replace").strip().partition("\n")[0][:300]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _time(ns: int) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({ns}))"


def _is(event: str) -> str:
    return f"{_attribute(names.EVENT_NAME)} = '{event}'"


def _chosen(interval: Interval, event: str = events.WINDOW) -> str:
    """Return the condition on ``otel_logs`` for the events of an interval; the time of an event is the end of its window."""
    model = _RELEASE["model"]
    parts = [_is(event), f"{model} {'=' if interval.runtime else '!='} {_quoted(RUNTIME_MODEL)}"]
    if interval.model is not None:
        parts.append(f"{model} = {_quoted(interval.model)}")
    if interval.start_ns is not None:
        parts.append(f"Timestamp > {_time(interval.start_ns)}")
    if interval.end_ns is not None:
        parts.append(f"{_START} < {interval.end_ns}")
    return " AND ".join(parts)


def _part_id(instance: str, number: object) -> int:
    return int.from_bytes(blake2b(f"{instance} {number}".encode(), digest_size=8).digest(), "big")


def _added_up(parts: list[tuple[int, Window]], length_ns: int) -> list[tuple[int, Window]]:
    """Return the sum of the windows of each series and process that begin in the same slot; a window longer than a slot is one of its own."""
    ids: dict[tuple[Any, ...], int] = {}

    def slot(window: Window) -> tuple[Any, ...]:
        long_ns = max(length_ns, window.end_ns - window.start_ns)
        return (window.key, window.process, long_ns, window.start_ns // long_ns)

    for part, window in parts:
        ids[slot(window)] = min(part, ids.get(slot(window), part))
    summed = merge_windows((window for _, window in parts), by=slot)
    # Windows of one slot whose geometry differs stay apart, and each has an id of its own.
    return [(_part_id(str(ids[slot(window)]), place), window) for place, window in enumerate(summed)]
