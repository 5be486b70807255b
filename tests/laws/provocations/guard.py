"""Losses of the guard when it pauses calls that keep failing."""

from __future__ import annotations

from radiosonde.model import losses
from radiosonde.testing import fly
from tests.laws.provocations import ROW, predict, provokes


@provokes(losses.CALLS_PAUSED)
def _(folder, patch):
    """A tracer that fails a hundred times in a row is retried after a while."""

    class Provider:
        def get_tracer(self, *_, **__):
            return self

        def start_span(self, *_, **__):
            raise RuntimeError("no span")

    patch.setattr("radiosonde._pipeline.span_source.find_provider", Provider)
    with fly(reraise=False) as rs:
        predict(rs, *[ROW] * 101)
        return rs.losses()
