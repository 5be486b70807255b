"""Buffers rows until a provisional reference can be built from the first hour of traffic.

It is built when there are `PROVISIONAL_ROWS` rows *and* they cover the configured time (an hour by default), never earlier: against a
reference of the first eleven rows a third of ordinary traffic is outside. A flush and a commit keep the rows waiting; the end of the
process uses the rows there are. Until then `Backlog.preview` counts the waiting rows with an interim reference, for a scrape or a notebook:
a view that holds every row once, and does not affect closed windows.

Waiting rows are kept in separate memory (`radiosonde._aggregate.row_memory`). They are bounded in bytes, and in the number of pieces, which
are joined first. At the bound every second row is dropped, and the weight of the others and of later rows doubles: the window's counts are
then marked as estimates.

Rows of all streams that agree in model, version and features wait together, across processes, because counts add up only within one grid.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.decoding import as_categories, as_numbers
from radiosonde._aggregate.row_memory import COPIED_BYTES, RowMemory
from radiosonde._aggregate.thinning import Thinner
from radiosonde._clock import monotonic_ns, sleep
from radiosonde._ring.anonymous import room_for
from radiosonde._ring.text_codes import codes_of
from radiosonde.reference.fit import fit_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from radiosonde._aggregate.stream import Stream
    from radiosonde.reference.profile import Reference

PROVISIONAL_ROWS = 1000
"""Rows a provisional reference is made from at least: enough for ten cells, too few to find a shift below .25 sd."""

BACKLOG_BYTES = 4 << 20
"""Bytes of rows that wait for one reference: 17 000 rows of 30 features."""

PIECE_BYTES = COPIED_BYTES
"""Of rows that are counted at once for a snapshot: 512 rows of 30 features."""

BACKLOG_PARTS = 4096
"""Pieces they may wait in: a trickle makes one of each row, and each takes as much as 30 values."""

FITTED_ROWS = 20_000
"""Rows a reference is fitted from at most."""

INTERIM_ROWS = 2_000
"""Largest number of rows for an interim reference: a snapshot waits for it, and it is rebuilt as rows arrive."""

HURRIED_ROWS = 256
"""Rows that are counted where an exit has no time for all. numpy keeps the interpreter lock over so few values, so another
thread that is busy with Python or C code holds this one up a few times, not at each of some hundred operations."""

WIDE_VALUES = 256
"""Features that wait for a reference beyond which making it takes tenths of a second: deliver the rest first."""


class OutOfTimeError(Exception):
    """A deadline has passed."""


class Part(NamedTuple):
    """Rows of one stream, window and cohort, each of weight *weight*; of failed or of successful calls."""

    stream: Stream
    start_ns: int
    cohort: str
    rows: NDArray[np.float64]
    weight: int
    is_failed: bool = False


class Backlog:
    """Feature rows of one model that came before its grid.

    Args:
        span_ns: event time they must cover.
        thinner: draws the rows that stay when they become too many.
    """

    def __init__(self, span_ns: int, thinner: Thinner) -> None:
        self._span_ns = span_ns
        self._thinner = thinner
        self._parts: list[Part] = []
        self._memory: RowMemory | None = None
        self._step = 1
        self._rows = 0
        self._first_ns = self._last_ns = 0
        self._interim: tuple[int, Reference] | None = None

    @property
    def model(self) -> str:
        """Name of the model whose rows wait; empty when none do."""
        return self._parts[0].stream.model if self._parts else ""

    def add(self, part: Part) -> None:
        """Keep rows."""
        if not self._rows:
            self._first_ns = self._last_ns = part.start_ns
        self._first_ns, self._last_ns = min(self._first_ns, part.start_ns), max(self._last_ns, part.start_ns)
        self._rows += len(part.rows)
        memory = self._memory = self._memory or RowMemory(part.rows.shape[1], BACKLOG_BYTES)
        chosen = self._chosen(len(part.rows), self._step)
        while not memory.has_room(len(part.rows) if chosen is None else len(chosen)):
            self._halve()
            drawn = self._thinner.positions(len(part.rows) if chosen is None else len(chosen), 2)
            chosen = drawn if chosen is None else chosen[drawn]
        self._keep(part._replace(weight=part.weight * self._step), chosen)
        if len(self._parts) > BACKLOG_PARTS:
            self._begin_anew([each._replace(rows=each.rows.copy()) for each in gathered(self._parts)])
            if len(self._parts) > BACKLOG_PARTS // 2:  # else they would have to be gathered at each of the next rows
                self._halve()
        while len(self._parts) > BACKLOG_PARTS:
            self._halve()

    @property
    def size_bytes(self) -> int:
        """Bytes of the rows that wait."""
        return self._memory.size_bytes if self._memory is not None else 0

    def _halve(self) -> None:
        """Drop every second row; double the weight of the others and of later rows."""
        self._step *= 2
        parts, self._parts = self._parts, []
        if self._memory is not None:
            self._memory.clear()
        for part in parts:  # one after the other: each is copied to where it, or those before it, lay
            self._keep(part._replace(weight=2 * part.weight), self._chosen(len(part.rows), 2))

    def _chosen(self, rows: int, step: int) -> NDArray[np.int64] | None:
        """Return which of so many rows stay, None for all."""
        return None if step == 1 else self._thinner.positions(rows, step)

    def _begin_anew(self, parts: Iterable[Part]) -> None:
        """Replace the parts by a new list, so that holders of the former list keep it unchanged."""
        self._parts = []
        if self._memory is not None:
            self._memory.clear()
        for part in parts:
            self._keep(part)

    def _keep(self, part: Part, chosen: NDArray[np.int64] | None = None) -> None:
        if len(part.rows if chosen is None else chosen) and self._memory is not None:
            self._parts.append(part._replace(rows=self._memory.append(part.rows, chosen)))

    def _thinned(self, part: Part, step: int) -> Part:
        if step == 1:
            return part
        return part._replace(rows=part.rows[self._thinner.positions(len(part.rows), step)], weight=part.weight * step)

    @property
    def is_ready(self) -> bool:
        """Whether there are rows enough, over time enough, for a provisional reference."""
        return self._rows >= PROVISIONAL_ROWS and self._last_ns - self._first_ns >= self._span_ns

    @property
    def streams(self) -> list[Stream]:
        """Return whose rows wait."""
        return list({id(part.stream): part.stream for part in self._parts}.values())

    def parts(self) -> list[Part]:
        """Return the waiting rows."""
        return self._parts

    @property
    def estimated_rows(self) -> int:
        """Total weight of the waiting rows."""
        return sum(len(part.rows) * part.weight for part in self._parts)

    def take(self) -> Iterator[Part]:
        """Yield the waiting rows in pieces of about `PIECE_BYTES`; each piece is released when the next one is requested."""
        self._parts = [part for members in _of_one_window(self._parts) for part in members]
        while self._parts:
            members = self._last_piece()
            yield members[0]._replace(rows=np.concatenate([part.rows for part in members]))
            del self._parts[-len(members) :]

    def _last_piece(self) -> list[Part]:
        first, size_bytes = len(self._parts), 0
        group = _group(self._parts[-1])
        while first and size_bytes < PIECE_BYTES and _group(self._parts[first - 1]) == group:
            first -= 1
            size_bytes += self._parts[first].rows.nbytes
        return self._parts[first:]

    def thin_to(self, rows: int) -> None:
        """Keep about *rows* of the rows that wait, each for as many more."""
        step = -(-sum(len(part.rows) for part in self._parts) // rows)
        if step > 1:  # all are drawn before one is written: a backlog that was counted in part is in another order
            self._begin_anew([self._thinned(part, step) for part in self._parts])

    def reference(self, deadline_ns: int | None = None, most_rows: int = FITTED_ROWS) -> Reference:
        """Return the provisional reference of what waits.

        Args:
            deadline_ns: monotonic clock; with one, no thread is offered the interpreter lock between features.
            most_rows: rows to fit it from; of more, evenly spaced ones.

        Raises:
            OutOfTimeError: the deadline has passed.
        """

        def between() -> None:
            if deadline_ns is None:
                sleep(0)
            elif monotonic_ns() >= deadline_ns:
                raise OutOfTimeError

        stream = self._parts[0].stream
        parts = self._gathered(-(-sum(len(part.rows) for part in self._parts) // most_rows))
        block = room_for(sum(len(part.rows) for part in parts), len(stream.features))
        categories = {}
        for position, name in enumerate(stream.features):
            if deadline_ns is not None:
                between()
            vocabulary = _fill(block[:, position], parts, position)
            if vocabulary is not None:
                categories[name] = tuple(vocabulary)
        return fit_rows(stream.features, block, categories=categories, model=stream.model, between=between)

    def preview(self) -> tuple[Reference, list[list[Part]]] | None:
        """Return an interim reference and the waiting rows, with streams that use that reference; None when nothing waits.

        Parts of one stream, cohort and weight are joined; see `pieces` for counting them.

        The reference is rebuilt when the number of rows has doubled, so that its identity changes rarely.
        """
        if not self._parts:
            return None
        if self._interim is None or self._rows >= 2 * self._interim[0]:
            self._interim = self._rows, self.reference(most_rows=INTERIM_ROWS)
        reference = self._interim[1]
        shadows = {id(stream): dataclasses.replace(stream) for stream in self.streams}
        for shadow in shadows.values():
            shadow.adopt(reference)
        return reference, [
            [part._replace(stream=shadows[id(part.stream)]) for part in members] for members in self._groups()
        ]

    def _gathered(self, step: int) -> list[Part]:
        """Return one of every *step* waiting rows, grouped by stream, cohort and weight.

        At random, since traffic may be periodic; seeded, so that the same rows make the same reference.
        """
        found = []
        for members in self._groups():
            bounds = np.cumsum([0, *(len(member.rows) for member in members)])
            kept = Thinner(0).positions(int(bounds[-1]), step)
            parts = np.split(kept, np.searchsorted(kept, bounds[1:-1]))
            chosen = [member.rows[part - start] for member, part, start in zip(members, parts, bounds, strict=False)]
            rows = room_for(sum(map(len, chosen)), members[0].rows.shape[1])
            np.concatenate(chosen, out=rows)
            found.append(members[0]._replace(rows=rows))
        return found

    def _groups(self) -> list[list[Part]]:
        groups: dict[tuple[int, str, int, bool], list[Part]] = {}
        for part in self._parts:
            groups.setdefault((id(part.stream), part.cohort, part.weight, part.is_failed), []).append(part)
        return list(groups.values())


def gathered(parts: Iterable[Part]) -> list[Part]:
    """Return the parts grouped by stream, window, cohort, weight and result: low traffic adds one part per row."""
    return [
        members[0]._replace(rows=np.concatenate([each.rows for each in members])) if len(members) > 1 else members[0]
        for members in _of_one_window(parts)
    ]


def _of_one_window(parts: Iterable[Part]) -> list[list[Part]]:
    groups: dict[tuple[int, int, str, int, bool], list[Part]] = {}
    for part in parts:
        groups.setdefault(_group(part), []).append(part)
    return list(groups.values())


def _group(part: Part) -> tuple[int, int, str, int, bool]:
    return id(part.stream), part.start_ns, part.cohort, part.weight, part.is_failed


def pieces(members: list[Part]) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of parts, at most `PIECE_BYTES` at a time: counting costs by the piece, and holds it several times over.

    Every carrier counts the waiting rows for each snapshot, in its own thread, whose heap keeps its peak: with all rows at once each thread
    kept 10 MiB more.
    """
    most = max(1, PIECE_BYTES // max(1, members[0].rows.strides[0]))
    waiting: list[NDArray[np.float64]] = []
    rows = 0
    for part in members:
        start = 0
        while start < len(part.rows):
            waiting.append(part.rows[start : start + most - rows])
            start, rows = start + len(waiting[-1]), rows + len(waiting[-1])
            if rows == most:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting, rows = [], 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)


def _fill(column: NDArray[np.float64], parts: list[Part], position: int) -> list[str] | None:
    """Write one feature of *parts* into *column*; return its categories, None when it is numeric."""
    numbers = texts = 0
    for part in parts:
        values = part.rows[:, position]
        if part.stream.is_open:
            coded = int((codes_of(values) >= 0).sum())
            numbers, texts = numbers + int((~np.isnan(values)).sum()), texts + coded
        elif part.stream.categories[position] is not None:
            texts += len(values)
    vocabulary: dict[str, int] = {}
    start = 0
    for part in parts:
        values, names = part.rows[:, position], part.stream.categories[position] or ()
        stop = start + len(values)
        if texts <= numbers:
            column[start:stop] = as_numbers(values)
        elif part.stream.is_open:
            column[start:stop] = as_categories(
                values, names, lambda text: float(vocabulary.setdefault(text, len(vocabulary)))
            )
        else:
            known = np.isfinite(values) & (values >= 0) & (values < len(names))
            column[start:stop] = values
            for code in np.unique(values[known]).tolist():
                name = names[int(code)]
                column[start:stop][values == code] = vocabulary.setdefault(name, len(vocabulary))
        start = stop
    return None if texts <= numbers else list(vocabulary)
