"""Continues the ring of a function that is gone when the same model is observed by another one.

A function that is decorated in each request, or a model that is created for each, would open a ring each time: a mapping of some MiB, two
descriptors and a file in the spool, all of them until the consumer or an agent has drained the ring. A new function of the same model records
into the former ring instead if all that a reader knows of the ring is the same: model, version, variant, features, classes, reference. It takes
over the codes of the texts, too, so records of both functions are read by the same tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from radiosonde._record.record_writer import RecordWriter
from radiosonde._record.ring_factory import page_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radiosonde._record.intern import Codes
    from radiosonde._record.outputs import OutputReader
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema
    from radiosonde._ring.ring import Ring


class Tables(NamedTuple):
    """Meaning of the codes in a ring.

    Attributes:
        cohorts, errors, phases: names of its recorder.
        outputs: has the classes.
        schema: has the categories.
    """

    cohorts: Codes
    errors: Codes
    phases: Codes
    outputs: OutputReader
    schema: Schema

    @classmethod
    def of_writer(cls, writer: RecordWriter) -> Tables:
        """Return the tables of a writer."""
        recorder = writer.recorder
        return cls(recorder.cohorts, recorder.errors, recorder.phases, writer.outputs, writer.schema)

    def are_like(self, schema: Schema, outputs: OutputReader) -> bool:
        """Return whether rows of *schema* and answers like those of *outputs* mean the same by these tables."""
        own, declared = self.schema, outputs.classes.names
        return (own.names, own.reading, own.is_whole, own.hidden, self.outputs.declared) == (
            schema.names, schema.reading, schema.is_whole, schema.hidden, outputs.declared,
        ) and self.outputs.classes.names[: len(declared)] == declared  # fmt: skip


class ReleasedRing(Protocol):
    """A ring whose writer is gone. It is claimed: it is neither continued by another writer nor removed meanwhile."""

    @property
    def ring(self) -> Ring:
        """The ring."""

    @property
    def tables(self) -> Tables:
        """Meaning of its codes."""

    def unclaim(self) -> None:
        """Leave it to its consumer again."""


class Keeper(Protocol):
    """Keeps the rings of a process."""

    def claim_ring(self, page: Mapping[str, Any], schema: Schema, outputs: OutputReader) -> ReleasedRing | None:
        """Claim a ring with that page and tables whose writer is gone; None if there is none."""


def continued(recorder: Recorder, schema: Schema, outputs: OutputReader) -> RecordWriter | None:
    """Return a writer into the ring of a former function like that of *recorder*; None if there is no such ring.

    Only for a recorder that has no codes yet.
    """
    if isinstance(recorder.writer, RecordWriter) or recorder.has_codes or not recorder.has_version:
        return None
    found = recorder.host.claim_ring(page_of(recorder, schema, outputs), schema, outputs)
    if found is None:
        return None
    tables, writer = found.tables, None
    try:
        recorder.cohorts, recorder.errors, recorder.phases = tables.cohorts, tables.errors, tables.phases
        outputs.classes = tables.outputs.classes
        writer = RecordWriter(recorder, tables.schema, outputs, recorder.host.spans_for(recorder), found.ring)
    finally:
        if writer is None:
            found.unclaim()
    return writer
