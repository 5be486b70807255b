"""Log-likelihood-ratio weights: the evidence of one row in a cell for an alternative against the reference.

A weight is ``ln(q / p0)`` of a cell, where p0 is the smoothed reference share and q the share under an alternative.
The sum of weights over rows is linear in the cell counts and therefore additive over processes, time and cohorts, one
multiply-add in PromQL or SQL, and ``exp(sum)`` is an exact e-value under the reference: the expectation of
``exp(weight)`` is the sum of all q, which is 1 (up to six decimals of rounding).

Alternatives, by the name they carry in the profile:

* ``loc+0.25``, ``loc-0.25`` (0.1, 0.25, 0.5, 1, 2, 4; numeric): a shift in normal-score units. The in-range cells are
  intervals of a latent standard normal variable cut at the normal scores of the cumulated p0; the shift moves the
  variable and leaves missing and invalid values alone. No assumption about the feature itself is made: for any
  feature a monotone change shows as a shift of scores. ``0.1`` is left out below 8 100 reference rows, where the error
  of p0 itself is of that order.
* ``spread*1.5``, ``spread*0.67`` (numeric): the latent variable is scaled.
* ``below+0.05``, ``below+0.3``, ``above+0.05``, ``above+0.3`` (numeric): more values outside the reference range.
* ``null*2``, ``null+0.05``, ``null+0.3``, ``unseen+0.01``, ``unseen+0.3``: more missing, more unlisted or invalid.
* ``c03*2``, ``c03/2`` (categorical, the ten most frequent): a category doubles or halves.

Each q is mixed with 1 % of p0. That bounds every weight from below at ln 0.01 = -4.6 and costs at most 0.01 nats a
row: without it one row in an unlikely cell outweighs hundreds of others, and a fault that affects half of the rows is missed.

Source: likelihood-ratio e-processes, e.g. Shin, Ramdas, Rinaldo, "E-detectors", NEJSDS 2023; normal scores after van
der Waerden.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import log
from typing import TYPE_CHECKING

from radiosonde.model import cell_names
from radiosonde.reference.normal import normal_quantile, normal_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radiosonde.reference.profile import Kind

LOCATION_SHIFTS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Shifts in normal-score units, each tried both ways."""

FINE_SHIFT_ROWS = 8_100
"""Reference rows below which the smallest shift is left out: (4.5 / (0.1 / 2)) ** 2."""

_RESIDUE = 0.01

Weights = tuple[tuple[str, tuple[float, ...]], ...]


def smoothed_shares(counts: Sequence[int]) -> tuple[float, ...]:
    """Return ``(n + .5) / (N + .5 * cells)`` per cell: positive everywhere, sum 1 (Jeffreys smoothing)."""
    total = sum(counts) + 0.5 * len(counts)
    return tuple((count + 0.5) / total for count in counts)


def feature_weights(kind: Kind, body: int, p0: Sequence[float], rows: int) -> Weights:
    """Return the weights of every alternative of one feature, in the order of `cell_names`.

    Args:
        kind: kind of the feature.
        body: number of its body cells.
        p0: smoothed share per cell, in the order of `cell_names`.
        rows: reference rows behind *p0*.
    """
    alternatives = _numeric(body, p0, rows) if kind == "numeric" else _categorical(body, p0)
    return tuple((name, _log_ratios(q, p0)) for name, q in alternatives)


def _numeric(body: int, p0: Sequence[float], rows: int) -> Iterator[tuple[str, list[float]]]:
    names = cell_names(body, categorical=False)
    if body:
        inside, cuts = _cuts(body, p0)
        for shift in LOCATION_SHIFTS:
            if shift == LOCATION_SHIFTS[0] and rows < FINE_SHIFT_ROWS:
                continue
            yield f"loc+{shift:g}", _shares(p0[body + 2 :], inside, cuts, (shift, 1.0))
            yield f"loc-{shift:g}", _shares(p0[body + 2 :], inside, cuts, (-shift, 1.0))
        yield "spread*1.5", _shares(p0[body + 2 :], inside, cuts, (0.0, 1.5))
        yield "spread*0.67", _shares(p0[body + 2 :], inside, cuts, (0.0, 1 / 1.5))
    for cell in ("below", "above"):
        for more in (0.05, 0.3):
            yield f"{cell}+{more:g}", _raised(p0, names.index(cell), p0[names.index(cell)] + more)
    yield from _special(names, p0)


def _categorical(body: int, p0: Sequence[float]) -> Iterator[tuple[str, list[float]]]:
    names = cell_names(body, categorical=True)
    for index in range(min(body, 10)):
        yield f"{names[index]}*2", _raised(p0, index, p0[index] * 2)
        yield f"{names[index]}/2", _raised(p0, index, p0[index] / 2)
    yield from _special(names, p0)


def _special(names: Sequence[str], p0: Sequence[float]) -> Iterator[tuple[str, list[float]]]:
    null, unseen = names.index("null"), names.index("unseen")
    yield "null*2", _raised(p0, null, p0[null] * 2)
    yield "null+0.05", _raised(p0, null, p0[null] + 0.05)
    yield "null+0.3", _raised(p0, null, p0[null] + 0.3)
    yield "unseen+0.01", _raised(p0, unseen, p0[unseen] + 0.01)
    yield "unseen+0.3", _raised(p0, unseen, p0[unseen] + 0.3)


def _raised(p0: Sequence[float], cell: int, share: float) -> list[float]:
    """Give one cell *share* (at most halfway from p0 to 1) and scale the others to make room."""
    share = min(share, (1 + p0[cell]) / 2)
    scale = (1 - share) / (1 - p0[cell])
    return [share if index == cell else p * scale for index, p in enumerate(p0)]


def _cuts(body: int, p0: Sequence[float]) -> tuple[float, list[float]]:
    """Return the share inside the ordered cells (below, body, above), and where they cut a standard normal variable."""
    ordered = [p0[body], *p0[:body], p0[body + 1]]
    inside = sum(ordered)
    return inside, [normal_quantile(min(max(share / inside, 1e-300), 1 - 1e-16)) for share in accumulate(ordered[:-1])]


def _shares(others: Sequence[float], inside: float, cuts: Sequence[float], moved: tuple[float, float]) -> list[float]:
    """Return the shares when the latent normal variable has the mean and standard deviation *moved* instead of 0 and 1.

    Args:
        others: shares of the cells that have no place in the order, which stay as they are.
        inside: share of those that have.
        cuts: where they cut the variable.
        moved: mean and standard deviation.

    Returns:
        Shares in the order of `cell_names`.
    """
    mean, deviation = moved
    levels = [0.0, *(normal_share(cut, mean, deviation) for cut in cuts), 1.0]
    shares = [max(high - low, 0.0) * inside for low, high in pairwise(levels)]
    return [*shares[1:-1], shares[0], shares[-1], *others]


def _log_ratios(q: Sequence[float], p0: Sequence[float]) -> tuple[float, ...]:
    total = sum(q)
    return tuple(round(log((1 - _RESIDUE) * share / total / p + _RESIDUE), 6) for share, p in zip(q, p0, strict=True))
