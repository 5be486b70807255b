"""A lane: one observed function under one schema, and the three closures that write its records.

`begin` runs before the user's function, `finish` or `fail` after it. They are closures over locals, built once, because
that is the cheapest thing Python calls: an attribute of ``self`` per use would add 0.3 us to a record of 1.2 us
(bench_record). They never raise: what goes wrong in reading a value is a counted loss, and what goes wrong in here is
swallowed by the guard. A lane never changes; when the schema turns out to be another one, the recorder opens a new lane
and the old one is drained to its end.

Order of writes: the header (in flight) before the feature row, so that a reader that copies the slot's former record
at that moment finds another mark afterwards and drops its torn copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy import dtype, ndarray

from radiosonde._clock import monotonic_ns
from radiosonde._record.ambient import AMBIENT
from radiosonde._record.inputs import NO_ROW, ONE_ROW, InputWriter, first_row
from radiosonde._record.outputs import NAN, NOTHING, UNREADABLE, OutputReader, Summary
from radiosonde._record.token import CURRENT, ENDED, OUTER, RECORDED, SPAN, START_NS, Token
from radiosonde._ring import Ring
from radiosonde._ring.layout import BATCH_OUTPUTS, BEGIN, END, END_OFFSET, FAILED, HEADER_BYTES, INPUT_ROW, OUTPUT_NONE
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema
    from radiosonde._record.tracing import LiveSpans

_ROWS_AND_BATCH = struct.Struct("<IQ")
_ROWS_OFFSET = 44

float64 = dtype("float64")


class Lane:
    """One generation of a recorder.

    Attributes:
        recorder: whose calls are recorded.
        schema: names and kinds of the features.
        ring: where records wait.
        outputs: reads outputs; its class codes are those in the ring.
        begin: ``begin(args, kwargs)`` returns a token, or None when it could not be recorded.
        finish: ``finish(token, result)`` marks the record done.
        fail: ``fail(token, error)`` marks it failed.
    """

    def __init__(self, recorder: Recorder, schema: Schema, outputs: OutputReader, spans: LiveSpans | None) -> None:
        self.recorder = recorder
        self.schema = schema
        self.outputs = outputs
        self.spans = spans
        self.ring = Ring(
            schema.width,
            total_bytes=recorder.host.settings.ring_bytes,
            schema={"model": recorder.name, "version": recorder.version, "features": schema.names},
        )
        self.inputs = InputWriter(schema, self.ring, recorder.host.guard)
        plain = self._build_begin()
        self.begin = plain if spans is None else spans.around_begin(plain, self)
        self.finish = self._build_finish()
        self.fail = self._build_fail()

    def _build_begin(self) -> Callable[[tuple[Any, ...], dict[str, Any]], Token | None]:
        lane, recorder, ring = self, self.recorder, self.ring
        guard, anchor, write, rows = recorder.host.guard, recorder.host.anchor, self.inputs.write, ring.rows
        one_row = (1, self.schema.width) if not self.schema.categorical else None
        reserve, memory, mask, base = ring.reserve, ring.memory, ring.capacity - 1, ring.header_offset
        get_ambient, get_current, set_current, pack = AMBIENT.get, CURRENT.get, CURRENT.set, BEGIN.pack_into
        select, position, series_of, now_ns = (
            recorder.observed.select,
            recorder.observed.position,
            recorder.series_of,
            monotonic_ns,
        )

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
            try:
                index = reserve()
                slot = index & mask
                start_ns = now_ns()
                wall_ns = start_ns + anchor[0]
                ambient = get_ambient()
                if ambient is None:
                    pack(memory, base + slot * HEADER_BYTES, wall_ns, 0, 0, 0, 0, 0, 1, 0, index * 4 + 5)
                else:
                    series = series_of(ambient.cohort)
                    pack(memory, base + slot * HEADER_BYTES, wall_ns, ambient.event_ns, 0, 0, 0, series, 1, 0,
                         index * 4 + 5)  # fmt: skip
                outer = get_current()
                if outer is not None and outer[OUTER] is ENDED:
                    outer = None
                token = [lane, index, start_ns, wall_ns, NO_ROW, None, outer]
                set_current(token)
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                guard.swallow("begin", error)
                return None
            try:
                if position >= 0 and len(args) > position:
                    value = args[position]
                    if type(value) is ndarray and value.shape == one_row and value.dtype == float64:
                        # The commonest input, written here: a call less is 0.1 us (bench_record).
                        rows[slot] = value
                        token[RECORDED] = ONE_ROW
                        return token
                    recorded = write(value, slot, index)
                elif select is not None:
                    recorded = write(select(args, kwargs), slot, index)
                else:
                    return token
            except Exception as error:  # noqa: BLE001 - hot path: a user's object may raise anything while it is read
                guard.lose(losses.FEATURES_UNREADABLE)
                guard.tell("features", "Features could not be read: %r; give observe(..., input=...)", error)
                return token
            token[RECORDED] = recorded
            if recorded.position:
                _ROWS_AND_BATCH.pack_into(memory, base + slot * HEADER_BYTES + _ROWS_OFFSET, recorded.rows,
                                          recorded.position)  # fmt: skip
            return token

        return begin

    def _build_finish(self) -> Callable[[Token | None, object], None]:
        ring, recorder, outputs, spans = self.ring, self.recorder, self.outputs, self.spans
        guard, convert, read, batch_output = (
            recorder.host.guard,
            recorder.observed.output,
            outputs.read,
            self._batch_output,
        )
        memory, mask, base, words = ring.memory, ring.capacity - 1, ring.header_offset + END_OFFSET, ring.words
        pack, now_ns, set_current = END.pack_into, monotonic_ns, CURRENT.set

        def finish(token: Token | None, result: object) -> None:
            end_ns = now_ns()
            if token is None:
                return
            try:
                _, index, start_ns, _, recorded, span, outer = token
                slot = index & mask
                try:
                    value = result if convert is None else convert(result)
                    kind, code, confidence, score = read(value) if recorded.rows == 1 else batch_output(value, token)
                except Exception as error:  # noqa: BLE001 - hot path: a user's object may raise anything while it is read
                    kind, code, confidence, score = self._unreadable(recorded.rows, error)
                if words[slot * 16 + 15] != index * 4 + 5:
                    guard.lose(losses.RING_LATE)
                else:
                    pack(memory, base + slot * HEADER_BYTES, score, end_ns - start_ns, code, confidence, 0, kind,
                         recorded.kind, recorded.step, recorded.kept, recorded.rows, index * 4 + 6)  # fmt: skip
                token[OUTER] = ENDED
                if outer is not None:
                    set_current(outer)
                if span is not None and spans is not None:
                    spans.end(token, code, confidence, None)
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                guard.swallow("finish", error)

        return finish

    def _build_fail(self) -> Callable[[Token | None, BaseException], None]:
        ring, recorder, spans, guard = self.ring, self.recorder, self.spans, self.recorder.host.guard

        def fail(token: Token | None, failure: BaseException) -> None:
            end_ns = monotonic_ns()
            if token is None:
                return
            try:
                index, recorded = token[1], token[RECORDED]
                slot = index & (ring.capacity - 1)
                if ring.words[slot * 16 + 15] != index * 4 + 5:
                    guard.lose(losses.RING_LATE)
                else:
                    error_code = recorder.error_code(failure)
                    at = ring.header_offset + slot * HEADER_BYTES + END_OFFSET
                    END.pack_into(ring.memory, at, NAN, end_ns - token[START_NS], -1,
                         NAN, error_code, OUTPUT_NONE, recorded.kind, recorded.step, recorded.kept,
                         recorded.rows, index * 4 + 4 + FAILED)  # fmt: skip
                outer = token[OUTER]
                token[OUTER] = ENDED
                if outer is not None:
                    CURRENT.set(outer)
                if token[SPAN] is not None and spans is not None:
                    spans.end(token, -1, NAN, failure)
            except Exception as error:  # noqa: BLE001 - hot path: our bug must not reach the caller
                guard.lose(losses.RECORD_FAILED)
                guard.swallow("fail", error)

        return fail

    def _batch_output(self, value: object, token: Token) -> Summary:
        recorded = token[RECORDED]
        if not recorded.position:
            return NOTHING
        width = self.schema.width
        block = self.ring.arena.block(recorded.position - 1 + recorded.kept * width, recorded.kept, BATCH_OUTPUTS)
        kept = slice(first_row(token[1], recorded.step), None, recorded.step)
        return (self.outputs.read_batch(value, recorded.rows, kept, block), -1, NAN, NAN)

    def _unreadable(self, rows: int, error: Exception) -> Summary:
        guard = self.recorder.host.guard
        guard.lose(losses.OUTPUT_UNREADABLE, rows or 1)
        guard.tell("output", "An output could not be read: %r; give observe(..., output=...)", error)
        return UNREADABLE

    def record_features(self, token: Token, value: object) -> None:
        """Copy the features of a prediction in progress into its slot (for functions that fetch them themselves)."""
        index = token[1]
        slot = index & (self.ring.capacity - 1)
        if self.ring.words[slot * 16 + 15] != index * 4 + 5:
            self.recorder.host.guard.lose(losses.RING_LATE)
            return
        if self.schema.width == 0:
            self.recorder.relearn(value)
            return
        recorded = token[RECORDED] = self.inputs.write(value, slot, index)
        if recorded.position:
            at = self.ring.header_offset + slot * HEADER_BYTES + _ROWS_OFFSET
            _ROWS_AND_BATCH.pack_into(self.ring.memory, at, recorded.rows, recorded.position)

    def features_of(self, token: Token) -> Any:
        """Return the recorded row of a single-row prediction as a view, shape (1, features); None if there is none."""
        if token[RECORDED].kind != INPUT_ROW or token[RECORDED].position:
            return None
        slot = token[1] & (self.ring.capacity - 1)
        return self.ring.rows[slot : slot + 1]


def is_in_progress(token: Token) -> bool:
    """Say whether the prediction of *token* has begun and not ended."""
    return token[OUTER] is not ENDED
