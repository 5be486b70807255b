"""The outcome of a label: everything that the window of the prediction needs to count it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from radiosonde.model.series import SeriesKey


@dataclass(frozen=True, slots=True)
class Outcome:
    """One labelled prediction, or one whose label never came.

    Attributes:
        key: series of the prediction.
        event_ns: event time of the prediction, nanoseconds since the epoch.
        predicted: predicted class; ``""`` for a value.
        confidence: its confidence; NaN when the output carried none.
        value: predicted value; NaN for a class.
        label: true class as text, or true value as a number; None: never came.
        lag_s: seconds from the prediction to its label.
        former: the label that this one corrects; None when it is the first.
        former_lag_s: the lag of *former*; NaN without one.
        classes: the model's classes in column order, where they are known; two of them make the residual signed.
        cells: cell of each feature, one byte a feature as `radiosonde.reference.grid.ReferenceGrid.ordinals` gives them: body
            cells from 0 up, special cells from 252 (below) to 255 (unseen); empty when unknown.
        grid: identity of the grid of *cells*.
        features: feature names, in the order of *cells*.
    """

    key: SeriesKey
    event_ns: int
    predicted: str
    confidence: float
    value: float
    label: str | float | None
    lag_s: float
    former: str | float | None = None
    former_lag_s: float = math.nan
    classes: tuple[str, ...] = ()
    cells: bytes = b""
    grid: str = ""
    features: tuple[str, ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether the prediction was a class, not a value."""
        return math.isnan(self.value)
