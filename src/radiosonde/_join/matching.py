"""Computes the outcome of a label for its prediction: pure, the same in every store.

A prediction keeps every distinct value stated for it, with the first and the last time. In force is the
value of the largest ``(last time, text)``; its lag counts from the first time it was stated, so that a job that sends
all labels again every night does not make them late. Both depend only on the set of statements, never on their order.
The value an older statement loses to must be kept too: A at 1, B at 3, A at 5 is A known since 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from radiosonde._clock import NS
from radiosonde._join.label_values import LARGEST, class_name, finite_number
from radiosonde._join.store import CORRECTED, DUPLICATE, INVALID, JOINED, UNANSWERED, LaneNames
from radiosonde.model import FIRST_HASHED, OTHER_WRONG, OVERFLOW_CLASS, Outcome, SeriesKey, hashed_class
from radiosonde.model.series import OVERFLOW_COHORT

VALUES_KEPT = 16
"""Number of distinct values kept per prediction, the newest ones; beyond it the lag of an older value starts again."""


class LaneCodes:
    """Decoded names of a lane, looked up once for all its predictions."""

    def __init__(self, names: LaneNames) -> None:
        self.names = names
        self.positions = names.classes[: names.declared]
        self._keys: dict[int, SeriesKey] = {}

    def key(self, series: int) -> SeriesKey:
        """Return the series of a cohort code; one that has no name is in the overflow cohort."""
        key = self._keys.get(series)
        if key is None:
            names = self.names
            cohort = names.cohorts[series] if series < len(names.cohorts) else OVERFLOW_COHORT
            key = self._keys[series] = SeriesKey(names.model, names.version, names.variant, cohort)
        return key

    def class_of(self, code: int) -> str:
        """Return the class of a code; one that has no name is called by its number."""
        classes = self.names.classes
        if code >= FIRST_HASHED:
            return OVERFLOW_CLASS
        return classes[code] if code < len(classes) else str(code)


class FoundPrediction(NamedTuple):
    """A prediction that was found for a label.

    Attributes:
        lane: names of its codes.
        event_ns: event time.
        score: predicted value, NaN none.
        confidence: confidence, NaN none.
        class_code: predicted class, -1 none.
        series: code of its cohort.
        cells: cell of each feature; empty when unknown.
    """

    lane: LaneCodes
    event_ns: int
    score: float
    confidence: float
    class_code: int
    series: int
    cells: bytes

    @property
    def is_answered(self) -> bool:
        """Whether there is a class, or a value within `LARGEST`, to compare a label with."""
        return self.class_code >= 0 or abs(self.score) <= LARGEST  # NaN is not


class Statement(NamedTuple):
    """A value that was stated for a prediction, and when first and last."""

    value: str | float
    first_ns: int
    last_ns: int


class Stated(NamedTuple):
    """The values stated for a prediction.

    Attributes:
        statements: by distinct value, the one in force first.
        has_cells: whether its outcomes were counted with cells: a correction must subtract the same cells.
    """

    statements: tuple[Statement, ...]
    has_cells: bool


class Match(NamedTuple):
    """The result for a label.

    Attributes:
        result: one of `radiosonde._join.store.RESULTS`.
        outcome: the outcome to count, if any.
        stated: all values stated for the prediction so far; None when the label was not one of its statements.
    """

    result: str
    outcome: Outcome | None = None
    stated: Stated | None = None


def match(value: str | float | None, time_ns: int, prediction: FoundPrediction, stated: Stated | None) -> Match:
    """Match a label's value, known since *time_ns*, with its prediction and the values *stated* for it before."""
    if not prediction.is_answered:
        return Match(UNANSWERED)
    label: str | float | None
    if prediction.class_code >= 0:
        names = prediction.lane.names
        label = class_name(value, names.classes, names.declared)
    else:
        label = finite_number(value)
    if label is None:
        return Match(INVALID)
    if stated is None:
        stated = Stated((Statement(label, time_ns, time_ns),), has_cells=bool(prediction.cells))
        lag_s = max(0, time_ns - prediction.event_ns) / NS
        return Match(JOINED, outcome_of(prediction, label, lag_s), stated)
    if not stated.has_cells and prediction.cells:
        prediction = prediction._replace(cells=b"")
    former = stated.statements[0]
    stated = stated._replace(statements=_restated(stated.statements, label, time_ns))
    winner = stated.statements[0]
    lags_s = [max(0, statement.first_ns - prediction.event_ns) / NS for statement in (winner, former)]
    result = DUPLICATE if winner.value == former.value else CORRECTED
    if result == DUPLICATE and lags_s[0] == lags_s[1]:
        return Match(DUPLICATE, None, stated)
    return Match(result, outcome_of(prediction, winner.value, lags_s[0], former.value, lags_s[1]), stated)


def _restated(statements: tuple[Statement, ...], value: str | float, time_ns: int) -> tuple[Statement, ...]:
    known = {statement.value: statement for statement in statements}
    _, first_ns, last_ns = known.get(value, (value, time_ns, time_ns))
    known[value] = Statement(value, min(first_ns, time_ns), max(last_ns, time_ns))
    ranked = sorted(known.values(), key=lambda statement: (statement.last_ns, str(statement.value)), reverse=True)
    return tuple(ranked[:VALUES_KEPT])


def outcome_of(
    prediction: FoundPrediction,
    label: str | float | None,
    lag_s: float = math.nan,
    former: str | float | None = None,
    former_lag_s: float = math.nan,
) -> Outcome:
    """Return the outcome of a prediction with the label *label*; None: it never arrived."""
    lane = prediction.lane
    has_class = prediction.class_code >= 0
    if prediction.class_code >= FIRST_HASHED:
        label, former = _beside_hashed(label, prediction.class_code), _beside_hashed(former, prediction.class_code)
    has_cells = bool(prediction.cells)
    return Outcome(
        lane.key(prediction.series),
        prediction.event_ns,
        lane.class_of(prediction.class_code) if has_class else "",
        prediction.confidence,
        math.nan if has_class else prediction.score,
        label,
        lag_s,
        former,
        former_lag_s,
        lane.positions,
        prediction.cells,
        lane.names.grid if has_cells else "",
        lane.names.features if has_cells else (),
    )


def _beside_hashed(label: str | float | None, code: int) -> str | float | None:
    """Return a label of a prediction whose class is beyond the bound, so that it equals `OVERFLOW_CLASS` if it is right."""
    if not isinstance(label, str):
        return label
    if hashed_class(label) == code:
        return OVERFLOW_CLASS
    return OTHER_WRONG if label == OVERFLOW_CLASS else label


def parse_id(prediction_id: object) -> tuple[int, int, int] | None:
    """Return (start in ns, nonce, low bits of the index) of a prediction id; None when it is not one."""
    if not isinstance(prediction_id, str) or len(prediction_id) != 32 or not prediction_id.isalnum():
        return None
    try:
        number = int(prediction_id, 16)
    except ValueError:
        return None
    return number >> 64, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF
