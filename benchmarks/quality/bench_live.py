"""Cost of a look at one new window with detectors kept up: CPU per model, by length of history and by how many series there are.

Simulated minutes of healthy traffic (`benchmarks.quality.incidents.service`), the state in a file. The history is taken over at once, then each minute is a look. A
history of ten days is held as a store holds it, so what a look costs must not grow with it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure
from benchmarks.quality.incidents.service import DAY, Traffic, calls, failing, series
from radiosonde.diagnose.live import LiveDiagnosis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radiosonde.model import SeriesKey

HISTORIES = {"3 h": 180, "1 d": DAY, "3 d": 3 * DAY}
LOOKS = 20


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the CPU of a look, and of rebuilding the detectors at a start."""
    for what, keys in (("one", series(1)), ("2 versions x 16 cohorts", series(2, region=16))):
        medians = {}
        for words, minutes in HISTORIES.items():
            took, started = _looks(keys, minutes, LOOKS * min(rounds, 3))
            medians[words] = took
            name = f"live-look-{len(keys)}-{minutes}"
            yield Figure(name, f"a look at a new window, {what}, after {words}", took, unit="ms", absolute=f"start {started:.0f} ms")  # fmt: skip
        first, last = (float(np.median(medians[words])) for words in ("3 h", "3 d"))
        yield Figure(
            f"live-growth-{len(keys)}", f"a look after 3 d over one after 3 h, {what}", [last / first], unit="x"
        )


def _looks(keys: list[SeriesKey], minutes: int, looks: int) -> tuple[list[float], float]:
    """Return the milliseconds of CPU of *looks* looks after *minutes* of history, and of a start."""
    rng = np.random.default_rng(3)
    made = calls(rng, minutes + looks, keys, 1500.0)
    traffic = Traffic(keys, made, failing(rng, made, 0.002))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.state"
        with LiveDiagnosis(path) as live:
            live.advance(traffic.windows(0, minutes))
        began = time.process_time()
        with LiveDiagnosis(path) as live:
            started = 1000 * (time.process_time() - began)
            took = []
            for minute in range(minutes, minutes + looks):
                windows = traffic.windows(minute, minute + 1)
                began = time.process_time()
                live.advance(windows)
                took.append(1000 * (time.process_time() - began))
    return took, started
