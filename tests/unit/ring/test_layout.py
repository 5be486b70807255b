from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest

from radiosonde._ring.layout import BEGIN, END, END_OFFSET, END_ROW, HEADER, PAGE, ROW_COUNTS, ROW_KINDS, slots_for
from radiosonde._ring.ring import Ring

# Byte offset and width of every field of a header: the contract with readers in other processes and languages.
OFFSETS = {
    "start_ns": (0, 8), "event_ns": (8, 8), "trace_lo": (16, 8), "trace_hi": (24, 8), "span_id": (32, 8),
    "series": (40, 4), "rows_begun": (44, 4), "batch": (48, 8), "phase_s": (56, 24), "score": (80, 8),
    "duration_ns": (88, 8), "class_code": (96, 4), "confidence": (100, 4), "error": (104, 2), "output_kind": (106, 1),
    "input_kind": (107, 1), "step": (108, 4), "kept": (112, 4), "rows": (116, 4), "mark": (120, 8),
}  # fmt: skip


def test_the_header_is_128_bytes_laid_out_as_written():
    """Every field is at its literal offset with its literal width, little endian, without gaps."""
    fields = HEADER.fields
    assert {name: (offset, kind.itemsize) for name, (kind, offset) in fields.items()} == OFFSETS
    assert HEADER.itemsize == 128
    assert sum(width for _, width in OFFSETS.values()) == 128
    assert all(HEADER[name].base.byteorder in "<=|" for name in HEADER.names)


def test_what_is_packed_is_what_both_readers_read():
    """Known values packed by the writers are found by `struct` at literal offsets and by the numpy dtype."""
    memory = bytearray(b"\xff" * 128)
    BEGIN.pack_into(memory, 0, 1_111, 2_222, 3_333, 4_444, 5_555, 6_666)
    assert struct.unpack_from("<qq", memory, 0) == (1_111, 2_222)
    assert memory[16:40] == bytes(24)
    assert struct.unpack_from("<IIQ", memory, 40) == (3_333, 4_444, 5_555)
    assert memory[56:120] == bytes(64)
    assert struct.unpack_from("<Q", memory, 120) == (6_666,)
    struct.pack_into("<6f", memory, 56, 1, 2, 3, 4, 5, 6)
    END.pack_into(memory, END_OFFSET, 0.5, 77, -1, 0.25, 3, 2, 1, 9, 10, 11, 6_667)
    assert struct.unpack_from("<6f", memory, 56) == (1, 2, 3, 4, 5, 6)
    assert struct.unpack_from("<dqifHBBIIIQ", memory, 80) == (0.5, 77, -1, 0.25, 3, 2, 1, 9, 10, 11, 6_667)
    header = np.frombuffer(memory, dtype=HEADER)[0]
    assert {name: header[name].tolist() for name in HEADER.names} == {
        "start_ns": 1_111, "event_ns": 2_222, "trace_hi": 0, "trace_lo": 0, "span_id": 0, "series": 3_333,
        "rows_begun": 4_444, "batch": 5_555, "phase_s": [1, 2, 3, 4, 5, 6], "score": 0.5, "duration_ns": 77,
        "class_code": -1, "confidence": 0.25, "error": 3, "output_kind": 2, "input_kind": 1, "step": 9, "kept": 10,
        "rows": 11, "mark": 6_667,
    }  # fmt: skip


@pytest.mark.parametrize("kind", range(4))
def test_the_short_form_of_a_row_is_the_same_bytes(kind):
    """The second write of a single row, made of words, gives the bytes of the long form."""
    long, short = bytearray(128), bytearray(128)
    END.pack_into(long, END_OFFSET, 0.5, 77, 3, 0.25, 0, kind, 1, 1, 1, 1, 42)
    END_ROW.pack_into(short, END_OFFSET, 0.5, 77, 3, 0.25, ROW_KINDS[kind], ROW_COUNTS, 42)
    assert long == short


def test_the_page_and_the_places_of_headers_and_rows():
    """The page describes the ring, the schema follows, and a row written by numpy is found by its byte offset."""
    ring = Ring(3, total_bytes=65_536, schema={"model": "m", "features": ["ä", "b", "c"]})
    magic, version, header_bytes, capacity, features, pages, schema_bytes, nonce, pid, cursor = struct.unpack_from(
        "<8sIIQIIQQQQ", ring.memory, 0
    )
    assert (magic, version, header_bytes, features, cursor) == (b"RADIOSND", 3, 128, 3, 0)
    assert (capacity, nonce, pid) == (256, ring.nonce, os.getpid())
    assert pages * 4096 == ring.header_offset == 8192
    assert json.loads(ring.memory[4096 : 4096 + schema_bytes]) == {"model": "m", "features": ["ä", "b", "c"]}
    ring.rows[5] = [1.0, 2.0, 3.0]
    assert struct.unpack_from("<3d", ring.memory, 8192 + 256 * 128 + 5 * 24) == (1.0, 2.0, 3.0)
    struct.pack_into("<Q", ring.memory, 8192 + 5 * 128 + 120, 99)
    assert (ring.headers[5]["mark"], ring.words[5 * 16 + 15]) == (99, 99)
    assert PAGE.size == 64


def test_long_schemas_push_the_headers_to_the_next_page():
    """Names beyond the first page move the headers by whole pages and overwrite nothing."""
    ring = Ring(1, total_bytes=65_536, schema={"features": ["x" * 10_000]})
    assert ring.header_offset % 4096 == 0
    assert ring.header_offset >= 4096 + 10_000
    assert not ring.headers["mark"].any()


@pytest.mark.parametrize(
    ("total_bytes", "features", "slots"),
    [(4 << 20, 30, 8192), (65_536, 0, 512), (65_536, 1, 256), (65_536, 5000, 64), (0, 1, 64), (136 * 128, 1, 128)],
)
def test_slots_are_a_power_of_two_and_at_least_64(total_bytes, features, slots):
    """The ring takes the largest power of two of slots that fits."""
    assert slots_for(total_bytes, features) == slots
