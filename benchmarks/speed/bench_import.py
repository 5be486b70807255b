"""What `import radiosonde` costs over `import numpy`, in fresh interpreters; and what importing the SDK would cost.

The figure is CPU time, because on a busy machine wall time measures the neighbours; wall time stands beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE = """
import json, sys, time
import numpy
before = set(sys.modules)
began = time.process_time(), time.perf_counter()
__import__(sys.argv[1])
spent = time.process_time() - began[0], time.perf_counter() - began[1]
new = set(sys.modules) - before
print(json.dumps([*spent, len(new), any(name.startswith("opentelemetry.sdk") for name in new)]))
"""


class Import(NamedTuple):
    """Cost of an import: seconds, modules, and whether it loaded the SDK."""

    cpu_s: float
    wall_s: float
    modules: int
    has_sdk: bool


def measure(rounds: int) -> Iterator[Figure]:
    """Yield milliseconds and modules."""
    ours, sdk = [], []
    for number in range(rounds + 1):
        found = probe("radiosonde"), probe("opentelemetry.sdk.metrics")
        if number:  # the first pair fills the page cache and writes byte code
            ours.append(found[0])
            sdk.append(found[1])
    if any(probed.has_sdk for probed in ours):
        raise RuntimeError("import radiosonde loads opentelemetry.sdk")
    ratio = float(np.median([mine.cpu_s / theirs.cpu_s for mine, theirs in zip(ours, sdk, strict=True)]))
    wall_ms = 1e3 * float(np.median([probed.wall_s for probed in ours]))
    yield Figure(
        "import",
        "import radiosonde, over import numpy",
        [1e3 * probed.cpu_s for probed in ours],
        unit="ms of CPU",
        absolute=f"{wall_ms:.0f} ms by the wall clock; {ratio:.2f} x import opentelemetry.sdk.metrics",
        raw={
            "cpu_s": [probed.cpu_s for probed in ours],
            "wall_s": [probed.wall_s for probed in ours],
            "opentelemetry_sdk_cpu_s": [probed.cpu_s for probed in sdk],
        },
    )
    yield Figure(
        "import-modules", "modules it loads, numpy's aside", [probed.modules for probed in ours], unit="modules"
    )


def probe(module: str) -> Import:
    """Import *module* in a fresh interpreter and return what it cost."""
    command = [sys.executable, "-c", PROBE, module]
    return Import(*json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))
