"""Makes the ring of a record writer: in memory, or in the spool with the texts behind its codes beside it.

A spool that cannot be used (full disk, lost permission) costs the file, not the telemetry: the ring lies in memory then,
counted and told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from radiosonde._ring.names import CATEGORIES, CLASSES, COHORTS, ERRORS, PHASES, Name, NameWriter
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import NAMES
from radiosonde.errors import ProfileError, SpoolError
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._record.intern import Codes
    from radiosonde._record.outputs import OutputReader
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema


def open_ring(recorder: Recorder, schema: Schema, outputs: OutputReader) -> Ring:
    """Return the ring of a new record writer."""
    host = recorder.host
    page: dict[str, object] = {
        "model": recorder.name,
        "version": recorder.version if host.settings.spool is None else recorder.settle_version(),
        "variant": recorder.variant,
        "features": schema.public_names,
        # The names themselves are in the side table; here only which features have any.
        "categories": [None if codes is None else [] for codes in schema.codes],
        "is_open": schema.is_open,
        "pii": sorted(schema.pii),
        "declared_classes": outputs.declared,
        "consumer": host.drained_by,
    }
    if host.settings.spool is not None:
        try:
            page["reference"] = _leave_reference(recorder)
            ring = Ring(
                schema.width,
                total_bytes=host.settings.ring_bytes,
                schema=page,
                spool=host.spool,
                process=host.process,
            )
            _write_names(ring, recorder, schema, outputs)
        except (SpoolError, ProfileError, OSError) as error:
            host.guard.lose(losses.SPOOL_FAILED)
            host.guard.tell("spool", "%s (until then its rings lie in memory and die with the process)", error)
        else:
            return ring
    return Ring(schema.width, total_bytes=host.settings.ring_bytes, schema=page)


def _leave_reference(recorder: Recorder) -> str:
    """Put the reference profile into the spool, for the agent; return its identity, ``""`` for none."""
    host = recorder.host
    reference = host.reference_for(recorder)
    if reference is None or host.spool is None:
        return ""
    path = host.spool.reference_path(reference.id)
    if not path.exists():
        reference.save(path)
    return reference.id


def _write_names(ring: Ring, recorder: Recorder, schema: Schema, outputs: OutputReader) -> None:
    if ring.file is None:
        return
    writer, guard = NameWriter(ring.file.beside(NAMES)), recorder.host.guard
    ring.names = writer
    tables: list[tuple[Codes, int, int]] = [
        (recorder.cohorts, COHORTS, 0),
        (outputs.classes, CLASSES, 0),
        (recorder.errors, ERRORS, 0),
        (recorder.phases, PHASES, 0),
    ]
    tables += [(codes, CATEGORIES, feature) for feature, codes in enumerate(schema.codes) if codes is not None]
    for codes, table, feature in tables:
        codes.tell(_listener(writer, guard, table, feature))


def _listener(writer: NameWriter, guard: Guard, table: int, feature: int) -> Callable[[int, str], None]:
    def listen(code: int, name: str) -> None:
        if isinstance(guard.attempt(writer.append, Name(table, feature, code, name)), Exception):
            guard.lose(losses.NAMES_LOST)

    return listen
