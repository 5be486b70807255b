"""Reading windows from ClickHouse: the events ``radiosonde.window`` in the table that OpenTelemetry's exporter writes.

Each event is a whole window as one document (`radiosonde.store.window_text`), so a diagnosis finds in ClickHouse what it finds in a
store. The SQL views over metrics answer questions of people; they cannot give windows back, because metrics have no cells by variant, no
phases by cohort, and count labels by when they came.

Days are read one after the other, with the bounds of time in the query. The parts of a window, of which every late label is one, are added up,
and the windows of days that were written long ago to hours, as a store does with them: at most one day of parts is in memory at a time. A
watch, which looks again and again, keeps a copy instead (`radiosonde.sources.database_copy`).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from radiosonde._clock import wall_ns
from radiosonde.errors import StoreError
from radiosonde.model import Window
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.sketches import merge_bytes
from radiosonde.sketches.merge import merge_windows
from radiosonde.sources.address import ClickHouseAddress
from radiosonde.sources.clickhouse_sql import (
    DAY,
    END,
    INSTANCE,
    NUMBER,
    RELEASE,
    START,
    WRITTEN,
    attribute,
    chosen,
    is_event,
    quoted,
    reference_rows,
    select,
    time_of,
    window_of,
)
from radiosonde.store import Interval, ReferenceRow, SeriesSummary
from radiosonde.store.compact import HOUR_NS, Tiers
from radiosonde.store.retention import DAY_NS

_TURN_ON = "set RADIOSONDE_WINDOW_EVENTS=true where the models are served, with OTLP to a collector that writes to it"


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
        columns = {"day": DAY, "written": f"max({WRITTEN})"}
        found = select(self._address, columns, chosen(interval), "GROUP BY day ORDER BY day")
        return [(int(row["day"]), int(row["written"])) for row in found]

    def _day(self, day: int, interval: Interval) -> list[tuple[int, Window]]:
        bounds = f"Timestamp > {time_of(day * DAY_NS)} AND Timestamp <= {time_of((day + 1) * DAY_NS)}"
        columns = {"instance": INSTANCE, "number": NUMBER, "body": "any(Body)"}
        parts: dict[int, Window] = {}
        # The first window of a release and span of time in which a process has counted features.
        held: dict[tuple[Any, ...], int] = {}
        for row in select(
            self._address,
            columns,
            f"{bounds} AND {chosen(interval)}",
            "GROUP BY instance, number ORDER BY instance, number",
        ):
            window = window_of(self._address, row)
            part = _part_id(row["instance"], row["number"])
            parts[part] = window
            if window.features is not None and window.features.names:
                held.setdefault((row["instance"], *window.key[:3], window.start_ns, window.end_ns), part)
        if self._sketches and held:
            self._add_sketches(parts, held, f"{bounds} AND {chosen(interval, events.SKETCH_WINDOW)}")
        return list(parts.items())

    def _add_sketches(self, parts: dict[int, Window], held: dict[tuple[Any, ...], int], condition: str) -> None:
        """Give the sketches of a release to one of its windows: they are sent with cohorts added up, and read by release."""
        if not isinstance(self._sketches, bool):
            condition += f" AND kind IN ({', '.join(map(quoted, self._sketches))})"
        columns = {
            "instance": INSTANCE, **RELEASE, "started": START, "ended": END, "cohort": attribute(names.COHORT),
            "feature": attribute(names.FEATURE_NAME), "kind": attribute(names.SKETCH_KIND), "number": NUMBER,
        }  # fmt: skip
        key = ", ".join(columns)
        columns["body"] = "any(Body)"
        bodies: dict[int, dict[tuple[str, str], list[bytes]]] = {}
        for row in select(self._address, columns, condition, f"GROUP BY {key} ORDER BY {key}"):
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
        return reference_rows(self._address)

    def summaries(self) -> list[SeriesSummary]:
        """Return a summary, per model, version and variant.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = {
            **RELEASE,
            "cohorts": f"uniqExact({attribute(names.COHORT)})",
            "processes": "uniqExact(JSONExtractString(Body, 'process'))",
            "windows": f"uniqExact({INSTANCE}, {NUMBER})",
            "start_ns": f"min({START})",
            "end_ns": f"max({END})",
            "calls": "sum(JSONExtractInt(Body, 'calls'))",
            "rows": "sum(JSONExtractInt(Body, 'rows'))",
        }
        key = ", ".join(RELEASE)
        found = select(self._address, columns, chosen(Interval()), f"GROUP BY {key} ORDER BY {key}")
        return [
            SeriesSummary(*(row[name] for name in RELEASE), *(int(row[name]) for name in SeriesSummary._fields[3:]))
            for row in found
        ]

    def held_bytes(self) -> int:
        """Return the bytes of all windows, before compression.

        Raises:
            StoreError: the database cannot be read.
        """
        (row,) = select(self._address, {"bytes": "sum(length(Body))"}, is_event(events.WINDOW))
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
        (row,) = select(self._address, {"windows": "count()", "written": f"max({WRITTEN})"}, is_event(events.WINDOW))
        return int(row["windows"]), int(row["written"])

    def spans(self) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = {"model": RELEASE["model"], "started": START, "ended": END}
        found = select(self._address, columns, is_event(events.WINDOW), "GROUP BY model, started, ended")
        return {(row["model"], int(row["started"]), int(row["ended"])) for row in found}

    def check(self) -> None:
        """See that there are windows.

        Raises:
            StoreError: the database cannot be read, or has none.
        """
        if not self.mark()[0]:
            raise StoreError(f"{self._address} has no windows; {_TURN_ON}")


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
