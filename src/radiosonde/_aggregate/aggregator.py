"""Folds blocks into windows of event time, closes windows, keeps the running total.

A window closes when the watermark (the largest event time seen) has passed its end by a tenth of its length, or when
no record arrived for its length in wall time. Later records open a further part of the same window: parts are deltas and add up, so closing
early is never wrong. Parts of windows behind the watermark (late rows) are held for a
while, because every row on its own would make a part.

Calls, rows, errors, durations, phases and outputs count every record. Features are sampled within the CPU budget
(`radiosonde._aggregate.sampling_controller` sets the rate, `radiosonde._aggregate.thinning` selects the rows) and weighted.

Threads: `fold` and `close` belong to the consumer; `update_outcomes` may be called by any thread and `snapshot` from a
scrape. One lock, held for one fold at most, never while anything is exported and never by the caller of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.answers import AnswerState
from radiosonde._aggregate.backlogs import Backlogs
from radiosonde._aggregate.batches import Batches, by_result
from radiosonde._aggregate.outcomes import OutcomeState
from radiosonde._aggregate.provisional import WIDE_VALUES, Backlog, Part, pieces
from radiosonde._aggregate.sampling_controller import SamplingController
from radiosonde._aggregate.state import SeriesState
from radiosonde._aggregate.stream import Stream
from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._aggregate.thinning import Thinner
from radiosonde._aggregate.traffic import TrafficState
from radiosonde._clock import NS, REPLAY_NS, monotonic_ns, thread_time_ns
from radiosonde._guard import Guard
from radiosonde._native import allocate_lock
from radiosonde._ring.arena import BatchArena
from radiosonde._ring.block import Block
from radiosonde._ring.layout import FAILED, INPUT_ROW
from radiosonde._ring.tally import UNSEEN_ROWS, take_apart
from radiosonde.model import Outcome, SeriesKey, Window
from radiosonde.model.losses import WINDOWS_FAILED
from radiosonde.reference.profile import Reference

LATE_HOLD_S = 10.0
"""How long a part behind the watermark is held open. Arbitrary; bounds the parts a trickle of late rows makes."""

OPEN_WINDOWS = 1000
"""Windows with features beyond which late ones are held no longer: a backfill of a year opens thousands in a second, and
one of 30 features takes 90 kB."""

LARGEST_SHARE = 64
"""Largest weight added to a row for rows whose features were lost; the remainder is spread over later rows."""


class Aggregator:
    """Windows being filled.

    Args:
        window_s: length of a window in seconds of event time.
        process: identity of this process in the windows.
        tail_sampler: selects predictions that get a span after they ended; None: no spans.
        sampling: sets the sampling rate of features; default: all rows.
        thinner: selects the rows.
        guard: contains failures while a window closes, so that they cost that window only.
        provisional_s: event time that the rows of a provisional reference must cover, in seconds.

    Attributes:
        tail_sampler: as given.
        counted_rows: rows whose features were counted.
        closed: windows closed.
        step: largest weight of a row in the last fold.
    """

    def __init__(
        self,
        window_s: float,
        process: str,
        tail_sampler: TailSampler | None = None,
        *,
        sampling: SamplingController | None = None,
        thinner: Thinner | None = None,
        guard: Guard | None = None,
        provisional_s: float = 0.0,
    ) -> None:
        self._guard = guard or Guard()
        self.tail_sampler = tail_sampler
        self.step = 1
        self._window_ns = round(window_s * NS)
        self._process = process
        self._sampling = sampling or SamplingController()
        self._thinner = thinner or Thinner()
        self._lock = allocate_lock()
        self._open: dict[tuple[int, SeriesKey, str, int], SeriesState] = {}
        self._bodies: dict[str, int] = {}
        self._backlogs = Backlogs(round(provisional_s * NS), self._thinner, self._guard, self._add_waited)
        self._interims: dict[tuple[str, str], Reference] = {}
        self._totals: dict[SeriesKey, list[Window]] = {}
        self._watermark_ns = 0
        self.counted_rows = 0
        self._row_ns = 0
        self.closed = 0

    def restore(
        self,
        windows: Iterable[Window],
        provisional: Mapping[tuple[str, str], Reference],
        waiting: Iterable[Part] = (),
    ) -> None:
        """Go on counting on top of *windows*, by the provisional references they were counted with, and with rows that wait."""
        with self._lock:
            self._add_totals(windows)
            for (model, version), reference in provisional.items():
                self._backlogs.restore(model, version, reference)
            for part in waiting:
                self._backlogs.add(part)

    # Filling ---------------------------------------------------------------------------------------------------------

    def fold(self, stream: Stream, block: Block) -> None:
        """Add the records of one ring."""
        headers = block.headers
        event_ns = np.where(headers["event_ns"] > 0, headers["event_ns"], headers["start_ns"])
        starts_ns = event_ns - event_ns % self._window_ns
        series = headers["series"]
        with self._lock, np.errstate(all="ignore"):  # sums of answers may be infinite
            self._watermark_ns = max(self._watermark_ns, int(event_ns.max()))
            # Replays are not sampled, because the budget is for live servers; nor are the rows of a provisional reference.
            is_live = event_ns >= headers["start_ns"] - REPLAY_NS
            offered = int(headers["kept"][is_live].sum())
            live_step = self._sampling.offer(offered, monotonic_ns()) if offered and stream.grid is not None else 1
            self.step = live_step
            counted, self._row_ns = self.counted_rows, 0
            if self.tail_sampler is not None:  # sees all records, not only the sampled ones
                self.tail_sampler.keep(stream, block)
            if (starts_ns == starts_ns[0]).all() and (series == series[0]).all():
                step = live_step if is_live.any() else 1
                self._add_part(stream, int(starts_ns[0]), int(series[0]), block, step)
            else:
                order = np.lexsort((series, starts_ns))
                changes = (np.diff(starts_ns[order]) != 0) | (np.diff(series[order]) != 0)
                for members in np.split(order, np.flatnonzero(changes) + 1):
                    first = members[0]
                    step = live_step if is_live[members].any() else 1
                    self._add_part(stream, int(starts_ns[first]), int(series[first]), block.part(members), step)
            if offered:
                self._sampling.note(self.counted_rows - counted, self._row_ns)

    def _add_part(self, stream: Stream, start_ns: int, series: int, part: Block, step: int) -> None:
        """Add the records of one window and series."""
        if self.tail_sampler is not None:
            self.tail_sampler.rank(start_ns, self._key(stream, stream.cohorts[series]), stream, part)
        state = self._state(stream, start_ns, stream.cohorts[series])
        has_failed = state.traffic.update(part.headers, stream.errors)
        began_ns, has_grid = thread_time_ns(), stream.grid is not None
        is_batch = part.headers["batch"] > 0
        if is_batch.any():
            self._add_batches(stream, state, part.part(is_batch), step, has_failed=has_failed)
            part = part.part(~is_batch)
        if len(part):
            self._add_singles(stream, state, part, step, has_failed=has_failed)
        if has_grid:  # building the provisional reference is not part of the cost of a row
            self._row_ns += thread_time_ns() - began_ns

    def _add_batches(self, stream: Stream, state: SeriesState, part: Block, step: int, *, has_failed: bool) -> None:
        outputs: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
        if part.outputs is not None:
            for header, rows in zip(part.headers[["output_kind", "step"]].tolist(), part.outputs, strict=True):
                if rows is not None:
                    outputs.setdefault(header, []).append(rows)
        for (kind, weight), blocks in outputs.items():
            state.answers.update_batch(kind, blocks[0] if len(blocks) == 1 else np.concatenate(blocks), weight)
        for is_failed, headers in by_result(part.headers, has_failed=has_failed):
            batches = Batches(stream, headers, self._thinner, step)
            for rows, weight in batches.parts():
                self._add_rows(stream, state, rows, weight, is_failed=is_failed)
            state.answers.add_unreadable(batches.unreadable_rows)
            stream.leave_unseen(state.key.cohort, batches.unseen_rows)

    def _add_singles(self, stream: Stream, state: SeriesState, part: Block, step: int, *, has_failed: bool) -> None:
        state.answers.update_single(part.headers)
        given = np.flatnonzero(part.headers["input_kind"] == INPUT_ROW)
        if step > 1:
            given = given[self._thinner.positions(len(given), step)]
        rows = part.rows if len(given) == len(part) else part.rows[given]
        if not has_failed:
            self._add_rows(stream, state, rows, step)
            return
        failed = (part.headers["mark"][given] & 3) == FAILED
        self._add_rows(stream, state, rows[~failed], step)
        self._add_rows(stream, state, rows[failed], step, is_failed=True)

    def _add_rows(
        self, stream: Stream, state: SeriesState, rows: NDArray[np.float64], weight: int, *, is_failed: bool = False
    ) -> None:
        if not len(rows) or not rows.shape[1]:
            return
        self.counted_rows += len(rows)
        part = Part(stream, state.start_ns, state.key.cohort, rows, weight, is_failed)
        if stream.grid is None:
            self._backlogs.add(part)
        else:
            _add_weighted(state, part, stream.unseen.get(part.cohort, 0))

    def _add_waited(self, part: Part, unseen: int) -> None:
        _add_weighted(self._state(part.stream, part.start_ns, part.cohort), part, unseen)

    def add_tally(self, stream: Stream, entries: NDArray[Any]) -> None:
        """Add a writer's counts of reclaimed records (`radiosonde._ring.tally`)."""
        if not len(entries):
            return
        counted = take_apart(entries)
        seconds_ns = entries["second"] * NS
        starts_ns = seconds_ns - seconds_ns % self._window_ns
        order = np.lexsort((counted.series, starts_ns))
        changes = (np.diff(starts_ns[order]) != 0) | (np.diff(counted.series[order]) != 0)
        with self._lock, np.errstate(all="ignore"):  # sums of answers may be infinite
            self._watermark_ns = max(self._watermark_ns, int(seconds_ns.max()))
            for members in np.split(order, np.flatnonzero(changes) + 1):
                part = counted.part(members)
                state = self._state(stream, int(starts_ns[members[0]]), stream.cohorts[int(part.series[0])])
                state.traffic.add(part, stream.errors)
                state.answers.add(part)
                stream.leave_unseen(state.key.cohort, int(part.of(UNSEEN_ROWS).counts.sum()))

    @property
    def backlogs(self) -> list[Backlog]:
        """The rows that wait for provisional references, model by model; for the thread that folds."""
        return list(self._backlogs)

    @property
    def waits_long(self) -> bool:
        """Whether so many features wait for a provisional reference that making it takes a while."""
        return sum(len(stream.features) for each in self._backlogs for stream in each.streams) > WIDE_VALUES

    def let_go(self, stream: Stream) -> None:
        """Release the arena of a finished stream; rows that wait for a reference are kept."""
        with self._lock:
            stream.arena = BatchArena(0)

    def update_outcomes(self, outcomes: Sequence[Outcome]) -> list[Window]:
        """Count outcomes in the windows of their predictions, which this process need not have made; any thread.

        They are parts of windows, closed at once: the joiner makes the outcomes of one batch durable in one transaction, and outcomes held
        back here would belong to several.

        Returns:
            The parts, one per window, series and grid; they are in the totals already.

        Raises:
            ValueError: cells are not one byte per feature; nothing was counted.
        """
        parts: dict[tuple[int, SeriesKey, str], list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.cells and len(outcome.cells) != len(outcome.features):
                raise ValueError(f"{len(outcome.cells)} bytes of cells for {len(outcome.features)} features")
            start_ns = outcome.event_ns - outcome.event_ns % self._window_ns
            parts.setdefault((start_ns, outcome.key, outcome.grid if outcome.cells else ""), []).append(outcome)
        bodies = self._bodies.copy()
        windows = [self._outcome_window(place, bodies.get(place[2], 0), members) for place, members in parts.items()]
        with self._lock:
            self._add_totals(windows)
        self.closed += len(windows)
        return windows

    def _outcome_window(self, place: tuple[int, SeriesKey, str], body: int, outcomes: Sequence[Outcome]) -> Window:
        start_ns, key, _ = place
        counted, traffic = OutcomeState(body), TrafficState()
        counted.update(outcomes)
        return Window(
            key=key,
            start_ns=start_ns,
            end_ns=start_ns + self._window_ns,
            process=self._process,
            calls=0,
            rows=0,
            errors={},
            batch_sizes=traffic.batch_sizes,
            latency=traffic.latency(()),
            output=AnswerState().freeze(()),
            labels=counted.freeze(),
        )

    def _state(self, stream: Stream, start_ns: int, cohort: str) -> SeriesState:
        key = self._key(stream, cohort)
        grid = stream.grid.id if stream.grid is not None else ""
        # One state per stream: codes of classes and phases differ between streams. Windows merge by name.
        place = (start_ns, key, grid, id(stream))
        state = self._open.get(place)
        if state is None:
            state = self._open[place] = SeriesState(stream, key, start_ns, start_ns + self._window_ns, self._process)
            if stream.grid is not None:
                self._bodies[grid] = stream.grid.body
        state.touched_ns = monotonic_ns()
        return state

    @staticmethod
    def _key(stream: Stream, cohort: str) -> SeriesKey:
        return SeriesKey(stream.model, stream.version, stream.variant, cohort)

    # Closing ---------------------------------------------------------------------------------------------------------

    def close(self, *, everything: bool = False, is_end: bool = False, deadline_ns: int | None = None) -> list[Window]:
        """Take out the windows that are due (or all) and return them frozen, with sketches.

        Args:
            everything: close all open windows.
            is_end: no records follow: features that wait for a provisional reference are counted with the rows there are.
            deadline_ns: monotonic time after which these features are dropped.
        """
        now_ns = monotonic_ns()
        with self._lock, np.errstate(all="ignore"):
            if is_end:
                self._backlogs.settle(deadline_ns)
            is_crowded = sum(state.has_features for state in self._open.values()) > OPEN_WINDOWS
            due = [
                place
                for place, state in self._open.items()
                if everything or self._is_due(state, now_ns, is_crowded=is_crowded)
            ]
            states = [self._open.pop(place) for place in due]
            windows, totals = [], []
            for state in states:
                with self._guard("close_window", WINDOWS_FAILED):
                    if self.tail_sampler is not None:
                        state.traffic.point_to(self.tail_sampler.release(state.start_ns, state.key))
                    totals.append(state.freeze(with_sketches=False))
                    windows.append(state.freeze(with_sketches=True))
            self._add_totals(totals)
        self.closed += len(windows)
        return windows

    def _is_due(self, state: SeriesState, now_ns: int, *, is_crowded: bool) -> bool:
        if now_ns - state.touched_ns >= self._window_ns:
            return True
        if self._watermark_ns < state.end_ns + self._window_ns // 10:
            return False
        if is_crowded or not state.is_late(self._watermark_ns):
            return True
        return now_ns - state.opened_ns >= min(LATE_HOLD_S * NS, self._window_ns)

    # Totals ----------------------------------------------------------------------------------------------------------

    def _add_totals(self, windows: Iterable[Window]) -> None:
        from radiosonde.sketches.merge import merge_windows  # loads datasketches: not at import

        added: dict[SeriesKey, list[Window]] = {}
        for window in windows:
            added.setdefault(window.key, []).append(window)
        for key, parts in added.items():
            with self._guard("add_totals", WINDOWS_FAILED, len(parts)):
                self._totals[key] = merge_windows([*self._totals.get(key, ()), *parts], by=_key)

    def totals(self, keys: Iterable[SeriesKey]) -> list[Window]:
        """Return the sums of the closed windows of these series since the start; several for a series with several grids."""
        with self._lock:
            return [window for key in keys for window in self._totals.get(key, ())]

    def snapshot(self) -> tuple[Window, ...]:
        """Return the cumulative windows since the start, including open ones, without sketches.

        One per series, unless it was counted on several grids: those never add up.
        """
        from radiosonde.sketches.merge import merge_windows

        with self._lock, np.errstate(all="ignore"):
            parts = [window for total in self._totals.values() for window in total]
            parts += [state.freeze(with_sketches=False) for state in self._open.values()]
            parts += self._previews()
        return tuple(merge_windows(parts, by=_key))

    def _previews(self) -> list[Window]:
        """Return the features that wait for a provisional reference, counted by interim ones."""
        self._interims = {}
        found: list[Window] = []
        for backlog in self._backlogs:
            with self._guard("preview"):
                found += self._preview(backlog)
        return found

    def _preview(self, backlog: Backlog) -> Iterator[Window]:
        reference, groups = backlog.preview() or (None, ())
        for members in groups:
            part = members[0]
            stream = part.stream
            if reference is not None:
                self._interims[stream.model, stream.version] = reference
            end_ns = part.start_ns + self._window_ns
            state = SeriesState(stream, self._key(stream, part.cohort), part.start_ns, end_ns, self._process)
            for rows in pieces(members):
                state.add_features(rows, part.weight, is_failed=part.is_failed)
            yield state.freeze(with_sketches=False)

    @property
    def interims(self) -> Mapping[tuple[str, str], Reference]:
        """The interim references of the last snapshot, by (model, version)."""
        return self._interims

    @property
    def provisional(self) -> dict[tuple[str, str], Reference]:
        """The provisional references made so far, by (model, version)."""
        return self._backlogs.references

    @property
    def open_windows(self) -> int:
        """Number of windows being filled."""
        return len(self._open)

    @property
    def series(self) -> int:
        """Number of series."""
        # Copied first: the consumer adds to both concurrently.
        return len({*list(self._totals), *(key for _, key, *_ in list(self._open))})


def _add_weighted(state: SeriesState, part: Part, unseen: int) -> None:
    """Add feature rows, weighted for *unseen* rows of their series that were not counted."""
    rows, weight = part.rows, part.weight
    if not unseen:
        state.add_features(rows, weight, is_failed=part.is_failed)
        return
    unseen = min(unseen, LARGEST_SHARE * len(rows))
    part.stream.leave_unseen(part.cohort, -unseen)
    # Two weights that differ by one, so that they add up to the rows there were.
    share, rest = divmod(unseen, len(rows))
    if rest:
        state.add_features(rows[:rest], weight + share + 1, is_failed=part.is_failed)
    if rest < len(rows):
        state.add_features(rows[rest:], weight + share, is_failed=part.is_failed)


def _key(window: Window) -> SeriesKey:
    return window.key
