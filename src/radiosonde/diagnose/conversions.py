"""Identifies a unit conversion: a table of common ones, and the search for the best fit.

A conversion is ``after = before * factor + offset``. With a lattice (`radiosonde.diagnose.lattice`) the fit is exact:
the right conversion, undone, puts the values back on the lattice they left. Without one the quantiles before and
after have to line up, which names the conversion but proves less.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.lattice import Lattice, fit_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Conversion(NamedTuple):
    """``after = before * factor + offset``; *name* is ``""`` for an unnamed factor."""

    name: str
    factor: float
    offset: float = 0.0


class Fit(NamedTuple):
    """A conversion and how well it explains the values after.

    Attributes:
        conversion: the conversion.
        share: share of the values after that go back onto the old lattice when it is undone; for quantiles, one minus
            the largest relative misfit.
        by: ``lattice`` or ``quantiles``.
        estimated: the factor as estimated from the values, for comparison with the named one.
    """

    conversion: Conversion
    share: float
    by: str
    estimated: float


_PAIRS = (
    ("miles to kilometres (or mph to km/h)", 1.609344),
    ("mph to m/s", 0.44704),
    ("mph to knots", 0.868976),
    ("knots to m/s", 0.514444),
    ("knots to km/h", 1.852),
    ("m/s to km/h", 3.6),
    ("feet to metres", 0.3048),
    ("inches to centimetres", 2.54),
    ("inches to millimetres", 25.4),
    ("pounds to kilograms", 0.45359237),
    ("ounces to grams", 28.349523),
    ("US gallons to litres", 3.785412),
    ("inHg to hPa", 33.863887),
    ("mmHg to hPa", 1.333224),
    ("psi to kPa", 6.894757),
    ("kcal to kJ", 4.184),
    ("days to hours", 24.0),
    ("degrees to radians", math.pi / 180),
)
_SYMMETRIC = (
    ("a factor of 10", 10.0),
    ("a factor of 100 (percent and ratio, cents and units)", 100.0),
    ("a factor of 1 000 (milli, kilo; seconds and milliseconds)", 1e3),
    ("a factor of 1 000 000 (micro, mega)", 1e6),
    ("a factor of 60 (minutes and seconds, hours and minutes)", 60.0),
    ("a factor of 3 600 (hours and seconds)", 3600.0),
    ("the opposite sign", -1.0),
)
_AFFINE = (
    Conversion("degrees Fahrenheit to Celsius", 5 / 9, -160 / 9),
    Conversion("degrees Celsius to Fahrenheit", 9 / 5, 32.0),
    Conversion("degrees Celsius to kelvin", 1.0, 273.15),
    Conversion("kelvin to degrees Celsius", 1.0, -273.15),
    Conversion("degrees Fahrenheit to kelvin", 5 / 9, 273.15 - 160 / 9),
)


def _reversed_name(name: str) -> str:
    left, right = name.split(" (", 1)[0].split(" to ", 1)
    inner = name.split(" (", 1)[1].rstrip(")") if " (" in name else ""
    outer = f"{right} to {left}"
    if inner:
        words, _, rest = inner.removeprefix("or ").partition(" to ")
        outer += f" (or {rest} to {words})"
    return outer


KNOWN: tuple[Conversion, ...] = (
    *(Conversion(name, factor) for name, factor in _PAIRS),
    *(Conversion(_reversed_name(name), 1 / factor) for name, factor in _PAIRS),
    *(Conversion(f"{name}, multiplied", factor) for name, factor in _SYMMETRIC if factor > 0),
    *(Conversion(f"{name}, divided", 1 / factor) for name, factor in _SYMMETRIC if factor > 0),
    *(Conversion(name, factor) for name, factor in _SYMMETRIC if factor < 0),
    *_AFFINE,
)


def fit_by_lattice(before: NDArray[np.float64], after: NDArray[np.float64], lattice: Lattice) -> Fit | None:
    """Return the conversion that, undone, puts most of *after* back on *lattice*; None if none reaches 80 %.

    Args:
        before: distinct values before.
        after: distinct later values that are off the lattice or outside the former range.
        lattice: lattice of *before*.

    Candidates are the named conversions and the ratios of the two lattices' steps. Several can fit exactly (half of
    the right factor always does), so among those the one wins whose undone values look most like *before*.
    """
    new = fit_lattice(np.unique(after))
    ratios = (
        [] if new is None else [new.step / lattice.step * a / b for a, b in itertools.product((1, 2, 3), (1, 2, 3))]
    )
    candidates = [*KNOWN, *(Conversion("", ratio) for ratio in ratios)]
    ranks = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    typical = np.quantile(before, ranks)
    width = max(float(typical[-1] - typical[0]), 1e-12)
    best: tuple[float, Fit] | None = None
    for conversion in candidates:
        undone = (after - conversion.offset) / conversion.factor
        share = float(lattice.holds(undone).mean())
        misfit = float(np.abs(np.quantile(undone, ranks) - typical).mean()) / width
        score = share - 0.5 * min(misfit, 1.5)
        # A wild factor squeezes everything onto a few lattice points near zero and "fits": that explains nothing.
        spread = np.unique(np.rint((undone - lattice.origin) / lattice.step)).size >= 0.5 * np.unique(after).size
        if share >= 0.8 and spread and misfit < 1.5 and (best is None or score > best[0] + 0.02):
            best = (score, Fit(conversion, share, "lattice", _estimate(conversion, after, lattice)))
    return None if best is None else best[1]._replace(conversion=_named(best[1].conversion))


def fit_by_quantiles(before: NDArray[np.float64], after: NDArray[np.float64]) -> Fit | None:
    """Return the named conversion that lines up the quantiles of both sides within 12 %; None if none does.

    Args:
        before: quantiles before, at ascending ranks.
        after: quantiles at the same ranks after.
    """
    # Quantities far from zero (pressure) move by many of their own widths under a conversion and by half a width with the
    # weather; a tenth of their size is the yardstick that serves both.
    width = max(float(before[-1] - before[0]), 0.1 * float(np.abs(before).max()), 1e-12)
    best: Fit | None = None
    unchanged = float(np.abs(after - before).max()) / width
    for conversion in KNOWN:
        moved = after - conversion.offset
        misfit = float(np.abs(moved / conversion.factor - before).max()) / width
        if misfit < min(0.12, unchanged / 3) and (best is None or 1 - misfit > best.share):
            best = Fit(conversion, 1 - misfit, "quantiles", float(moved @ before) / max(float(before @ before), 1e-300))
    return best


def _estimate(conversion: Conversion, after: NDArray[np.float64], lattice: Lattice) -> float:
    """Return the least-squares factor between *after* and the lattice points it goes back to."""
    steps = np.rint(((after - conversion.offset) / conversion.factor - lattice.origin) / lattice.step)
    points = lattice.origin + steps * lattice.step
    return float(points @ (after - conversion.offset)) / max(float(points @ points), 1e-300)


def _named(conversion: Conversion) -> Conversion:
    """Give an estimated factor the name of a known one within 0.3 %."""
    if conversion.name:
        return conversion
    for known in KNOWN:
        if not known.offset and abs(conversion.factor / known.factor - 1) < 0.003:
            return Conversion(known.name, conversion.factor)
    return conversion
