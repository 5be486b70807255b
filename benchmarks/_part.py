"""Measures one part in this process and prints its figures as JSON: each part has a process of its own, see `__main__`."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys

from benchmarks import _measure


def main(module: str, rounds: int, first_seed: int) -> None:
    """Measure the part in *module*; one line of JSON per figure, as soon as it is known."""
    _measure.first_seed = first_seed
    for figure in importlib.import_module(f"benchmarks.{module}").measure(rounds):
        print(json.dumps(dataclasses.asdict(figure)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
