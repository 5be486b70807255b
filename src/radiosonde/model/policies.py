"""Names of what a setting leaves out on purpose. It is counted like a loss, and is none: nothing is missing that was promised."""

from __future__ import annotations

from typing import Final

SPANS_BOUNDED: Final = "spans_bounded"
"""Predictions that qualified for a span after the fact but exceeded ``spans_per_minute``. A prediction that is also among the
slowest is counted again when its window closes."""
