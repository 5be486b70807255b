"""A writer: one observed function under one schema, and the three closures that write its records.

`begin` runs before the user's function, `finish` or `fail` after it. They are closures over locals, built once, because
that is the cheapest thing Python calls: an attribute of ``self`` per use would add 0.3 us to a record of 1.2 us
(bench_record). They never raise: a value that cannot be read is a counted loss, and errors in this module are swallowed by the guard. A
writer never changes; when the schema turns out to differ, the recorder opens a new writer
and the old one is drained to its end.

Order of writes: the header (in flight) before the feature row, so that a reader that is copying the slot's former record finds a changed
mark afterwards and drops its torn copy. No function is called between taking an index and the pack that marks its slot (`next` would be a
call), so that no other code runs in between (`radiosonde._ring.ring`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import dtype, ndarray
from numpy.typing import NDArray

from radiosonde._clock import REPLAY_NS, monotonic_ns
from radiosonde._record.ambient import AMBIENT
from radiosonde._record.blocks import (
    FLAT_ROW,
    LEARNED_FROM,
    MOST_ROWS,
    NO_ROW,
    NOT_GIVEN,
    ONE_ROW,
    UNREAD,
    Doubtful,
    Recorded,
    Unread,
)
from radiosonde._record.inputs import InputWriter
from radiosonde._record.learning import count_rows
from radiosonde._record.output_batches import BatchOutputReader
from radiosonde._record.outputs import NAN, NOTHING, UNREADABLE, OutputReader, Summary
from radiosonde._record.ring_factory import open_ring
from radiosonde._record.row_counts import answers_in
from radiosonde._record.token import AT, CURRENT, ENDED, INDEX, OUTER, RECORDED, SPAN, START_NS, Token, is_within, leave
from radiosonde._record.tracing import prediction_id
from radiosonde._record.unended import Unended
from radiosonde._ring.layout import (
    BATCH_OUTPUTS,
    BEGIN,
    BEGIN_BARE,
    DONE,
    END,
    END_OFFSET,
    END_ROW,
    FAILED,
    HEADER_BYTES,
    INPUT_KIND_OFFSET,
    INPUT_NONE,
    INPUT_ROW,
    MARK_WORD,
    OUTPUT_CLASS,
    ROW_COUNTS,
    ROW_KINDS,
)
from radiosonde._ring.reclaim import Reclaimer
from radiosonde._ring.tally import Tallier, latency_edges_of, merge
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema
    from radiosonde._record.tracing import LiveSpans
    from radiosonde._ring.ring import Ring

_ROWS_AND_BATCH = struct.Struct("<IQ")
_ROWS_OFFSET = 44

float64 = dtype("float64")

ARENA_WAKES = 8
"""Number of times the consumer is woken while the arena is filled once: a single batch may take half of it."""


class RecordWriter:
    """One generation of a recorder.

    Attributes:
        recorder: whose calls are recorded.
        cohorts: cohort cells by the codes in the ring; the recorder's own may be new ones by then.
        schema: names and kinds of the features.
        ring: where records wait.
        outputs: reads outputs; its class codes are those in the ring.
        begin: ``begin(args, kwargs)`` returns a token, or None when it could not be recorded.
        finish: ``finish(token, result)`` marks the record done.
        fail: ``fail(token, error)`` marks it failed.
        unended: calls that one of these could not be called for, because the stack was full.
    """

    def __init__(
        self,
        recorder: Recorder,
        schema: Schema,
        outputs: OutputReader,
        spans: LiveSpans | None,
        ring: Ring | None = None,
    ) -> None:
        self.recorder = recorder
        self.cohorts = recorder.cohorts
        self.schema = schema
        self.outputs = outputs
        self._batch_outputs = BatchOutputReader(outputs, recorder.host.guard)
        self.spans = spans
        self.ring = ring or open_ring(recorder, schema, outputs)
        self.inputs = InputWriter(schema, self.ring, recorder.host.guard)
        self._arena_woken = 0
        self._tallier = Tallier(self._value_edges(), latency_edges_of(self.ring.schema))
        self.reclaimer = Reclaimer(self.ring, self._tallier, recorder.host.guard.lose, recorder.host.wake)
        self._answers = dict[int, NDArray[Any]]()  # by index, until the call ends
        self.unended = Unended()
        plain = self._build_begin()
        traced = plain if spans is None else spans.around_begin(plain, self)
        self.begin = traced if recorder.observed.own_id is None else self._naming(traced, recorder.observed.own_id)
        self.finish = self._build_finish()
        self.fail = self._build_fail()

    def _value_edges(self) -> tuple[float, ...]:
        """Return the edges of values, which the consumer of the ring uses too."""
        reference = self.recorder.host.reference_for(self.recorder)
        if reference is None or self.schema.names != tuple(feature.name for feature in reference.features):
            return ()
        return tuple(reference.output.value_edges)

    def _build_begin(self) -> Callable[[tuple[Any, ...], dict[str, Any]], Token | None]:
        writer, recorder, ring, read_features = self, self.recorder, self.ring, self._build_features()
        host, series_of, position = recorder.host, recorder.series_of, recorder.observed.position
        guard, anchor, make_room, memory = host.guard, host.anchor, self.reclaimer.make_room, ring.memory
        indices, room, base, mask = ring.indices, ring.room, ring.header_offset, ring.capacity - 1
        get_ambient, get_current, set_current, now_ns = AMBIENT.get, CURRENT.get, CURRENT.set, monotonic_ns
        is_spooled, offset, row_bytes = ring.file is not None, ring.rows_offset, 8 * self.schema.width
        pack, pack_bare, pack_features = BEGIN.pack_into, BEGIN_BARE.pack_into, struct.Struct(f"{row_bytes}s").pack_into
        one_row = (1, self.schema.width) if self.schema.is_plain and position >= 0 else None

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
            token = None
            try:
                outer = get_current()
                if outer is not None and outer[OUTER] is ENDED:
                    outer = None
                elif outer is not None and is_within(outer, recorder):
                    return None
                ambient, collected, is_bare = get_ambient(), None, True
                if ambient is not None:
                    _, cohort, event_ns, collected = ambient
                    if cohort or event_ns:
                        is_bare, series = False, series_of(cohort)
                wall_ns = (start_ns := now_ns()) + anchor[0]
                for index in indices:  # noqa: B007 - used below; no call from here to the pack
                    break
                if index >= room[0]:
                    make_room(index)
                    wall_ns = (start_ns := now_ns()) + anchor[0]
                at = base + (slot := index & mask) * HEADER_BYTES
                if is_bare:
                    pack_bare(memory, at, wall_ns, index * 4 + 5)
                else:
                    pack(memory, at, wall_ns, event_ns, series, 1, 0, index * 4 + 5)
                    if 0 < event_ns < wall_ns - REPLAY_NS:
                        start_ns = host.make_room(ring.nonce) or start_ns
                token = [writer, index, start_ns, wall_ns, NOT_GIVEN, None, outer, at]
                if collected is not None:
                    collected.append(token)
                set_current(token)
                if one_row is not None:
                    try:
                        value = args[position]
                    except IndexError:  # given by keyword
                        value = None
                    if type(value) is ndarray and value.shape == one_row and value.dtype is float64:
                        pack_features(memory, offset + slot * row_bytes, value.tobytes())
                        token[4] = ONE_ROW
                        if is_spooled:
                            memory[at + INPUT_KIND_OFFSET] = INPUT_ROW
                        return token
                read_features(token, args, kwargs)
            except RecursionError:  # the stack is full: no call fits, including our own
                writer.unended[:0] = (losses.RECORD_FAILED if token is None else losses.FEATURES_UNREADABLE,)
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                guard.swallow("begin", error)
            return token

        return begin

    def _naming(
        self,
        begin: Callable[[tuple[Any, ...], dict[str, Any]], Token | None],
        select: Callable[[tuple[Any, ...], Mapping[str, Any]], object],
    ) -> Callable[[tuple[Any, ...], dict[str, Any]], Token | None]:
        """Return *begin* with the caller's own id remembered after it."""
        host = self.recorder.host

        def begin_named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
            token = begin(args, kwargs)
            if token is not None:
                with suppress(RecursionError):  # the prediction has begun, and counts without its id
                    own_id = host.guard.attempt(select, args, kwargs)
                    if own_id is not None:
                        host.alias(own_id, prediction_id(token))
            return token

        return begin_named

    def _build_features(self) -> Callable[[Token, tuple[Any, ...], dict[str, Any]], None]:
        """Return the reader of features; a no-op if the function records them itself."""
        observed, ring, guard, write = self.recorder.observed, self.ring, self.recorder.host.guard, self._write
        select, position, mask = observed.select, observed.position, ring.capacity - 1
        is_spooled, memory, given = ring.file is not None, ring.memory, ring.given
        if select is None:
            return _read_nothing

        def read_features(token: Token, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            value = None
            try:
                value = args[position] if 0 <= position < len(args) else select(args, kwargs)
                index = token[INDEX]
                recorded = token[RECORDED] = write(value, index & mask, index)
                if is_spooled and index >= given[0]:
                    memory[token[AT] + INPUT_KIND_OFFSET] = recorded.kind
                if recorded.position:
                    self._place(token, recorded)
                if recorded.kind == INPUT_NONE and recorded.rows:
                    self.recorder.missed(self, value, index + 1)
            except Exception as error:  # noqa: BLE001 - hot path: a user's object may raise anything while it is read
                lost = self._unrecorded(self._rows_of(value), token[INDEX], UNREAD)
                self._place(token, lost)
                guard.lose(losses.FEATURES_UNREADABLE, lost.rows or 1)
                # Its type alone: its message may quote a hidden value.
                guard.warn(
                    "features", "Features could not be read (%s); give observe(..., input=...)", type(error).__name__
                )

        return read_features

    @property
    def _write(self) -> Callable[[Any, int, int], Recorded]:
        return self.inputs.write if self.schema.width else self._learn

    def _learn(self, value: object, slot: int, index: int) -> Recorded:
        """Open a writer for the schema of *value* (this one has none) and return the number of rows that were not recorded."""
        rows = self._rows_of(value)
        if self.recorder.relearn(value, 1 if rows is None else rows):
            return self._unrecorded(rows, index, LEARNED_FROM)
        return self.inputs.write(value, slot, index)

    def _rows_of(self, value: object) -> int | None:
        """Return the rows of an input, None when it does not show them."""
        rows = self.recorder.host.guard.attempt(count_rows, value)
        return rows if isinstance(rows, int) and 0 <= rows <= MOST_ROWS else None

    def _unrecorded(self, rows: int | None, index: int, unread: Unread) -> Recorded:
        """Return the result for an input of which only the number of rows is recorded; *unread* if it is unknown."""
        if rows is None:
            return unread
        reserved = self.recorder.host.guard.attempt(self.inputs.blocks.reserve, rows, index)
        return NO_ROW._replace(rows=rows) if isinstance(reserved, Exception) else reserved  # no memory for the answers

    def _place(self, token: Token, recorded: Recorded) -> None:
        """Store the result for a call's features, in its header too unless its slot was reclaimed meanwhile."""
        ring, at, former, pack = self.ring, token[AT], token[RECORDED].position, _ROWS_AND_BATCH.pack_into
        token[RECORDED] = recorded
        if former and former != recorded.position:
            ring.arena.release(former - 1)
        rows = recorded.rows if recorded.position else 0
        if token[INDEX] >= ring.given[0]:
            pack(ring.memory, at + _ROWS_OFFSET, rows, recorded.position)
        if ring.file is not None and token[INDEX] >= ring.given[0]:
            ring.memory[at + INPUT_KIND_OFFSET] = recorded.kind
        self._wake_for_arena()

    def _recounted(self, token: Token, result: object) -> Recorded:
        """Return the rows of a call as its answer shows them, where its input did not or may have been read otherwise."""
        recorded: Recorded = token[RECORDED]
        inputs = self.inputs
        if not inputs.is_tentative and not isinstance(recorded, Unread):
            return recorded
        answers = self.recorder.host.guard.attempt(answers_in, result, self.outputs.task, recorded.rows)
        if not isinstance(answers, int) or not 0 < answers <= MOST_ROWS:
            return recorded
        found = recorded
        if isinstance(recorded, Doubtful) and answers != recorded.rows and answers in recorded.sizes:
            found = inputs.reread(recorded, answers, token[INDEX])
            if recorded.within == answers:
                self.recorder.read_otherwise(self)
        elif isinstance(recorded, Unread) and not isinstance(recorded, Doubtful):
            if answers > 1:
                found = inputs.blocks.reserve(answers, token[INDEX])
                if recorded.loss:  # one row of them has been counted
                    self.recorder.host.guard.lose(recorded.loss, answers - 1)
        elif inputs.is_tentative:
            values = self.recorder.values_learned
            is_otherwise = answers == (values if recorded is FLAT_ROW else 1)
            inputs.is_tentative = False
            if is_otherwise and answers != recorded.rows:
                self.recorder.read_otherwise(self)
                self.recorder.host.guard.lose(losses.FEATURES_LEARNING, answers)
                found = inputs.blocks.reserve(answers, token[INDEX])
        if found is not recorded:
            self._place(token, found)
        return found

    def _build_finish(self) -> Callable[[Token | None, object], None]:
        ring, recorder, spans = self.ring, self.recorder, self.spans
        outputs, read, readers = self.outputs, self.outputs.read, self.outputs.by_type
        guard, convert, batch_output = recorder.host.guard, recorder.observed.output, self._batch_output
        recount, memory, given, end = self._recounted, ring.memory, ring.given, self._end
        pack_row, now_ns, set_current = END_ROW.pack_into, monotonic_ns, CURRENT.set

        def finish(token: Token | None, result: object) -> None:
            if token is None:
                return
            try:
                end_ns = now_ns()
                _, index, start_ns, _, recorded, span, outer, at = token
                try:
                    if convert is not None:
                        result = convert(result)
                    if recorded is ONE_ROW and type(result) is ndarray and outputs.two_columns:
                        # The commonest output, read inline: saves two calls, 0.1 us (bench_record).
                        try:
                            ((first, second),) = result.tolist()
                            is_plain = first >= 0.0 <= second and 0.999 <= first + second <= 1.001  # `SUM_SLACK`
                        except (TypeError, ValueError):
                            is_plain = outputs.two_columns = False  # not two columns after all
                        if not is_plain:
                            summary = read(result)
                        elif second > first:
                            summary = (OUTPUT_CLASS, outputs.columns[1], second, NAN)
                        else:
                            summary = (OUTPUT_CLASS, outputs.columns[0], first, NAN)
                    elif recorded is ONE_ROW or (recorded := recount(token, result)).rows == 1:
                        reader = readers.get(type(result))
                        summary = read(result) if reader is None else reader(result)
                    else:
                        summary = batch_output(result, token)
                except Exception as error:  # noqa: BLE001 - hot path: a user's object may raise anything while it is read
                    summary = self._unreadable(recorded.rows, error)
                kind, code, confidence, score = summary
                elapsed_ns = end_ns - start_ns
                # No call from here to the pack: its slot cannot be reclaimed in between (`radiosonde._ring.ring`).
                if recorded is not ONE_ROW or index < given[0]:
                    end(token, summary, elapsed_ns, 0, DONE)
                else:
                    pack_row(memory, at + END_OFFSET, score, elapsed_ns, code, confidence, ROW_KINDS[kind], ROW_COUNTS,
                             index * 4 + 6)  # fmt: skip
                token[6] = ENDED
                if outer is not None:
                    set_current(outer)
                if span is not None and spans is not None:
                    spans.end(token, code, confidence, None)
            except RecursionError:  # the wrapper leaves it to the consumer
                raise
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                leave(token)
                guard.swallow("finish", error)

        return finish

    def _build_fail(self) -> Callable[[Token | None, BaseException], None]:
        recorder, spans, guard, end = self.recorder, self.spans, self.recorder.host.guard, self._end

        def fail(token: Token | None, failure: BaseException) -> None:
            if token is None:
                return
            try:
                elapsed_ns = monotonic_ns() - token[START_NS]
                end(token, NOTHING, elapsed_ns, recorder.error_code(failure), FAILED)
                leave(token)
                if token[SPAN] is not None and spans is not None:
                    spans.end(token, -1, NAN, failure)
            except RecursionError:  # the wrapper leaves it to the consumer
                raise
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                leave(token)
                guard.swallow("fail", error)

        return fail

    def _end(self, token: Token, summary: Summary, elapsed_ns: int, error: int, state: int) -> None:
        """Write how a prediction ended into its slot, or leave that to the reclaimer where the slot was reclaimed."""
        ring, index, recorded = self.ring, token[INDEX], token[RECORDED]
        kind, code, confidence, score = summary
        fields = (
            score, elapsed_ns, code, confidence, error, kind, recorded.kind, recorded.step, recorded.kept, recorded.rows,
        )  # fmt: skip
        pack, arguments = END.pack_into, (ring.memory, token[AT] + END_OFFSET, *fields, index * 4 + 4 + state)
        answers = self._answers.pop(index, None) if self._answers else None
        # No call from here to the pack, and nothing allocated (`radiosonde._ring.ring`).
        if answers is not None or index < ring.given[0]:
            self.reclaimer.end(index, (*fields, state), recorded.position, answers)
            return
        pack(*arguments)
        if recorded.position:
            ring.arena.release(recorded.position - 1)

    def abandon(self) -> None:
        """Write nothing more: in a forked child the ring is the parent's, shared, and so are its calls in flight."""
        self.finish = self.fail = _write_nothing

    def let_go(self, begin: Callable[[tuple[Any, ...], dict[str, Any]], Token | None]) -> None:
        """Hold nothing in a cycle any more, so that the ring goes with the last token; calls that come nevertheless go to *begin*."""
        self.begin, self.finish, self.fail = begin, _write_nothing, _write_nothing
        self.inputs.by_type.clear()
        self.ring.arena.let_go()

    def owns_slot(self, token: Token) -> bool:
        """Return whether the slot still holds this prediction in flight: it may have been given away meanwhile."""
        index: int = token[INDEX]
        slot = index & (self.ring.capacity - 1)
        return self.ring.words[slot * 16 + MARK_WORD] == index * 4 + 5

    def _batch_output(self, value: object, token: Token) -> Summary:
        recorded, arena, width = token[RECORDED], self.ring.arena, self.schema.width
        if recorded.rows and (recorded.kept < recorded.rows or not recorded.position):
            return self._count_answers(value, token)
        if not recorded.rows:
            return NOTHING
        if recorded.position - 1 < arena.floor or not arena.is_whole(recorded.position - 1):
            # Its block was given away meanwhile. The outputs get another one; the features are gone.
            position = arena.reserve(recorded.kept * (width + BATCH_OUTPUTS), keep=True)
            if position < 0:
                return self._count_answers(value, token)
            recorded = recorded._replace(position=position + 1, kind=INPUT_NONE)
            self._place(token, recorded)
        block = self.ring.arena.block(recorded.position - 1 + recorded.kept * width, recorded.kept, BATCH_OUTPUTS)
        return (self._batch_outputs.read(value, recorded.rows, block), -1, NAN, NAN)

    def _count_answers(self, value: object, token: Token) -> Summary:
        """Count the answers of a batch that has no room for all of them: of a sample, counts would be estimates."""
        pieces: list[NDArray[Any]] = []

        def take(kind: int, outputs: NDArray[np.float64], step: int) -> None:
            pieces.append(self._tallier.answers(kind, outputs, step))

        kind = self._batch_outputs.read_all(value, token[RECORDED].rows, token[INDEX], take)
        if pieces:
            self._answers[token[INDEX]] = pieces[0] if len(pieces) == 1 else merge(np.concatenate(pieces))
        return (kind, -1, NAN, NAN)

    def _unreadable(self, rows: int, error: Exception) -> Summary:
        guard = self.recorder.host.guard
        guard.lose(losses.OUTPUT_UNREADABLE, rows or 1)
        guard.warn("output", "An output could not be read (%s); give observe(..., output=...)", type(error).__name__)
        return UNREADABLE

    def record_features(self, token: Token, value: object) -> None:
        """Copy the features of a prediction in progress into its slot (for functions that fetch them themselves)."""
        index = token[1]
        slot = index & (self.ring.capacity - 1)
        if not self.owns_slot(token):
            self.recorder.host.guard.lose(losses.FEATURES_LATE)
            return
        self._place(token, self._write(value, slot, index))

    def _wake_for_arena(self) -> None:
        """Wake the consumer when an eighth of the arena has been filled since the last time."""
        arena = self.ring.arena
        if arena.reserved - self._arena_woken >= arena.size // ARENA_WAKES:
            self._arena_woken = arena.reserved
            self.recorder.host.wake()

    def features_of(self, token: Token) -> Any:
        """Return the recorded row of a single-row prediction as a view, shape (1, features); None if there is none."""
        if token[RECORDED].kind != INPUT_ROW or token[RECORDED].position:
            return None
        slot = token[1] & (self.ring.capacity - 1)
        return self.ring.rows[slot : slot + 1]


def _read_nothing(token: Token, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """No-op reader of features, for functions that record them themselves."""


def _write_nothing(token: Token | None, outcome: object) -> None:
    """Stand in for `finish` and `fail` of an abandoned writer."""
