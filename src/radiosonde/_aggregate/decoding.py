"""Decodes the values of a feature once its kind is known.

A model without a reference records numbers and texts as they come (`radiosonde._ring.text_codes`). Of one feature, either
most values are texts, and then its numbers are categories too, written by one rule (`radiosonde.model.feature_names`), or
most are numbers, and then its texts are no values: unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring.text_codes import codes_of
from radiosonde.model.feature_names import number_text


def as_numbers(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a column of a numeric feature, or columns of several: texts are infinite, which counts as unseen."""
    return np.where(codes_of(column) >= 0, np.inf, column)


def as_categories(
    column: NDArray[np.float64], names: Sequence[str], code: Callable[[str], float]
) -> NDArray[np.float64]:
    """Return a column of a categorical feature as codes: NaN missing, infinite invalid.

    Args:
        column: values as encoded in the ring.
        names: texts by code.
        code: gives the code wanted for a text.
    """
    texts = codes_of(column)
    found = column.copy()
    for place in np.unique(texts).tolist():
        if place >= 0:
            found[texts == place] = code(names[place]) if place < len(names) else np.nan
    is_number = (texts < 0) & np.isfinite(column)
    if is_number.any():
        distinct, places = np.unique(column[is_number], return_inverse=True)
        coded = np.array([code(number_text(number)) for number in distinct.tolist()])
        found[is_number] = coded[places.reshape(-1)]
    return found


def grid_codes(names: Sequence[str], known: Mapping[str, int]) -> NDArray[np.float64]:
    """Return the grid's code by code of the ring; the last one is for no name."""
    return np.array([*(known.get(name, len(known)) for name in names), len(known)], dtype=np.float64)
