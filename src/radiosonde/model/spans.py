"""Spans after the fact: selected predictions whose trace was not recorded, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from radiosonde.model.series import SeriesKey

ERROR: Final = "error"
"""The call raised."""

LOW_CONFIDENCE: Final = "low_confidence"
"""The model was hardly surer than chance."""

OUT_OF_RANGE: Final = "out_of_range"
"""A feature was outside the range of the reference."""

SLOW: Final = "slow"
"""Among the slowest of its window."""

BASELINE: Final = "baseline"
"""Taken at random, to compare the others with."""

REASONS: Final = (ERROR, LOW_CONFIDENCE, OUT_OF_RANGE, SLOW, BASELINE)
"""Why a span is made after the fact."""


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """One prediction that was selected for a span and whose trace was not recorded.

    Attributes:
        trace_id: of the surrounding trace; where there was none, a new one.
        span_id: made for this span.
        parent_span_id: span around the prediction, 0 for none.
        key: series of the prediction.
        prediction_id: identity, by which its label finds it.
        start_ns, end_ns: wall clock in nanoseconds since the epoch, as recorded.
        rows: rows of the call.
        reasons: why it is kept, in the order of `REASONS`.
        error_type: type of the exception, ``""`` for none.
        class_name: predicted class, ``""`` for none.
        confidence: of the predicted class, None for none.
        cells: one character per feature, ``""`` without a grid or for a batch.
        phases_s: seconds by phase; when each of them began is not recorded.
    """

    trace_id: int
    span_id: int
    parent_span_id: int
    key: SeriesKey
    prediction_id: str
    start_ns: int
    end_ns: int
    rows: int
    reasons: tuple[str, ...]
    error_type: str = ""
    class_name: str = ""
    confidence: float | None = None
    cells: str = ""
    phases_s: tuple[tuple[str, float], ...] = ()
