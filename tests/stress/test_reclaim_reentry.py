"""A signal handler or a finaliser predicts in the midst of making room in a ring: no call is lost, none is counted twice."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from radiosonde._ring import reclaim
from radiosonde.testing import fly
from tests.interruptions import interrupt_everywhere

ROW, BATCH = np.zeros((1, 3)), np.zeros((20, 3))

CALLS = 40
"""More than a segment of a ring of 256 slots, so that each run makes room at least once."""


class Predicts:
    """Predicts when it is collected; refers to itself, so that only the collector finds it."""

    def __init__(self, predict) -> None:
        self.predict, self.itself = predict, self

    def __del__(self) -> None:
        self.predict(ROW)


def collect(predict):
    """Leave a finaliser that predicts to the collector."""
    Predicts(predict)
    gc.collect(0)


def fail(predict):
    """Predict with an exception."""
    with pytest.raises(ValueError, match="no rows"):
        predict(ROW[:0])


HANDLERS = {
    "predicts": lambda predict: predict(ROW),
    "predicts a batch": lambda predict: predict(BATCH),
    "predicts with an exception": fail,
    "collects a finaliser that predicts": collect,
}


@pytest.mark.parametrize("handle", HANDLERS.values(), ids=HANDLERS)
def test_whoever_interrupts_a_reclaim_before_any_instruction_is_counted(handle):
    """Each instruction of the reclaimer is interrupted once; calls, rows, errors and classes are exact."""
    made = {"calls": 0, "rows": 0, "errors": 0}
    with fly(ring_bytes=65_536) as flight:

        def predict(rows):
            made["calls"] += 1
            if not len(rows):
                made["errors"] += 1
                raise ValueError("no rows")
            made["rows"] += len(rows)
            return "yes" if len(rows) == 1 else ["yes"] * len(rows)

        observed = flight.observe("delays", classes=["no", "yes"], features=["a", "b", "c"])(predict)
        observed(ROW)
        with flight.pipeline()._turn:  # the consumer does not come

            def fill():
                for _ in range(CALLS):
                    observed(ROW)

            runs = interrupt_everywhere(reclaim, fill, lambda: handle(observed))
        windows = flight.windows()
        losses = {name: count for name, count in flight.losses().items() if count}
    assert runs > 100
    assert set(losses) <= {"batch_overwritten", "features_learning"}
    assert sum(window.calls for window in windows) == made["calls"]
    assert sum(window.rows for window in windows) == made["rows"]
    assert sum(sum(window.errors.values()) for window in windows) == made["errors"]
    assert sum(int(window.output.class_counts.sum()) for window in windows) == made["rows"] - losses.get(
        "batch_refused", 0
    )
