"""How a class is written: one text for one class, whatever type the label came in."""

from __future__ import annotations

from typing import Final

from radiosonde.model.names import name_of

OVERFLOW_CLASS: Final = "__other__"
"""The one class that all beyond a bound are counted under."""


def class_text(value: object) -> str:
    """Return the name of the class that a label names: whole numbers without a point, everything else as `name_of` has it.

    A model trained on integers may answer 1, 1.0 or numpy's 1; its reference and its labels must say the same.
    """
    return name_of(plain_class(value))


def plain_class(value: object) -> object:
    """Return what a class is named by: the integer of a whole number, everything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
