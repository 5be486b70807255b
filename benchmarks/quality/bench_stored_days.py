"""How long ``radiosonde diagnose`` takes as a store grows, and how large the store is.

Stores of 3 to 30 days, made by `benchmarks.speed.stored_days` with late labels and sketches, diagnosed by the command in a process of
its own: CPU seconds, imports included. A line through the shorter ones foretells the longest: a growth that is not linear shows as a
ratio above 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._measure import Figure
from benchmarks.speed.stored_days import fill, hour_of_minutes

DAYS = (3, 10, 20, 30)
MOST_ROUNDS = 3
MIB = 1 << 20


def measure(rounds: int) -> Iterator[Figure]:
    """Yield CPU seconds and MiB by days, and the longest beside what the shorter ones lead to expect."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minutes, reference = hour_of_minutes(folder / "made.sqlite")
        seconds = {}
        for days in DAYS:
            path = folder / f"{days}.sqlite"
            parts = fill(path, days, minutes, reference)
            mib = path.stat().st_size / MIB
            seconds[days] = [_diagnosed_s(path) for _ in range(min(rounds, MOST_ROUNDS))]
            path.unlink()
            said = f"{parts} parts, {mib:.0f} MiB"
            yield Figure(
                f"diagnosis-{days}-days",
                f"diagnosing {days} days of minutes, 13 series",
                seconds[days],
                unit="s CPU",
                absolute=said,
            )
            yield Figure(
                f"diagnosis-{days}-days-store",
                f"the store of {days} days",
                [mib],
                unit="MiB",
                absolute=f"{parts} parts",
            )
        *shorter, longest = DAYS
        slope, base = np.polyfit(shorter, [float(np.median(seconds[days])) for days in shorter], 1)
        ratio = float(np.median(seconds[longest])) / float(base + slope * longest)
        growth = f"{base:.1f} s and {1000 * slope:.0f} ms a day"
        yield Figure(
            "diagnosis-growth", f"{longest} days beside a line through the shorter", [ratio], unit="x", absolute=growth
        )


def _diagnosed_s(path: Path) -> float:
    """Return the CPU seconds of a diagnosis, which must include the model."""
    command = [str(Path(sys.executable).with_name("radiosonde")), "diagnose", str(path), "--json"]
    with tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(command, stdout=answer)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        answer.seek(0)
        if not json.load(answer)["windows"]:
            raise RuntimeError(f"radiosonde diagnose looked at no window and ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime
