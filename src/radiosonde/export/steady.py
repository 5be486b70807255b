"""Keeps sums of floats from falling by rounding.

The sum of a counter is computed for each export, over windows that have closed in between, so the order of additions changes and the result
may be a few units in the last place lower. Prometheus treats any fall as a restart and adds the whole value
to `increase`. Such a fall is therefore held at the former value. A larger one is real (a series was forgotten and began
again) and is exported as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from radiosonde.export.blocks import Block, Distribution
from radiosonde.export.labels import Labels

ROUNDING = 1e-9
"""Relative fall that is rounding: 2**-53 times the few million additions that a sum may consist of."""

_KEPT = "steady"


def steady(block: Block) -> Block:
    """Return *block* with float sums no lower than at the previous export, except for real falls."""
    if isinstance(block, Distribution):
        (total,) = _held(block.labels, (block.total,))
        return block if total == block.total else replace(block, total=total)
    if block.metric.instrument != "counter" or not block.values or not isinstance(block.values[0], float):
        return block
    values = _held(block.labels, block.values)
    return block if values is block.values else replace(block, values=values)


def _held(labels: Labels, values: Sequence[float]) -> Sequence[float]:
    before: Sequence[float] | None = labels.spelled.get(_KEPT)
    if before is not None and any(new < old for new, old in zip(values, before, strict=True)):
        values = [old if 0 < old - new <= ROUNDING * abs(new) else new for new, old in zip(values, before, strict=True)]
    labels.spelled[_KEPT] = values
    return values
