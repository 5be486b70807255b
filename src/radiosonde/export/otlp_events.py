"""Sketches as events: one log record per window, feature and kind, its body the serialized sketch as base64 text.

Text and not bytes, because one collector renders bytes as hexadecimal and the other as base64, and every SQL engine
decodes base64. The body and not an attribute, because limits on attribute length truncate and bodies are exempt. The
event's time is the end of its window in event time, which a replay may put years ago.

Each is a ``LogRecord`` of OTLP, written here (`radiosonde.export.wire`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from radiosonde._clock import wall_ns
from radiosonde.errors import MergeError
from radiosonde.export.labels import release_attributes
from radiosonde.export.otlp_encoding import Value, any_value, attribute_messages
from radiosonde.export.sketch_windows import Numbered
from radiosonde.export.wire import fixed64, message, text, whole
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events
from radiosonde.sketches import KINDS

ENCODING = "base64"
_INFO = 9
"""Severity number."""


def sketch_events(windows: Sequence[Numbered]) -> tuple[list[bytes], int, list[int]]:
    """Return one event per sketch, the number of damaged or unknown sketches, and the index of each window's last event."""
    observed_ns = wall_ns()
    records: list[bytes] = []
    damaged = 0
    ends: list[int] = []
    for number, window in windows:
        sketches, sketched_rows = (
            (window.features.sketches, window.features.sketched_rows) if window.features else ({}, 0)
        )
        for (feature, kind), sketch in sketches.items():
            try:
                fed = _values_seen(kind, sketch, sketched_rows)
            except MergeError:
                damaged += 1
                continue
            attributes: dict[str, Value] = {
                names.EVENT_NAME: events.SKETCH_WINDOW,
                **dict(release_attributes(window.key)),
                names.COHORT: window.key.cohort,
                names.FEATURE_NAME: feature,
                names.SKETCH_KIND: kind,
                names.SKETCH_K: KINDS[kind].parameter,
                names.SKETCH_N: fed,
                names.SKETCH_SIZE: len(sketch),
                names.SKETCH_ENCODING: ENCODING,
                names.WINDOW_START: int(window.start_ns),
                names.WINDOW_END: int(window.end_ns),
                names.WINDOW_NUMBER: number,
            }
            records.append(
                fixed64(1, int(window.end_ns))
                + whole(2, _INFO)
                + message(5, any_value(b64encode(sketch).decode("ascii")))
                + attribute_messages(6, attributes.items())
                + fixed64(11, observed_ns)
                + text(12, events.SKETCH_WINDOW)
            )
        ends.append(len(records))
    return records, damaged, ends


def _values_seen(kind: str, sketch: bytes, sketched_rows: int) -> int:
    """Return the number of values in a sketch; for kinds that do not count them, the window's sketched rows.

    Raises:
        MergeError: the sketch is damaged or of an unknown kind.
    """
    if kind not in KINDS:
        raise MergeError(f"unknown sketch kind {kind!r}; upgrade radiosonde")
    return int(getattr(KINDS[kind].from_bytes(sketch), "n", sketched_rows))
