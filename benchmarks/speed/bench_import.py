"""What `import radiosonde` costs over `import numpy`, in fresh interpreters; and what importing the SDK would cost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE = """
import json, sys, time
import numpy
before = set(sys.modules)
began = time.perf_counter()
__import__(sys.argv[1])
spent = time.perf_counter() - began
new = set(sys.modules) - before
print(json.dumps([spent, len(new), any(name.startswith("opentelemetry.sdk") for name in new)]))
"""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield milliseconds and modules."""
    ours, sdk = [], []
    for number in range(rounds + 1):
        found = probe("radiosonde"), probe("opentelemetry.sdk.metrics")
        if number:  # the first pair fills the page cache and writes byte code
            ours.append(found[0])
            sdk.append(found[1])
    if any(has_sdk for _, _, has_sdk in ours):
        raise RuntimeError("import radiosonde loads opentelemetry.sdk")
    times_ms = [1e3 * spent for spent, _, _ in ours]
    ratio = float(np.median([a[0] / b[0] for a, b in zip(ours, sdk, strict=True)]))
    yield Figure(
        "import", "import radiosonde, over import numpy", times_ms, unit="ms",
        absolute=f"{ratio:.2f} x import opentelemetry.sdk.metrics",
        raw={"radiosonde_s": [row[0] for row in ours], "opentelemetry_sdk_s": [row[0] for row in sdk]},
    )  # fmt: skip
    yield Figure("import-modules", "modules it loads, numpy's aside", [row[1] for row in ours], unit="modules")


def probe(module: str) -> tuple[float, int, bool]:
    """Import *module* in a fresh interpreter; return its seconds, its new modules, and whether the SDK is among them."""
    command = [sys.executable, "-c", PROBE, module]
    seconds, modules, has_sdk = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return float(seconds), int(modules), bool(has_sdk)
