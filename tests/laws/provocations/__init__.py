"""The table of provocations, one for every loss, and what they share. Each module of this package enters its own.

`tests/laws/test_losses.py` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

from radiosonde.testing import Flight

Provocation = Callable[[Path, pytest.MonkeyPatch], dict[str, int]]
PROVOCATIONS: dict[str, Provocation] = {}
ROW = np.zeros((1, 2))
BATCH = np.zeros((600, 2))  # with two outputs a row a third of the smallest arena
START_S = 1_362_096_000


def provokes(reason: str) -> Callable[[Provocation], Provocation]:
    """Enter a provocation in the table."""

    def enter(provocation: Provocation) -> Provocation:
        PROVOCATIONS[reason] = provocation
        return provocation

    return enter


def predict(rs: Flight, *values: object, answer: object = "yes", **options: object) -> None:
    """Predict every one of *values* with a function observed for it."""
    observed = rs.observe("delays", **options)(lambda _: answer)
    for value in values:
        observed(value)


def enter_all() -> None:
    """Import every module of this package, so that each enters its provocations."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
