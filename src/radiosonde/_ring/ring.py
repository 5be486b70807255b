"""A ring of prediction records over one `mmap`.

`reserve` never blocks, the oldest slot is overwritten, and every loss is found and counted by the reader.

Cost of a record on the writing side: one `next` on an `itertools.count` and two `struct.pack_into`; no lock, so a
signal handler, a finaliser or a forked child can never deadlock here. `deque.append` of a tuple would be cheaper by
0.2 us, but keeps the caller's objects alive, cannot be read by another process, and is gone with the process.

Threads: any number of writers (each slot has one writer at a time); one reader, see `radiosonde._ring.reader`.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
from collections.abc import Callable, Mapping

import numpy as np

from radiosonde._ring.arena import BatchArena
from radiosonde._ring.layout import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    PAGE,
    PAGE_BYTES,
    VERSION,
    slots_for,
)


class Ring:
    """Slots of fixed stride in one mapping.

    Args:
        features: float64 values in a feature row.
        total_bytes: size aimed at; the number of slots is the power of two below it.
        schema: names a reader in another process needs (model, version, features, classes); written once as JSON.

    Attributes:
        memory: the mapping; writers pack headers into it.
        nonce: random 32 bits, part of every prediction id made from this ring.
        capacity: slots, a power of two.
        header_offset: byte offset of slot 0's header.
        rows_offset: byte offset of slot 0's feature row.
        words: the headers as 64-bit words, 16 a slot, for reading one mark cheaply.
        headers: the headers as a structured array, shape (capacity,).
        rows: feature rows, shape (capacity, features).
        reserve: returns the next record's index; atomic in CPython (one C call, also locked on free-threaded builds).
        arena: rows of batches.
    """

    def __init__(
        self,
        features: int,
        *,
        total_bytes: int = 4 << 20,
        schema: Mapping[str, object] | None = None,
    ) -> None:
        self.features = features
        self.capacity = slots_for(total_bytes, features)
        # Names that exceed the first page push the headers to the next page boundary.
        document = json.dumps(schema or {}, ensure_ascii=False).encode()
        self.header_offset = -(-(PAGE_BYTES + len(document)) // PAGE_BYTES) * PAGE_BYTES
        rows_offset = self.header_offset + self.capacity * HEADER_BYTES
        self.memory = mmap.mmap(-1, rows_offset + self.capacity * features * 8)
        self.rows_offset = rows_offset
        self.nonce = int.from_bytes(os.urandom(4), "little")
        PAGE.pack_into(
            self.memory, 0, MAGIC, VERSION, HEADER_BYTES, self.capacity, features,
            self.header_offset // PAGE_BYTES, len(document), self.nonce, os.getpid(), 0,
        )  # fmt: skip
        self.memory[PAGE_BYTES : PAGE_BYTES + len(document)] = document
        headers_bytes = memoryview(self.memory)[self.header_offset : rows_offset]
        self.words = headers_bytes.cast("Q")
        self.headers = np.frombuffer(headers_bytes, dtype=HEADER)
        flat = np.frombuffer(self.memory, dtype=np.float64, count=self.capacity * features, offset=rows_offset)
        self.rows = flat.reshape(self.capacity, features)
        self.reserve: Callable[[], int] = itertools.count().__next__
        self.arena = BatchArena(total_bytes)
