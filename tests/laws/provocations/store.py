"""Losses of the store."""

from __future__ import annotations

from dataclasses import replace

from radiosonde.model import losses
from radiosonde.testing import fly
from tests.factories import make_window
from tests.laws.provocations import predict, provokes


@provokes(losses.STORE_REFUSED)
def _(folder, patch):
    """A window counts more calls than a column can hold."""
    with fly(store=folder / "a.db") as rs:
        predict(rs, "text", input=False)
        rs.pipeline()._delivery.export([make_window(), replace(make_window(), calls=2**80)])
        rs.flush()
        return rs.losses()
