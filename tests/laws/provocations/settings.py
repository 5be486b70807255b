"""Losses due to a wrong environment."""

from __future__ import annotations

from radiosonde._guard import Guard
from radiosonde.model import losses
from radiosonde.testing import Flight
from tests.laws.provocations import ROW, predict, provokes


@provokes(losses.SETTINGS_IGNORED)
def _(folder, patch):
    """A variable that cannot be used."""
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_WINDOW_S": "abc"})
    try:
        predict(flight, ROW)
        return flight.losses()
    finally:
        flight.shutdown()
