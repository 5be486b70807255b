"""Makes the ring of a record writer: in memory, or in the spool with the texts behind its codes beside it.

A spool that cannot be used (full disk, lost permission) costs the file, not the telemetry: the ring lies in memory then,
counted and logged, until there is room (`radiosonde._pipeline.spool_watch`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._ring.descriptors import check_room
from radiosonde._ring.names import CATEGORIES, CLASSES, COHORTS, ERRORS, PHASES, Name, NameWriter
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import NAMES, Spool
from radiosonde._ring.tally import LATENCY_EDGES
from radiosonde._settings.configuration_file import locate
from radiosonde.errors import ProfileError, SpoolError
from radiosonde.model import losses
from radiosonde.model.bins import LATENCY_EDGES_S, MOST_LATENCY_EDGES

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._record.intern import Codes
    from radiosonde._record.outputs import OutputReader
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.schema import Schema
    from radiosonde.reference.profile import Reference


def open_ring(recorder: Recorder, schema: Schema, outputs: OutputReader) -> Ring:
    """Return the ring of a new record writer."""
    host = recorder.host
    if host.settings.spool is not None:
        try:
            return open_spooled_ring(recorder, schema, outputs)
        except (SpoolError, ProfileError, OSError) as error:
            host.guard.lose(losses.SPOOL_FAILED)
            host.guard.warn("spool", "%s; until then rings are in memory and are lost if the process is killed", error)
    return Ring(schema.width, total_bytes=host.settings.ring_bytes, schema=page_of(recorder, schema, outputs))


def open_spooled_ring(recorder: Recorder, schema: Schema, outputs: OutputReader) -> Ring:
    """Return a ring in the spool.

    Raises:
        SpoolError: the spool cannot be used or has no room, or rings take their share of the descriptors.
        ProfileError: the reference profile cannot be left beside it.
        OSError: the names cannot be written.
    """
    host, spool = recorder.host, recorder.host.spool
    check_room()
    page, reference = page_of(recorder, schema, outputs), host.reference_for(recorder)
    if reference is not None and spool is not None:
        leave_reference(spool, reference)
    ring = Ring(schema.width, total_bytes=host.settings.ring_bytes, schema=page, spool=spool, process=host.process)
    try:
        _write_names(ring, recorder, schema, outputs)
    except OSError:
        ring.close()
        if ring.file is not None and spool is not None:
            spool.remove(ring.file)  # with half of its names, and without a writer
        raise
    return ring


def page_of(recorder: Recorder, schema: Schema, outputs: OutputReader) -> dict[str, object]:
    """Return the metadata that a reader in another process needs."""
    host, reference = recorder.host, recorder.host.reference_for(recorder)
    return {
        "model": recorder.name,
        "version": recorder.version if host.settings.spool is None else recorder.settle_version(),
        "variant": recorder.variant,
        "features": schema.public_names,
        # The names themselves are in the side table; here only which features have any.
        "categories": [None if codes is None else [] for codes in schema.codes],
        "is_open": schema.is_open,
        "pii": sorted(schema.pii),
        "declared_classes": outputs.declared,
        LATENCY_EDGES: _latency_edges(recorder),
        "reference": "" if reference is None else reference.id,
        "consumer": host.drained_by,
    }


def _latency_edges(recorder: Recorder) -> list[float]:
    """Return the bucket bounds of durations: the settings' bounds and the latency objectives of `radiosonde.toml`."""
    host = recorder.host
    found = host.guard.attempt(_latency_objectives, host.settings.store)
    if isinstance(found, Exception):
        host.guard.warn("objectives", "%s; until then its latency objectives are not used as bucket bounds", found)
        found = frozenset()
    return sorted({*(host.settings.latency_edges or LATENCY_EDGES_S), *found})[:MOST_LATENCY_EDGES]


def _latency_objectives(store: str | None) -> frozenset[float]:
    path = locate([Path(store)] if store else [])
    if path is None:
        return frozenset()
    from radiosonde.config.latency_objectives import (
        latency_objectives,  # reads TOML, only if there is a configuration
    )

    return latency_objectives(path)


def leave_reference(spool: Spool, reference: Reference) -> str:
    """Put a reference profile into the spool, for the agent; return its identity.

    Raises:
        ProfileError: it cannot be written.
    """
    path = spool.reference_path(reference.id)
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
        codes.subscribe(_listener(writer, guard, table, feature))


def _listener(writer: NameWriter, guard: Guard, table: int, feature: int) -> Callable[[int, list[str]], None]:
    def listen(first: int, names: list[str]) -> None:
        new = [Name(table, feature, code, name) for code, name in enumerate(names, first)]
        if new and isinstance(guard.attempt(writer.append, *new), Exception):
            guard.lose(losses.NAMES_LOST, len(new))

    return listen
