"""The lattice of a feature: the equally spaced values that an instrument's resolution allows.

Weather in whole knots sits on multiples of 1.15078 mph, a price on cents, a delay on minutes. A season moves the
distribution but never the lattice; a unit conversion always moves the lattice. A test of the lattice therefore detects a changed unit
within hours on a feature whose daily mean varies by a factor of two, where any test of location would need months.

Values come from the sketches, which retain original values. A feature without a lattice (measured so finely that values do not repeat a
step) has no result, which is returned explicitly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.05
"""Half width, in steps, of the tolerance around the lattice; an unrelated value is on it by chance in 10 %."""

_ON_SHARE = 0.985
_MAX_DIVISOR = 24
_MIN_VALUES = 8
_MAX_STEPS = 200_000


class Lattice(NamedTuple):
    """Values ``origin + k * step`` for integers *k*."""

    step: float
    origin: float

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of *values* are on the lattice, within `TOLERANCE` steps."""
        steps = (values - self.origin) / self.step
        on: NDArray[np.bool_] = np.abs(steps - np.rint(steps)) <= TOLERANCE
        return on


def fit_lattice(values: NDArray[np.float64]) -> Lattice | None:
    """Return the widest lattice that holds 98.5 % of the distinct *values*; None if there is none that means anything.

    Args:
        values: ascending distinct finite values.

    A lattice means something when at least 8 values are on it and its step is wide against float32 rounding.
    """
    if values.size < _MIN_VALUES:
        return None
    span = float(values[-1] - values[0])
    gaps = np.diff(values)
    gaps = gaps[gaps > max(span, float(np.abs(values).max())) * 1e-6]
    if not gaps.size:
        return None
    origin = 0.0 if values[0] <= 0 <= values[-1] else float(values[np.argmin(np.abs(values))])
    far = np.abs(values - origin)
    farthest = float(far.max())
    # The smallest gap of a full lattice is its step; of a sparse one a multiple, therefore the divisors. A low quantile
    # instead of the minimum survives a few values that are off (one corrupt record among thousands).
    for base in (float(gaps.min()), float(np.quantile(gaps, 0.02))):
        for divisor in range(1, _MAX_DIVISOR + 1):
            if farthest / (base / divisor) > _MAX_STEPS:
                break  # a finer step is farther still; nearly all fits of a continuous feature end here
            lattice = _refined(values, far, base / divisor, origin)
            if lattice is not None and lattice.holds(values).mean() >= _ON_SHARE:
                return lattice
    return None


def _refined(values: NDArray[np.float64], far: NDArray[np.float64], step: float, origin: float) -> Lattice | None:
    """Sharpen *step* by least squares over ever wider neighbourhoods of *origin*; rounding errors grow with distance.

    *far* is the distance of each value from *origin*.
    """
    farthest = far.max()
    reach = 8 * step
    while True:
        near = (far <= reach) & (far > 0)
        if near.any():
            steps = np.rint((values[near] - origin) / step)
            square = float(steps @ steps)
            if square:
                sharper = float(steps @ (values[near] - origin)) / square
                if abs(sharper - step) > step / 4:
                    return None
                step = sharper
        if near.sum() >= _MIN_VALUES and reach > 64 * step and Lattice(step, origin).holds(values[near]).mean() < 0.9:
            return None
        if reach >= farthest:
            return Lattice(step, origin)
        reach *= 2
