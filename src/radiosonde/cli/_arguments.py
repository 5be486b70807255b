"""Types of arguments that several commands take."""

from __future__ import annotations


def name_list(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
