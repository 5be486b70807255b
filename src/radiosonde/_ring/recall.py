"""Decodes the last predictions of a ring and those in flight, for the flight recorder.

Read-only: it moves no cursor and takes no lock, so it may be used on a living process too. Records that change during the copy, as their
marks show, are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from radiosonde._ring.layout import (
    DONE,
    FAILED,
    IN_FLIGHT,
    INPUT_ROW,
    OUTPUT_CLASS,
    OUTPUT_SCORE,
    SERIES_MASK,
    prediction_id,
)
from radiosonde._ring.names import CATEGORIES, CLASSES, COHORTS, ERRORS, PHASES, NameReader
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import NAMES, RingFile, is_held
from radiosonde._ring.text_codes import code_of
from radiosonde.errors import SpoolError
from radiosonde.model import FIRST_HASHED, OVERFLOW_CLASS

MASKED = "(pii)"
MISSING, INVALID = "missing", "invalid"
_SHOWN_ROWS = 3
"""Rows shown of a batch."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """One prediction as the ring remembers it.

    Attributes:
        id: prediction id.
        start_ns: wall clock at the start, nanoseconds since the epoch.
        event_ns: event time, 0 when it is the start.
        state: ``in flight``, ``done`` or ``failed``.
        duration_s: duration in seconds, None while in flight.
        cohort: cohort cell.
        rows: rows of the call.
        phases_s: seconds by finished phase.
        phase: phase in progress, ``""`` for none.
        features: per shown row the value of each feature by name, as text; empty when no features were recorded.
        output: the output as text; ``""`` for none.
        error: type of the exception, ``""`` for none.
    """

    id: str
    start_ns: int
    event_ns: int
    state: str
    duration_s: float | None
    cohort: str
    rows: int
    phases_s: Mapping[str, float]
    phase: str
    features: Sequence[Mapping[str, str]]
    output: str
    error: str


@dataclass(frozen=True, slots=True)
class Recollection:
    """Records read from one ring.

    Attributes:
        process: identity of the process that wrote it.
        pid: its process id when it created the ring.
        is_alive: whether it is still running.
        model, version, variant: the series of these predictions.
        in_flight: predictions that had begun and not ended, oldest first.
        last: the newest ended predictions, newest first.
    """

    process: str
    pid: int
    is_alive: bool
    model: str
    version: str
    variant: str
    in_flight: tuple[Recalled, ...]
    last: tuple[Recalled, ...]


def recall(file: RingFile, *, last: int = 10) -> Recollection:
    """Return the last *last* ended predictions of a ring and all in flight.

    Raises:
        SpoolError: the file is torn, foreign, or from a newer version.
    """
    is_alive = is_held(file.path)
    ring = Ring.attach(file)
    texts = _Texts(ring)
    marks = ring.headers["mark"].copy()
    indices = (marks >> np.uint64(2)).astype(np.int64) - 1
    states = marks & np.uint64(3)
    flying = sorted(indices[states == IN_FLIGHT].tolist())
    ended = sorted(indices[(states == DONE) | (states == FAILED)].tolist(), reverse=True)[:last]
    return Recollection(
        process=file.process,
        pid=ring.pid,
        is_alive=is_alive,
        model=texts.of("model"),
        version=texts.of("version"),
        variant=texts.of("variant"),
        in_flight=tuple(found for index in flying if (found := _recalled(ring, texts, index)) is not None),
        last=tuple(found for index in ended if (found := _recalled(ring, texts, index)) is not None),
    )


CRASH_REPORT = ".crash.json"
"""Suffix of the file that the agent leaves in the spool for a ring whose process died during a prediction."""


def read_crash_report(path: Path) -> Recollection:
    """Return the crash report that the agent wrote about a dead process before it removed the ring.

    Raises:
        SpoolError: the file is torn or foreign.
    """
    try:
        told = json.loads(path.read_text())
        found: dict[str, Any] = {name: told[name] for name in Recollection.__dataclass_fields__}
        for part in ("in_flight", "last"):
            found[part] = tuple(Recalled(**each) for each in found[part])
        return Recollection(**found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SpoolError(f"{path} is damaged, or not a crash report of Radiosonde; remove it") from error


@dataclass(slots=True)
class _Texts:
    """Names of one ring: those of its page, and those of the side table."""

    ring: Ring
    tables: dict[tuple[int, int], dict[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schema: Mapping[str, Any] = self.ring.schema
        self.tables[CLASSES, 0] = dict(enumerate(schema.get("classes") or ()))
        for feature, known in enumerate(schema.get("categories") or ()):
            if known is not None:
                self.tables[CATEGORIES, feature] = dict(enumerate(known))
        if self.ring.file is not None:
            for name in NameReader(self.ring.file.beside(NAMES)).read():
                self.tables.setdefault((name.table, name.feature), {})[name.code] = name.text

    def of(self, key: str) -> str:
        return str(self.ring.schema.get(key, ""))

    def name(self, table: int, code: int, feature: int = 0) -> str:
        return self.tables.get((table, feature), {}).get(code, f"#{code}")

    def row(self, values: Sequence[float]) -> dict[str, str]:
        schema: Mapping[str, Any] = self.ring.schema
        pii = set(schema.get("pii") or ())
        return {
            name: MASKED if name in pii else self._value(feature, value)
            for feature, (name, value) in enumerate(zip(schema.get("features") or (), values, strict=False))
        }

    def _value(self, feature: int, value: float) -> str:
        code = code_of(value)
        if code >= 0:
            return self.name(CATEGORIES, code, feature)
        if math.isnan(value):
            return MISSING
        if math.isinf(value):
            return INVALID
        if not self.ring.schema.get("is_open") and (CATEGORIES, feature) in self.tables:
            return self.name(CATEGORIES, int(value), feature)
        return f"{value:.12g}"


def _recalled(ring: Ring, texts: _Texts, index: int) -> Recalled | None:
    slot = index & (ring.capacity - 1)
    header = ring.headers[slot].copy()
    rows = _rows(ring, header, slot)
    if int(ring.headers["mark"][slot]) != int(header["mark"]):
        return None  # given to another prediction meanwhile
    state = int(header["mark"]) & 3
    is_flying = state == IN_FLIGHT
    spent = {code: float(seconds) for code, seconds in enumerate(header["phase_s"].tolist()) if seconds > 0}
    error = int(header["error"])
    start_ns, series = int(header["start_ns"]), int(header["series"]) & SERIES_MASK
    return Recalled(
        id=prediction_id(start_ns, ring.nonce, index),
        start_ns=start_ns,
        event_ns=int(header["event_ns"]),
        state={IN_FLIGHT: "in flight", DONE: "done", FAILED: "failed"}[state],
        duration_s=None if is_flying else int(header["duration_ns"]) / 1e9,
        cohort=texts.name(COHORTS, series) if series else "",
        rows=max(1, int(header["rows_begun"])) if is_flying else int(header["rows"]),
        phases_s={texts.name(PHASES, code): seconds for code, seconds in spent.items()},
        phase=texts.name(PHASES, error - 1) if is_flying and error else "",
        features=[texts.row(row) for row in rows],
        output="" if is_flying or header["batch"] else _output(header, texts),
        error="" if is_flying or not error else texts.name(ERRORS, error),
    )


def _rows(ring: Ring, header: Any, slot: int) -> list[list[float]]:
    if header["input_kind"] != INPUT_ROW:
        return []
    if not header["batch"]:
        return [ring.rows[slot].tolist()]
    position, shown = int(header["batch"]) - 1, min(_SHOWN_ROWS, int(header["rows_begun"]))
    try:
        block = ring.arena.block(position, shown, ring.features).copy()
    except (IndexError, ValueError):
        return []
    return list(block.tolist()) if ring.arena.is_whole(position) else []


def _output(header: Any, texts: _Texts) -> str:
    if header["output_kind"] == OUTPUT_SCORE:
        return f"{float(header['score']):.6g}"
    if header["output_kind"] != OUTPUT_CLASS:
        return ""
    code = int(header["class_code"])
    name = texts.name(CLASSES, code) if code < FIRST_HASHED else OVERFLOW_CLASS
    confidence = float(header["confidence"])
    return name if math.isnan(confidence) else f"{name} ({confidence:.3f})"
