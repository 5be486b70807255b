"""A ring of another process, as the agent sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.stream import Stream
from radiosonde._pipeline.ring_consumer import RingConsumer
from radiosonde._record.class_codes import MAX_CLASSES
from radiosonde._ring import tally
from radiosonde._ring.block import Block
from radiosonde._ring.layout import IN_FLIGHT, OUTPUT_CLASS
from radiosonde._ring.names import CATEGORIES, CLASSES, COHORTS, ERRORS, PHASES, NameReader
from radiosonde._ring.recall import CRASH_REPORT, recall
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import NAMES, RingFile, Spool
from radiosonde._ring.tally import latency_edges_of, take_apart
from radiosonde.errors import ProfileError, SpoolError
from radiosonde.reference.profile import Reference
from radiosonde.store.progress import RingProgress

if TYPE_CHECKING:
    from radiosonde._guard import Guard

CRASH_REPORTS = 20
"""Crash reports kept in a spool; the oldest go first."""


class AttachedRing(RingConsumer):
    """Drains the ring of another process, whose names it reads beside the ring.

    Args:
        ring: the ring.
        stream: names of its codes; grows as names are read.
        declared_classes: see `RingConsumer`.
        file: the ring's file.
        tables: names of the stream, by table and feature.

    Attributes:
        file: the ring's file.
        drained_by: its consumer, as recorded in its page.
        is_finished: whether its writer is dead and everything it published has been drained.
        is_told: whether the predictions that died with it have been counted.
    """

    def __init__(
        self,
        ring: Ring,
        stream: Stream,
        declared_classes: int,
        file: RingFile,
        tables: Mapping[tuple[int, int], list[str]],
    ) -> None:
        super().__init__(ring, stream, declared_classes)
        self.file = file
        self.drained_by = str(ring.schema.get("consumer", ""))
        self.is_finished = self.is_told = False
        self._tables = tables
        self._name_reader = NameReader(file.beside(NAMES), is_kept=True)
        self._durable = self._durable_values = 0
        self.read_names()

    @property
    def identity(self) -> tuple[str, int]:
        """Process and nonce."""
        return self.file.process, self.file.nonce

    @property
    def is_over(self) -> bool:
        """Whether its writer is dead. Checked on the open file: its name may have been removed."""
        return not self.ring.lock.is_written

    @property
    def is_half_undurable(self) -> bool:
        """Whether half of the ring, or of the arena, was written since the last commit."""
        ring, reader = self.ring, self.reader
        if ring.control.is_half_full:
            return True
        if (ring.arena.reserved - self._durable_values) * 2 > ring.arena.size:
            return True
        return (reader.progress()[0] - self._durable + reader.waiting()) * 2 >= ring.capacity

    def mark_durable(self, tallied: int) -> None:
        """Remember that everything drained so far was committed, and tallies up to that number."""
        self.reader.mark_durable(tallied)
        self._durable = self.reader.progress()[0]
        self._durable_values = self.ring.arena.reserved

    def close(self) -> None:
        """Release its files."""
        self._name_reader.close()
        super().close()

    def progress(self) -> RingProgress:
        """Return the position reached."""
        cursor, stragglers, tally_number = self.reader.progress()
        return RingProgress(*self.identity, cursor, stragglers, tally_number)

    def read_names(self) -> None:
        """Take up the names that were added beside the ring."""
        for name in self._name_reader.read():
            table = self._tables.get((name.table, name.feature))
            if table is None:
                continue
            # A name that could not be written leaves a gap; its code is used as the name.
            _cover(table, name.code)
            table[name.code] = name.text

    def drain(self, guard: Guard) -> Block:
        """Take the finished records, with a name for every code in them."""
        block = super().drain(guard)
        self.read_names()  # after the drain: a name is on disk before its code is in the ring
        headers = block.headers
        for table, codes in (
            (COHORTS, headers["series"]), (ERRORS, headers["error"]), (CLASSES, self._class_codes(block)),
        ):  # fmt: skip
            _cover(self._tables[table, 0], int(codes.max()) if len(codes) else -1)
        for entries in self.tallies:
            counted = take_apart(entries)
            for table, codes in (
                (COHORTS, counted.series), (ERRORS, counted.of(tally.ERRORS).code), (CLASSES, counted.of(tally.CLASSES).code - 1),
            ):  # fmt: skip
                _cover(self._tables[table, 0], int(codes.max(initial=-1)))
        return block

    def _class_codes(self, block: Block) -> NDArray[Any]:
        headers, found = block.headers, [block.headers["class_code"].astype(np.float64)]
        if block.outputs is not None:
            is_class = headers["output_kind"] == OUTPUT_CLASS
            found += [outputs[:, 0] for outputs in block.outputs[is_class] if outputs is not None]
        codes = np.concatenate(found)
        return codes[(codes >= -1) & (codes < max(MAX_CLASSES, len(self._tables[CLASSES, 0])))]

    def in_flight(self) -> list[str]:
        """Return the ids of the predictions that were in progress when the writer died, as far as the ring knows them."""
        try:
            return [each.id for each in recall(self.file, last=0).in_flight]
        except SpoolError:  # its file was removed
            return []

    def count_in_flight(self) -> int:
        """Return the number of predictions in progress when the writer died."""
        ring = self.ring
        marks = ring.headers["mark"]
        is_flying = ((marks & np.uint64(3)) == IN_FLIGHT) & (marks >> np.uint64(2) > ring.control.given)
        # Those below were displaced: their slots may still show them, and may be others' by now.
        return int(np.count_nonzero(is_flying)) + ring.control.displaced

    def write_crash_report(self, spool: Spool) -> None:
        """Write a crash report next to the ring before it is removed; `radiosonde blackbox` shows it."""
        path = self.file.path.with_suffix(CRASH_REPORT)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(recall(self.file, last=10))))
        kept = sorted(spool.folder.glob(f"*{CRASH_REPORT}"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[:-CRASH_REPORTS]:
            old.unlink(missing_ok=True)


def attach(spool: Spool, file: RingFile) -> AttachedRing:
    """Open a ring of the spool for draining.

    Raises:
        SpoolError: it is torn, foreign, or from a newer version.
    """
    ring = Ring.attach(file, takes=True)
    page: Mapping[str, Any] = ring.schema
    features = tuple(page.get("features") or ())
    categories: tuple[list[str] | None, ...] = tuple(
        None if known is None else [] for known in page.get("categories") or ()
    )
    cohorts, classes, errors, phases = [""], list[str](), [""], list[str]()
    tables = {(COHORTS, 0): cohorts, (CLASSES, 0): classes, (ERRORS, 0): errors, (PHASES, 0): phases}
    tables |= {(CATEGORIES, feature): names for feature, names in enumerate(categories) if names is not None}
    stream = Stream(
        model=str(page.get("model", "")),
        version=str(page.get("version", "")),
        variant=str(page.get("variant", "stable")),
        cohorts=cohorts,
        classes=classes,
        errors=errors,
        phases=phases,
        features=features,
        categories=categories,
        is_open=bool(page.get("is_open")),
        arena=ring.arena,
        nonce=ring.nonce,
        latency_edges_s=latency_edges_of(page),
    )
    attached = AttachedRing(ring, stream, int(page.get("declared_classes") or 0), file, tables)
    reference = _reference(spool, str(page.get("reference") or ""))
    if reference is not None and features == tuple(feature.name for feature in reference.features):
        stream.adopt(reference)
    return attached


def _cover(table: list[str], code: int) -> None:
    """Extend the table to *code*: a name that could not be written leaves a gap; its code is used as the name."""
    table.extend(f"#{missing}" for missing in range(len(table), code + 1))


def _reference(spool: Spool, identity: str) -> Reference | None:
    if not identity:
        return None
    try:
        return Reference.load(spool.reference_path(identity))
    except ProfileError:
        return None  # counted by a provisional one then, and marked so
