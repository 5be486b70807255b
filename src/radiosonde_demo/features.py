"""The feature store of the demo: looks up the features of a flight.

The incidents of the network and of the weather feed happen here, where a server meets the world.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Protocol

from radiosonde_demo.flights import WEATHER, weather_by_hour

if TYPE_CHECKING:
    from datetime import datetime

    from radiosonde_demo.incidents import Incidents
    from radiosonde_demo.model import Features


class KnownFlight(Protocol):
    """The fields of a flight that the feature store needs; *scheduled* is in the local time of the origin."""

    carrier: str
    flight: int
    origin: str
    dest: str
    distance: float
    scheduled: datetime


class FeatureStore:
    """Flights with the weather at their origin.

    Args:
        incidents: faults between the store and its upstream sources.
    """

    def __init__(self, incidents: Incidents) -> None:
        """Load the weather."""
        self._incidents = incidents
        self._weather = weather_by_hour()

    async def fetch(self, flight: KnownFlight) -> Features:
        """Return the features of *flight*; weather that was not observed is NaN."""
        now_s = flight.scheduled.timestamp()
        await self._incidents.network(f"{flight.carrier}{flight.flight}@{now_s:.0f}", now_s)
        observed = self._weather.get((flight.origin, int(now_s) // 3600 * 3600))
        weather = self._incidents.weather(observed, now_s) if observed else dict.fromkeys(WEATHER, nan)
        return {
            "carrier": flight.carrier,
            "origin": flight.origin,
            "dest": flight.dest,
            "hour": flight.scheduled.hour,
            "distance": flight.distance,
            **weather,
        }
