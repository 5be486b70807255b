"""The process that measures a function: ``python -m radiosonde.bench._child FOLDER``.

It reads ``FOLDER/orders.json``, writes its progress to ``progress``, and results or the error to ``results.json``. SIGINT ends it after the
current block, with the completed rounds.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from radiosonde._api.surface import SURFACE
from radiosonde.bench.rounds import Rounds, runner_for
from radiosonde.bench.rows import Call, calls, read
from radiosonde.bench.target import Target, load
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
    given = _fitting(target, rows, orders)
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


def _fitting(target: Target, rows: list[Any] | None, orders: dict[str, Any]) -> list[Call]:
    """Return the calls in the given form or, for rows of a file and an uninformative signature, in the first form that works."""
    given = calls(target, rows, orders["form"], orders["batch"])
    forms = ("frame", "array", "list") if rows is not None and orders["form"] == "auto" else ()
    if not forms or _takes(target, given):
        return given
    for form in forms:
        try:
            others = calls(target, rows, form, orders["batch"])
        except (TypeError, ValueError, ImportError):  # rows that make no such thing, or a library that is not here
            continue
        if _takes(target, others):
            sys.stderr.write(f"rows are given as {form}; --as {form} says so\n")
            return others
    return given


def _takes(target: Target, given: list[Call]) -> bool:
    try:
        runner_for(target.bare)(target.bare, given[:1], 0, 1)
    except Exception:  # noqa: BLE001 - the user's function may raise anything
        return False
    return True


def _shown(call: Any) -> str:
    text = ascii(call.args[0] if call.args else call.kwargs)
    return text if len(text) < 200 else f"{text[:197]}..."


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
