"""Byte layout of a ring. Little endian, fixed stride, nothing in it moves; a reader needs no other source.

::

    page     4096 bytes, see `PAGE`; then `schema_bytes` bytes of UTF-8 JSON (names), padded to a multiple of 4096
    headers  capacity x 128 bytes, see `HEADER`
    rows     capacity x features x 8 bytes   float64: the feature row; NaN missing, +-inf invalid, categories as codes
    control  64 bytes, then capacity bytes, see `radiosonde._ring.control`; begins at a multiple of 4096
    tallies  3 x `tally_bytes`, see `radiosonde._ring.control`

A record's index counts up from 0 for the life of the ring; its slot is ``index % capacity``. The last word of a header
is the mark: ``(index + 1) * 4 + state``. If the index in a slot's mark differs from the expected one, the record is gone (larger) or has
not begun (smaller). A reader that copies a slot checks the mark again afterwards.

The header is written twice, and both writes end with the mark because `struct.pack_into` clears its span and then
fills it front to back: until the last eight bytes arrive a reader in another process sees a mark of zero. That order
is what x86 guarantees between processors; within one process the interpreter lock (or, on a free-threaded build, the
fact that a slot has exactly one writer until its index has gone once around) makes the pack one step.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

MAGIC: Final = b"RADIOSND"
VERSION: Final = 3
PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 128
PHASES: Final = 6
"""Named phases per prediction that a slot has room for."""

WAKES: Final = 2
"""Number of times the writer wakes the consumer of its own process while it fills the ring once: at each half, so that the other half is
free while the first is drained. A polling consumer would take the interpreter lock from the callers for every poll of nearly empty rings
(bench_served)."""

FEWEST_SLOTS: Final = 64
"""Slots of the smallest ring."""

SEGMENTS: Final = 8
"""Parts of a ring that its writer reclaims one at a time. One of them is kept free ahead of the writers."""

LARGEST_SEGMENT: Final = 1000
"""Largest number of slots of a segment: bounds the cost of reclaiming for one call (bench_tail). Two chunks of a tally."""

PAGE: Final = struct.Struct("<8sIIQIIQQQQ")
"""magic, version, header bytes, capacity, features, header offset in pages, schema bytes, nonce, pid, 0."""

EMPTY, IN_FLIGHT, DONE, FAILED = 0, 1, 2, 3
"""States of a slot, the low two bits of its mark."""

HEADER: Final = np.dtype(
    [
        ("start_ns", "<i8"),  # 0    wall clock
        ("event_ns", "<i8"),  # 8    event time, 0 when it is the start
        ("trace_lo", "<u8"),  # 16   trace id, low word first: it is packed as 16 little-endian bytes; 0 without a trace
        ("trace_hi", "<u8"),  # 24
        ("span_id", "<u8"),  # 32    of the prediction's live span, else of the span around the prediction
        ("series", "<u4"),  # 40     code of the cohort cell; with `LIVE_SPAN` when the ids are the prediction's own
        ("rows_begun", "<u4"),  # 44 rows of a batch while it is in flight; 0 and 1: one row
        ("batch", "<u8"),  # 48      arena position + 1 of a batch's rows; 0: the row is in the slot
        ("phase_s", "<f4", (PHASES,)),  # 56
        ("score", "<f8"),  # 80      regression value or raw score; NaN none
        ("duration_ns", "<i8"),  # 88
        ("class_code", "<i4"),  # 96 code of the predicted class; -1 none
        ("confidence", "<f4"),  # 100  NaN none
        ("error", "<u2"),  # 104     code of the error type, 0 none; in flight: code + 1 of the phase in progress
        ("output_kind", "u1"),  # 106  see radiosonde._ring.layout.OUTPUT_*
        ("input_kind", "u1"),  # 107   see INPUT_*
        ("step", "<u4"),  # 108      a batch keeps every step-th row
        ("kept", "<u4"),  # 112      rows of the batch in the arena
        ("rows", "<u4"),  # 116      rows of the call
        ("mark", "<u8"),  # 120
    ]
)

LIVE_SPAN: Final = 1 << 31
"""Top bit of ``series``: the ids are those of the prediction's live span. Without it they are the surrounding span's, which
does not record: so the commoner case, which has to be cheap, writes no flag. `max_series` keeps codes far below."""

MOVED: Final = 1 << 30
"""Flag in ``series``: the prediction began in another slot, which was reclaimed before it ended. The low 32 bits of the index
it began with, which its id is made of, are in ``rows_begun``."""

SERIES_MASK: Final = MOVED - 1
"""The bits of ``series`` that hold the code."""

SPAN_IDS: Final = struct.Struct("<16sQ")
"""Trace id as 16 little-endian bytes and span id, at `SPAN_IDS_OFFSET`. A third cheaper than three words (bench_record):
splitting a 128-bit integer in two costs more than `int.to_bytes`."""

SPAN_IDS_OFFSET: Final = 16
SERIES_WORD: Final = 5
"""Index of the word with the series (its low half) among the header's words."""

OUTPUT_NONE, OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE = range(4)
"""Contents of the output fields: nothing, class_code (and confidence), score, or an unreadable output. A batch has them per row in its
block: column 0 class code or score, column 1 confidence."""

BATCH_OUTPUTS: Final = 2
"""Output columns of a batch's block, behind its features."""

INPUT_NONE, INPUT_ROW = range(2)
"""Whether the slot (or the arena) holds features."""

BEGIN: Final = struct.Struct("<qq24xIIQ64xQ")
"""First write, whole header: start, event, series, rows, batch, mark, and zeros for the rest. Trace ids are written
into their words afterwards, by predictions that have any."""

END: Final = struct.Struct("<dqifHBBIIIQ")
"""Second write from `END_OFFSET`: score, duration, class, confidence, error, output kind, input kind, step, kept,
rows, mark. It leaves the phases alone, which were added in between."""

BEGIN_BARE: Final = struct.Struct("<q112xQ")
"""The first write of a call in no cohort and at its own time: start, mark, and zeros for the rest (50 ns less)."""

END_ROW: Final = struct.Struct("<dqifQQQ")
"""The second write of a single row: score, duration, class, confidence, then `ROW_KINDS` of the output's kind, `ROW_COUNTS`,
mark. The same bytes as `END` with five values less (60 ns)."""

COMPLETED_CALL: Final = struct.Struct("<qq16sQI12x6fdqifHBBIIIQ")
"""A whole header in one write, of a call that is over: start, event, trace id, span id, series, six phases, and `END`."""

ENDED: Final = struct.Struct("<qq24xI36xd8xif2xBx8xIQ")
"""A whole header, for reading one in one step: start, event, series, score, class, confidence, output kind, rows, mark."""

END_OFFSET: Final = 80
PHASE_OFFSET: Final = 56
ERROR_OFFSET: Final = 104
DURATION_WORD: Final = (END_OFFSET + 8) // 8
INPUT_KIND_OFFSET: Final = 107
"""Set while a prediction is in flight too, when the ring is a file: a flight recorder must not show an older row."""

MARK_WORD: Final = 15
"""Index of the mark among the header's 16 words of 8 bytes."""

_KINDS_AND_STEP: Final = struct.Struct("<HBBI")

ROW_KINDS: Final = tuple(
    int.from_bytes(_KINDS_AND_STEP.pack(0, kind, INPUT_ROW, 1), "little")
    for kind in (OUTPUT_NONE, OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE)
)
"""error 0, the output's kind, `INPUT_ROW`, step 1, as one word; by the output's kind."""

ROW_COUNTS: Final = 1 | 1 << 32
"""kept 1, rows 1, as one word."""

_ID: Final = struct.Struct(">QII")

_WHOLE = (
    BEGIN.size,
    BEGIN_BARE.size,
    COMPLETED_CALL.size,
    ENDED.size,
    END_OFFSET + END.size,
    END_OFFSET + END_ROW.size,
    HEADER.itemsize,
)
if set(_WHOLE) != {HEADER_BYTES}:
    raise AssertionError("the header's descriptions disagree")  # pragma: no cover - a guard for editors


def prediction_id(start_ns: int, nonce: int, index: int) -> str:
    """Return the id of a prediction: 32 hex digits, time-ordered, unique over processes without coordination.

    64 bits of wall-clock nanoseconds, the ring's 32 random bits, the low 32 bits of the record's index. All of them are in the slot
    already, so an id costs nothing until it is used.
    """
    return _ID.pack(start_ns, nonce, index & 0xFFFFFFFF).hex()  # a third of the time of formatting three numbers


def slots_for(total_bytes: int, features: int) -> int:
    """Return the largest power of two of slots that fits into *total_bytes*, at least `FEWEST_SLOTS`."""
    stride = HEADER_BYTES + 8 * features
    fitting = max(FEWEST_SLOTS, total_bytes // stride)
    return 1 << (fitting.bit_length() - 1)


def segment_slots(capacity: int) -> int:
    """Return the slots of a segment of a ring of *capacity* slots."""
    return min(LARGEST_SEGMENT, capacity // SEGMENTS)
