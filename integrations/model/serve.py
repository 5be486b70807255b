# Run by tests as a process, but never in a container. Made by: radiosonde assets compose
"""Stand-in for a model server: replace it by your own. The environment says where telemetry goes."""

from __future__ import annotations

import itertools
import time

import radiosonde as rs


@rs.observe("delays", version="1.0.0", classes=["on time", "late"])
def predict(row: dict[str, float]) -> list[float]:
    """Return the probability of each class."""
    return [0.2, 0.8] if row["wind"] > 20 else [0.9, 0.1]


rs.start()
for number in itertools.count():
    predict({"wind": 5.0 + 7 * number % 31})
    time.sleep(0.1)
