"""Cost of a peer in a fresh interpreter with numpy imported: of its import, and until the first answer.

``python -m benchmarks.peers._first PEER ENDPOINT FOLDER MODULE ...``. It imports as little as it can itself, so that a library pays
for what it needs of the standard library too.
"""

from __future__ import annotations

import importlib
import sys
import time

import numpy  # noqa: F401, ICN001 - paid before the clock starts


def main(peer: str, endpoint: str, folder: str, *modules: str) -> None:
    """Print CPU and wall seconds. What comes after the import is beside the import of the harness: subtract a bare call's."""
    began = time.process_time(), time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    imported = time.process_time(), time.perf_counter()
    from pathlib import Path

    from benchmarks.peers._contract import Place, model
    from benchmarks.workloads import arrays

    started = importlib.import_module(f"benchmarks.peers.{peer}").start(model(), Place(endpoint, Path(folder)))
    started.predict(arrays(1)[0])
    answered = time.process_time(), time.perf_counter()
    import json
    import os

    told = {
        "import_cpu_s": imported[0] - began[0],
        "import_wall_s": imported[1] - began[1],
        "first_cpu_s": answered[0] - began[0],
        "first_wall_s": answered[1] - began[1],
    }
    print("\n" + json.dumps(told), flush=True)
    os._exit(0)  # see `_child`: how a peer leaves is not measured


if __name__ == "__main__":
    main(*sys.argv[1:])
