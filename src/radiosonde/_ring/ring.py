"""A ring of prediction records over one `mmap`.

A record takes the next index, and its slot is ``index % capacity``. Before a slot is written again its former record must
have been taken by the consumer or reclaimed by a writer (`radiosonde._ring.reclaim`), which counts it.

Cost of a record on the writing side: one step of an `itertools.count` and two `struct.pack_into`; no lock, so a
signal handler, a finaliser or a forked child can never deadlock here.

Atomic under the interpreter lock: CPython switches to another thread or a signal handler only after calls, at the start of functions and at
backward jumps. So between ``for index in ring.indices: break`` and the write of the header no
other thread runs, nor between reading `given` and the write that ends a record. Keep calls out of these places. `deque.append` of a
tuple would be cheaper by 0.2 us, but keeps the caller's objects alive, cannot be read by another process, and is gone with the process.

With a spool folder the mapping is a file there (`radiosonde._ring.spool`): its contents survive ``kill -9``, because the pages belong to
the kernel, and another process can read it at any time (`Ring.attach`).

Threads: any number of writers (each slot has one writer at a time); one reader, see `radiosonde._ring.reader`.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from radiosonde._descriptors import Descriptor, abandon
from radiosonde._ring.anonymous import anonymous_memory
from radiosonde._ring.arena import BatchArena
from radiosonde._ring.control import Control
from radiosonde._ring.control import size_bytes as control_bytes
from radiosonde._ring.descriptors import map_ring
from radiosonde._ring.layout import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    PAGE,
    PAGE_BYTES,
    VERSION,
    segment_slots,
    slots_for,
)
from radiosonde._ring.names import NameWriter
from radiosonde._ring.slot_lock import SlotLock
from radiosonde._ring.spool import AGENT, ARENA, SUFFIXES, RingFile, Spool, create_file, is_removed
from radiosonde.errors import SpoolError


class Ring:
    """Slots of fixed stride in one mapping.

    Args:
        features: float64 values in a feature row.
        total_bytes: size aimed at; the number of slots is the power of two below it.
        schema: names a reader in another process needs (model, version, features, classes); written once as JSON.
        spool: folder of the ring's file; None keeps it in anonymous memory, which is lost with the process.
        process: identity of the writing process, part of the file's name.

    Raises:
        SpoolError: the file cannot be made.

    Attributes:
        memory: the mapping; writers pack headers into it.
        file: the ring's file, None for anonymous memory.
        pid: process id of the writer.
        nonce: random 32 bits, part of every prediction id made from this ring.
        capacity: slots, a power of two.
        segment: slots of a segment, the part that is reclaimed at a time.
        control: state shared by writers and the consumer.
        lock: held while records are taken out.
        schema: the names, as given.
        header_offset: byte offset of slot 0's header.
        rows_offset: byte offset of slot 0's feature row.
        words: the headers as 64-bit words, 16 a slot, for reading one mark cheaply.
        headers: the headers as a structured array, shape (capacity,).
        rows: feature rows, shape (capacity, features).
        indices: the next records' indices; one step of it is atomic.
        room: one element: the index from which on a writer calls `radiosonde._ring.reclaim.Reclaimer.make_room`.
        given: one element: a record below this index may have lost its slot, and is ended by the reclaimer.
        arena: rows of batches.
        names: writes the texts behind its codes beside it; None for anonymous memory.
    """

    def __init__(
        self,
        features: int,
        *,
        total_bytes: int = 4 << 20,
        schema: Mapping[str, object] | None = None,
        spool: Spool | None = None,
        process: str = "",
    ) -> None:
        self.schema = dict(schema or {})
        self.nonce = int.from_bytes(os.urandom(4), "little")
        self.pid = os.getpid()
        capacity = slots_for(total_bytes, features)
        # Names that exceed the first page push the headers to the next page boundary.
        document = json.dumps(self.schema, ensure_ascii=False).encode()
        header_pages = -(-(PAGE_BYTES + len(document)) // PAGE_BYTES)
        size_bytes = _control_offset(header_pages, capacity, features) + control_bytes(capacity)
        page = PAGE.pack(
            MAGIC, VERSION, HEADER_BYTES, capacity, features, header_pages, len(document), self.nonce, self.pid, 0
        )
        first_bytes = page.ljust(PAGE_BYTES, b"\0") + document
        self.file: RingFile | None = None
        self.names: NameWriter | None = None
        self._held: Descriptor | None = None
        if spool is None:
            # Private: reading a page of a shared mapping takes memory, and a drain reads all marks.
            self.memory = anonymous_memory(size_bytes)
            self.memory[: len(first_bytes)] = first_bytes
        else:
            self.file = spool.name(process, self.nonce)
            self._held = Descriptor(create_file(self.file.path, size_bytes, first_bytes))
            self.memory = map_ring(self._held.number, size_bytes)
        self._view(features, capacity, header_pages)
        self.lock = SlotLock(self._held if self.is_shared else None)
        self.arena = BatchArena(total_bytes, self.file and self.file.beside(ARENA))

    @classmethod
    def attach(cls, file: RingFile, *, takes: bool = False) -> Self:
        """Open the ring of another process, living or dead, for reading.

        Args:
            file: which.
            takes: records are to be taken out of it; `close` it then.

        Raises:
            SpoolError: the file is torn, foreign, or from a newer version.
        """
        ring = cls.__new__(cls)
        ring.names, ring._held = None, None  # noqa: SLF001 - our own class, before it is returned
        try:
            with file.path.open("r+b") as opened:
                ring.memory = map_ring(opened.fileno())
                ring.lock = SlotLock(Descriptor(os.dup(opened.fileno())) if takes else None)
        except (OSError, ValueError) as error:
            raise SpoolError(
                f"{file.path} cannot be read as a ring: {error}; remove it if its process is gone"
            ) from error
        ring.file = file
        try:
            features, capacity, header_pages, ring.nonce, ring.pid, ring.schema = _read_page(ring.memory, file)
        except SpoolError:
            ring.close()
            raise
        ring._view(features, capacity, header_pages)  # noqa: SLF001 - our own class, before it is returned
        ring.arena = BatchArena.attach(file.beside(ARENA))
        return ring

    def close(self) -> None:
        """Release the files opened by `attach`, or those of a ring without a writer.

        The mapping goes with the last view of it.
        """
        if self._is_lost:
            # Python's mapping has a descriptor of its own, and closes its number.
            abandon(self.memory)
            self.arena.abandon()
        self.lock.close()
        if self._held is not None:
            self._held.close()
        self._held = None
        if self.names is not None:
            self.names.close()

    def _view(self, features: int, capacity: int, header_pages: int) -> None:
        self.features, self.capacity = features, capacity
        self.segment = segment_slots(capacity)
        self.header_offset = header_pages * PAGE_BYTES
        self.rows_offset = self.header_offset + capacity * HEADER_BYTES
        headers_bytes = memoryview(self.memory)[self.header_offset : self.rows_offset]
        self.words = headers_bytes.cast("Q")
        self.headers = np.frombuffer(headers_bytes, dtype=HEADER)
        flat = np.frombuffer(self.memory, dtype=np.float64, count=capacity * features, offset=self.rows_offset)
        self.rows = flat.reshape(capacity, features)
        self.control = Control(self.memory, _control_offset(header_pages, capacity, features), capacity)
        self.indices: Iterator[int] = itertools.count()
        self.room, self.given = [self.segment], [0]

    @property
    def is_shared(self) -> bool:
        """Whether another process is to take the records out."""
        return self.file is not None and self.schema.get("consumer") == AGENT

    @property
    def is_removed(self) -> bool:
        """Whether readers cannot find the whole ring any more.

        One of the files that this process created for it was removed. Or the host has closed its descriptor, and with it the lock
        that says that the writer lives.
        """
        if self.file is None:
            return False
        return self._is_lost or any(is_removed(self.file.beside(suffix)) for suffix in SUFFIXES)

    @property
    def _is_lost(self) -> bool:
        return self._held is not None and not self._held.is_open


def _control_offset(header_pages: int, capacity: int, features: int) -> int:
    end = header_pages * PAGE_BYTES + capacity * (HEADER_BYTES + 8 * features)
    return -(-end // PAGE_BYTES) * PAGE_BYTES


def _read_page(memory: mmap.mmap, file: RingFile) -> tuple[int, int, int, int, int, dict[str, object]]:
    """Return features, capacity, header pages, nonce, pid and schema of a ring file, after checking all of them."""
    torn = SpoolError(f"{file.path} is damaged, or not a ring of Radiosonde; remove it if its process is gone")
    if len(memory) < PAGE_BYTES:
        raise torn
    magic, version, header_bytes, capacity, features, header_pages, length, nonce, pid, _ = PAGE.unpack_from(memory)
    if magic != MAGIC:
        raise torn
    if version != VERSION or header_bytes != HEADER_BYTES:
        raise SpoolError(
            f"{file.path} has layout {version}, this version reads {VERSION}; drain it with its own version"
        )
    size_bytes = _control_offset(header_pages, capacity, features) + control_bytes(capacity)
    if len(memory) != size_bytes or PAGE_BYTES + length > header_pages * PAGE_BYTES or capacity & (capacity - 1):
        raise torn
    try:
        schema = json.loads(bytes(memory[PAGE_BYTES : PAGE_BYTES + length]))
    except ValueError:
        raise torn from None
    return features, capacity, header_pages, nonce, pid, schema
