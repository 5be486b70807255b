"""Internal errors are swallowed at registered places only, and no two statements of the source share a place."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from radiosonde.model.places import PLACES

SOURCES = [path for root in ("src", "integrations") for path in sorted(Path(root).rglob("*.py"))]


def places_in(source: str) -> list[str]:
    """Return the places that *source* names: ``guard("x")``, ``guard.swallow("x", ...)`` and ``Breaker(guard, "x", ...)``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        position = 1 if called == "Breaker" else 0
        if called.lstrip("_") in {"guard", "swallow", "Breaker"} and len(node.args) > position:
            argument = node.args[position]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.append(argument.value)
    return found


def used() -> Counter[str]:
    """Return how often each place is named in the sources."""
    return Counter(place for path in SOURCES for place in places_in(path.read_text(encoding="utf-8")))


def test_every_place_is_registered_and_used_once():
    """A place that two statements share would let the success of one hide the failures of the other."""
    assert dict(used()) == {place: 1 for place in PLACES if place != "log"}


@pytest.mark.parametrize(
    "source",
    [
        'with self._guard("fold"):\n    pass',
        'with host.guard("fold", losses.X, 3):\n    pass',
        'self.guard.swallow("fold", error)',
        'swallow("fold", error)',
        'Breaker(guard, "fold", "model")',
    ],
)
def test_the_search_finds_every_form(source):
    """Blocks, direct calls and breakers are all found."""
    assert places_in(source) == ["fold"]


def test_every_place_says_what_it_covers():
    """The text ends the sentence "Radiosonde failed while ...": lower case, no full stop."""
    assert [place for place, covers in PLACES.items() if not covers[0].islower() or covers.endswith(".")] == []
