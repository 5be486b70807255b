"""How a class is written: one text for one class, whatever type the label came in."""

from __future__ import annotations

from typing import Final

LONGEST = 128
"""Characters of a class name; arbitrary."""

OVERFLOW_CLASS: Final = "__other__"
"""The one class that all beyond a bound are counted under."""


def class_text(value: object) -> str:
    """Return the name of the class that a label names: whole numbers without a point, bytes as UTF-8, all else as ``str``.

    Longer texts than `LONGEST` are cut: a class is a label value downstream.

    A model trained on integers may answer 1, 1.0 or numpy's 1; its reference and its labels must say the same.
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:LONGEST]
    return str(value)[:LONGEST]
