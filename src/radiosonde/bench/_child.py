"""The process that measures a function: ``python -m radiosonde.bench._child FOLDER``.

Its orders are ``FOLDER/orders.json``. It writes how far it is to ``progress``, and to ``results.json`` what it found or why it could not.
SIGINT ends it after the block at hand, with the rounds there are.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from radiosonde._pipeline.surface import SURFACE
from radiosonde.bench.rounds import Rounds
from radiosonde.bench.rows import calls, read
from radiosonde.bench.target import load
from radiosonde.errors import ConfigurationError, RadiosondeError
from radiosonde.reference.profile import Reference

LEAST_ROUNDS = 3


def main(folder: Path) -> int:
    """Measure, and return the exit code."""
    orders = json.loads((folder / "orders.json").read_text(encoding="utf-8"))
    try:
        found: dict[str, Any] = _measure(orders, folder)
    except RadiosondeError as error:
        found = {"error": str(error)}
    (folder / "results.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


def _measure(orders: dict[str, Any], folder: Path) -> dict[str, Any]:
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: stopped.append(number))
    reference = None if orders["reference"] is None else Reference.load(orders["reference"])
    target = load(orders["target"], reference)
    rows = None if orders["input"] is None else read(Path(orders["input"]))
    given = calls(target, rows, orders["form"], orders["batch"])
    pipeline = SURFACE.pipeline()  # the one that the user's functions use
    rounds = Rounds(target, given, pipeline.take_turn)
    try:
        rounds.warm_up()
        began_s = time.monotonic()
        while not stopped and (rounds.rounds < LEAST_ROUNDS or time.monotonic() - began_s < orders["seconds"]):
            rounds.measure()
            done = min(time.monotonic() - began_s, orders["seconds"])
            (folder / "progress").write_text(f"{done / orders['seconds']:.3f}", encoding="ascii")
    except RadiosondeError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{orders['target']} raised {type(error).__name__}: {error}; it was given {_shown(given[0])}. Pass --input with rows "
            "that it takes, or --as to say how it takes them"
        ) from error
    if not rounds.rounds:
        return {"interrupted": True}
    SURFACE.flush()
    lost = {reason: count for reason, count in SURFACE.statistics().losses.items() if count}
    SURFACE.shutdown()
    found = rounds.results(orders["target"], None, lost, was_interrupted=bool(stopped))
    return {**found.document(), "model": target.model}


def _shown(call: Any) -> str:
    text = ascii(call.args[0] if call.args else call.kwargs)
    return text if len(text) < 200 else f"{text[:197]}..."


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
