"""Marks most cases of an expensive test as slow: a few stay in the quick part of the suite, and all run in the slow one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest


def mostly_slow(cases: Mapping[str, Any] | Sequence[str], quick: Collection[str]) -> list[Any]:
    """Return the cases as parameters, all slow but those named *quick*.

    Raises:
        ValueError: a quick one is no case.
    """
    named = cases if isinstance(cases, Mapping) else dict(zip(cases, cases, strict=True))
    if not set(quick) <= named.keys():
        raise ValueError(f"no such case: {', '.join(sorted(set(quick) - named.keys()))}")
    return [
        pytest.param(case, id=name, marks=() if name in quick else pytest.mark.slow) for name, case in named.items()
    ]
