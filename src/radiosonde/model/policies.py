"""Names of omissions by configuration. They are counted like losses, but are intended."""

from __future__ import annotations

from typing import Final

SPANS_BOUNDED: Final = "spans_bounded"
"""Predictions that qualified for a span after the fact but exceeded ``spans_per_minute``. A prediction that is also among the
slowest is counted again when its window closes."""
