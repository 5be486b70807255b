"""How a share is written for people: one rule for reports, findings, commands and benchmarks."""

from __future__ import annotations

import math

LEAST = 0.01
"""Percent below which a share is only known to be small; a share of zero is distinct from it."""


def percent(share: float, digits: int = 2) -> str:
    """Return a share as a percentage, ``0.034`` as ``3.4 %``.

    Args:
        share: the share; 1 is all. May be above 1, or negative for a change.
        digits: significant digits; whole percents are never rounded.
    """
    value = 100 * share
    if not value:
        return "0 %"
    if not math.isfinite(value):
        return "unknown"
    if abs(value) < LEAST:
        return f"<{LEAST} %" if value > 0 else f">-{LEAST} %"
    text = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
