"""Losses of windows that cannot be closed."""

from __future__ import annotations

from radiosonde._aggregate.state import SeriesState
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.laws.provocations import ROW, predict, provokes


@provokes(losses.WINDOWS_FAILED)
def _(folder, patch):
    """An internal error while a window closes."""
    with fly(reraise=False, runtime=False) as rs:
        predict(rs, ROW)
        rs.pipeline().take_turn()
        patch.setattr(SeriesState, "freeze", lambda self, *, with_sketches: 1 / 0)
        rs.flush()
        patch.undo()
        return rs.losses()


@provokes(losses.FEATURES_UNFINISHED)
def _(folder, patch):
    """An exit has no time left for features that wait for a provisional reference."""
    with fly(reraise=False, runtime=False) as rs:
        predict(rs, ROW)
        rs.flush()
        while not rs.pipeline()._draining.take_turn(everything=True, is_end=True, timeout_s=0.0):
            pass  # a turn of the consumer's own
        return rs.losses()


@provokes(losses.CALLS_AFTER_END)
def _(folder, patch):
    """A thread goes on predicting after the shutdown, and an outlet reports a completed call."""
    with fly(reraise=False, runtime=False) as rs:
        predict(rs, ROW)
        rs.shutdown()
        predict(rs, ROW)
        rs.record("delays", 0.1)
        return rs.losses()
