"""A copy of a database's windows in a store, kept up by reading what is new: what a watch reads instead of the database.

A diagnosis reads all windows of a model. From a database that is a scan of months of events, as often as once a minute; from a store it is a
local file, whose windows are added up to hours and days as they age. So a watch copies each window once and diagnoses the copy, which is
also what it goes on with after a restart.

New windows are found by time and number. The time of an event is the end of its window:

* every time, windows that ended within `NEAR_NS` before the newest one are listed by process and number, and those that are not copied yet
  are read;
* once an hour, and at first, the same is done with all that ended within the *lateness*: labels arrive days after their predictions, in windows
  that end when those did. What arrives later is not read.

A window is listed `SETTLES_NS` after its end by the wall clock, because its parts come from many processes through a collector: half of them
would be taken for a drop of traffic.

Days are copied one after the other, and at most `BATCH` windows are in memory. The copy is complete when everything that was listed is
written; one that is interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from radiosonde._clock import NS, monotonic_ns
from radiosonde.errors import StoreError
from radiosonde.semconv import events
from radiosonde.sources.clickhouse_sql import (
    DAY,
    END,
    INSTANCE,
    NUMBER,
    WRITTEN,
    is_event,
    quoted,
    reference_rows,
    select,
    time_of,
    window_of,
)
from radiosonde.store.compact import HOUR_NS
from radiosonde.store.copied import CopyProgress, NumberedWindow, Span, StoreCopy, missing, spans_of
from radiosonde.store.retention import DAY_NS

if TYPE_CHECKING:
    from pathlib import Path

    from radiosonde.sources.address import ClickHouseAddress

SETTLES_NS = 30 * NS
"""How long the parts of a window may take to arrive: an export interval, and the batches of a collector."""
NEAR_NS = HOUR_NS
LATE_NS = 7 * DAY_NS
"""The default of the lateness."""
BATCH = 500
"""Windows that are read and written at once."""
SPANS = 200
"""Spans of numbers in one query, which is 20 KiB of conditions: ClickHouse reads at most 256 KiB."""

_LONGEST_AGO_NS = -(2**62)


class DatabaseCopy:
    """The copy of one database in the store at *path*.

    Args:
        address: of the database.
        path: the SQLite file; made when missing.
        late_ns: the lateness.

    Attributes:
        is_ending: called between two batches; if it returns True, the copy is interrupted.

    Raises:
        StoreError: no store can be opened or made at *path*.
    """

    def __init__(self, address: ClickHouseAddress, path: Path, late_ns: int = LATE_NS) -> None:
        self._address, self._late_ns = address, late_ns
        self._copy = StoreCopy(path, str(address))
        self._all_listed_ns: int | None = None  # monotonic
        self.is_ending: Callable[[], bool] = lambda: False

    @property
    def is_empty(self) -> bool:
        """Whether the copy has never been complete.

        Raises:
            StoreError: the copy cannot be read.
        """
        return self._copy.progress() == CopyProgress()

    def refresh(self, now_ns: int) -> int:
        """Copy what is new; return the number of windows.

        Args:
            now_ns: wall clock.

        Raises:
            StoreError: the database cannot be read, or the copy not be written; batches that were written stay.
        """
        former = self._copy.progress()
        is_far = self._all_listed_ns is None or monotonic_ns() - self._all_listed_ns >= HOUR_NS
        newest_ns = min(former.newest_ns, now_ns)
        after_ns = (
            newest_ns - (max(self._late_ns, NEAR_NS) if is_far else NEAR_NS) if former.newest_ns else _LONGEST_AGO_NS
        )
        after_ns = max(after_ns, former.floor_ns or _LONGEST_AGO_NS)
        until_ns = now_ns - SETTLES_NS
        self._copy.write_references(reference_rows(self._address, after_ns if former.newest_ns else None))
        copied, listed, windows = self._copy.copied(), set[str](), 0
        for start_ns, end_ns in self._days(after_ns, until_ns):
            day, last_ns = self._listed(start_ns, end_ns)
            listed |= day.keys()
            windows += self._copy_windows((start_ns, end_ns), missing(day, copied))
            if windows and is_far:
                self._copy.tidy(now_ns)
            newest_ns = max(newest_ns, last_ns)
        if windows:
            self._copy.tidy(now_ns)
        if windows or is_far:
            # Where the clock was put back, windows that were copied are not listed.
            forgets = is_far and bool(former.newest_ns) and until_ns >= former.newest_ns
            floor_ns = max(former.floor_ns, after_ns) if forgets else former.floor_ns
            self._copy.complete(CopyProgress(newest_ns, floor_ns), listed if forgets else None)
        if is_far:
            self._all_listed_ns = monotonic_ns()
        return windows

    def close(self) -> None:
        """Close the copy."""
        self._copy.close()

    # Queries --------------------------------------------------------------------------------------------------------

    def _days(self, after_ns: int, until_ns: int) -> Iterator[Span]:
        """Yield the bounds of each day with windows, ascending; one that is shorter than a day is one whole."""
        if until_ns - after_ns <= DAY_NS:
            yield after_ns, until_ns
            return
        bounds = _between(after_ns, until_ns)
        columns = {"day": DAY}
        for row in list(self._rows(columns, f"{bounds} AND {is_event(events.WINDOW)}", "GROUP BY day ORDER BY day")):
            start_ns = int(row["day"]) * DAY_NS
            yield max(start_ns, after_ns), min(start_ns + DAY_NS, until_ns)

    def _listed(self, start_ns: int, end_ns: int) -> tuple[dict[str, list[Span]], int]:
        """Return the numbers of the windows that end after one instant and up to another, by process, and when the last of them ends."""
        columns = {"instance": INSTANCE, "numbers": f"groupUniqArray({NUMBER})", "newest": f"max({END})"}
        found: dict[str, list[Span]] = {}
        newest_ns = 0
        for row in self._rows(
            columns, f"{_between(start_ns, end_ns)} AND {is_event(events.WINDOW)}", "GROUP BY instance"
        ):
            found[row["instance"]] = spans_of(map(int, row["numbers"]))
            newest_ns = max(newest_ns, int(row["newest"]))
        return found, newest_ns

    def _copy_windows(self, bounds: Span, wanted: Mapping[str, Sequence[Span]]) -> int:
        written = 0
        for part in _parts(wanted):
            if self.is_ending():
                raise StoreError("the copy of the database was interrupted; it goes on at the next start")
            condition = " OR ".join(
                f"({INSTANCE} = {quoted(process)} AND {NUMBER} BETWEEN {first} AND {last})"
                for process, (first, last) in part
            )
            columns = {"instance": INSTANCE, "number": NUMBER, "written": f"any({WRITTEN})", "body": "any(Body)"}
            rows = self._rows(
                columns,
                f"{_between(*bounds)} AND {is_event(events.WINDOW)} AND ({condition})",
                "GROUP BY instance, number ORDER BY instance, number",
            )
            written += self._copy.write(
                [
                    NumberedWindow(
                        row["instance"], int(row["number"]), int(row["written"]), window_of(self._address, row)
                    )
                    for row in rows
                ]
            )
        return written

    def _rows(self, columns: Mapping[str, str], condition: str, more: str) -> Iterator[dict[str, str]]:
        return select(self._address, columns, condition, more)


def _between(after_ns: int, until_ns: int) -> str:
    bounds = [f"Timestamp <= {time_of(until_ns)}"]
    if after_ns > _LONGEST_AGO_NS:
        bounds.insert(0, f"Timestamp > {time_of(after_ns)}")
    return " AND ".join(bounds)


def _parts(wanted: Mapping[str, Sequence[Span]]) -> Iterator[list[tuple[str, Span]]]:
    """Yield the numbers of *wanted* in parts of at most `BATCH` windows and `SPANS` spans."""
    part: list[tuple[str, Span]] = []
    room = BATCH
    for process, spans in wanted.items():
        for first, last in spans:
            begin = first
            while begin <= last:
                end = min(last, begin + room - 1)
                part.append((process, (begin, end)))
                room -= end - begin + 1
                begin = end + 1
                if not room or len(part) == SPANS:
                    yield part
                    part, room = [], BATCH
    if part:
        yield part
