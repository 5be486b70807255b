"""The interface of join stores, where predictions wait for labels and labels for predictions.

Laws, which one test suite holds every store to (`tests/laws/test_join_laws.py`):

* Any interleaving of `remember`, `receive`, `join`, restarts and competing joiners gives the same net totals: each
  prediction ends with the label of the largest ``(time_ns, text of the value)`` among those received for it, and with the
  lag of the first time that value was stated.
* Every received label ends in exactly one of `RESULTS`, or still waits for its prediction.
* Labels are durable when `receive` returns: ``kill -9`` right after it loses nothing (except with a store in memory).
* A batch that was joined and not acknowledged is returned again, unchanged, to the next `join` of the same owner (or to
  anybody, once its owner has been silent for `LEASE_S`); one that was acknowledged never is. The caller makes counting it
  and remembering its id one transaction, and so counts each outcome once.

Predictions are kept in chunks (a few thousand rows as one blob), because a database row per prediction would cost more than recording it.
The prediction id ends in the ring's nonce and the record's index, which serve as the index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import Outcome

if TYPE_CHECKING:
    from radiosonde._join.preview import Preview

JOINED: Final = "joined"
"""The first label of its prediction."""
CORRECTED: Final = "corrected"
"""A later, different label: the former count is taken back."""
DUPLICATE: Final = "duplicate"
"""Says nothing new: the same value again, or an older statement than the one in force. The same value stated earlier moves
the lag, which is an outcome with a former of the same label."""
UNKNOWN: Final = "unknown"
"""No such prediction, and none came within the time a label waits."""
EXPIRED: Final = "expired"
"""Its prediction has expired, according to the time in the id. If callers use their own ids, the label first waits, because such an id may
have the form of an expired prediction id."""
INVALID: Final = "invalid"
"""The id or the value cannot be read."""
UNANSWERED: Final = "unanswered"
"""The prediction gave no class or value to compare with."""

RESULTS: Final = (JOINED, CORRECTED, DUPLICATE, UNKNOWN, EXPIRED, INVALID, UNANSWERED)

LEASE_S: Final = 60.0
"""Silence of a batch's owner after which others may take the batch."""

PREDICTION: Final = np.dtype(
    [
        ("index", "<i8"),
        ("start_ns", "<i8"),
        ("event_ns", "<i8"),
        ("score", "<f8"),
        ("confidence", "<f4"),
        ("class_code", "<i4"),
        ("series", "<u4"),
    ]
)
"""One prediction that waits for its label, 44 bytes; the fields mean what they mean in `radiosonde._ring.layout.HEADER`."""


@dataclass(frozen=True, slots=True)
class LaneNames:
    """The names of a chunk's codes.

    Attributes:
        nonce: the ring's nonce, the middle of its prediction ids.
        model, version, variant: identity of the series.
        cohorts: cohort text by series code.
        classes: class names by class code.
        declared: how many of the classes have a position (the first ones).
        features: feature names, in the order of the cells.
        grid: identity of the grid of the cells; ``""`` without cells.
    """

    nonce: int
    model: str
    version: str
    variant: str
    cohorts: tuple[str, ...] = ("",)
    classes: tuple[str, ...] = ()
    declared: int = 0
    features: tuple[str, ...] = ()
    grid: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A chunk of predictions of one lane.

    Attributes:
        lane: names behind the codes.
        rows: structured array of `PREDICTION`, shape (rows,), ascending by index.
        cells: cell of each feature by ordinal, shape (rows, features) uint8; (rows, 0) without cells.
    """

    lane: LaneNames
    rows: NDArray[Any]
    cells: NDArray[np.uint8]


class Label(NamedTuple):
    """A label as it was received.

    Attributes:
        prediction_id: prediction id (32 hex digits), or the caller's own id.
        value: the actual outcome: text, truth value or number.
        time_ns: time at which it became known, nanoseconds since the epoch.
    """

    prediction_id: str
    value: str | float | bool
    time_ns: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of one `join`.

    Attributes:
        id: unique over all stores and processes.
        outcomes: outcomes to count, in any order.
        results: labels by `RESULTS`, only those above 0.
    """

    id: str
    outcomes: Sequence[Outcome]
    results: Mapping[str, int] = field(default_factory=dict)


class JoinStore(Protocol):
    """A join store. For one thread at a time in each process; any number of processes.

    Every method raises `radiosonde.errors.StoreError` when the store cannot be reached, with nothing half done.
    """

    def remember(self, predictions: Sequence[Predictions]) -> None:
        """Keep predictions until their labels come or they are too old."""

    def alias(self, names: Sequence[tuple[str, str]]) -> None:
        """Add aliases: pairs of a caller's own id and the prediction id."""

    def receive(self, labels: Sequence[Label]) -> None:
        """Take labels; durable when this returns."""

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        """Add to *into* the result that joining *labels* would have now; nothing is changed."""

    def join(self, owner: str, *, now_ns: int, limit: int = 10_000) -> Batch | None:
        """Join up to *limit* received labels, and expire old predictions; None when there is nothing to do.

        Args:
            owner: identity of the joiner, which acknowledges; stable over its restarts.
            now_ns: wall clock; the reference for ages.
            limit: bound on the labels (and on the expired predictions) in the batch.
        """

    def acknowledge(self, batch_id: str) -> None:
        """Forget a batch: it is counted."""

    @property
    def waiting(self) -> int:
        """Received labels without a result: their prediction was not seen, or they were not joined yet."""

    def close(self) -> None:
        """Close the store; its contents are kept."""
