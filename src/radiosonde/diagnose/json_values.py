"""Values of reports as JSON has them."""

from __future__ import annotations

import math
from typing import Any


def to_json_values(value: Any) -> Any:
    """Return *value* with numpy's numbers as Python's, tuples as lists, and numbers that are not finite as None."""
    if isinstance(value, dict):
        return {str(name): to_json_values(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_values(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value
