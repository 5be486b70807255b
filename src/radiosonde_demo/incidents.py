"""The three injected faults of the demo, each with its own start.

The moments are event time, so a replay at any speed meets them at the same flights. The scenario is a file in the
demo's folder that the server reads when it starts; neither the client nor Radiosonde knows it.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEVER_S = float("inf")

METRES_PER_SECOND = 0.44704
"""One mile per hour, the unit of the training data, in the unit of the weather provider's next interface."""

CARRIER = "WN"
SLOW_ONE_IN = 50
SLOW_S = 0.3
"""Longer than a call waits for a core where a few other programs want it too, so that a loaded machine does not hide it."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """Moments, in seconds since the Unix epoch, from which each incident lasts to the end; `NEVER_S` for not at all.

    Attributes:
        carrier_s: v2 reloads its configuration and loses one carrier from its encoding table.
        fetch_s: the feature fetch takes 300 ms longer on one call in fifty.
        wind_s: the wind speed arrives in metres per second instead of miles per hour.
    """

    carrier_s: float = NEVER_S
    fetch_s: float = NEVER_S
    wind_s: float = NEVER_S

    @classmethod
    def spread_over(cls, start_s: int, end_s: int) -> Incidents:
        """Return the three incidents spread over the middle of a replay, each on a full hour.

        The first third stays healthy, because a change is only detected against the past; the last third has all
        three, because a carrier of which the canary sees three flights a day takes days to show.
        """
        hours = (end_s - start_s) // 3600
        first, second, third = (start_s + 3600 * round(hours * share) for share in (0.38, 0.48, 0.58))
        return cls(carrier_s=first, fetch_s=second, wind_s=third)

    @classmethod
    def load(cls, path: Path) -> Incidents:
        """Read a scenario file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Write the scenario file that the server reads."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    def moments(self) -> list[tuple[float, str]]:
        """Describe the incidents and their times, in order."""
        moments = [
            (self.carrier_s, f"v2 loses carrier {CARRIER} from its encoding table"),
            (
                self.fetch_s,
                f"the feature fetch takes {SLOW_S * 1000:.0f} ms longer on {100 / SLOW_ONE_IN:.0f} % of calls",
            ),
            (self.wind_s, "wind_speed arrives in metres per second instead of miles per hour"),
        ]
        return sorted(moment for moment in moments if moment[0] != NEVER_S)

    def weather(self, observed: Mapping[str, float], now_s: float) -> Mapping[str, float]:
        """Return an observation in the unit in which the provider sends it at *now_s*."""
        if now_s < self.wind_s:
            return observed
        return {**observed, "wind_speed": observed["wind_speed"] * METRES_PER_SECOND}

    def carriers(self, table: Mapping[str, float], now_s: float) -> Mapping[str, float]:
        """Return the encoding table of carriers that v2 has loaded at *now_s*."""
        if now_s < self.carrier_s:
            return table
        return {carrier: code for carrier, code in table.items() if carrier != CARRIER}

    async def network(self, request: str, now_s: float) -> None:
        """Wait for the feature store as long as *request* has to at *now_s*."""
        if now_s >= self.fetch_s and zlib.crc32(request.encode()) % SLOW_ONE_IN == 0:
            await asyncio.sleep(SLOW_S)
