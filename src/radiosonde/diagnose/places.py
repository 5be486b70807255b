"""The places where something may be wrong: the whole model, its versions, cohort values, and their intersections.

Every place is a set of series. Two places with the same series are one place with the simpler name: if version 2 serves region r1 only,
"version 2" and "version 2 in region r1" are equivalent.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import cohort_text, parse_cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Place
    from radiosonde.model import SeriesKey

MAX_PLACES = 512


class PlaceName(NamedTuple):
    """The name of a place; all fields empty is the whole model.

    Attributes:
        version: version, or ``""`` for all.
        variant: its variant, or ``""`` for all.
        cohort: canonical cohort text of one or more dimensions, or ``""`` for all.
    """

    version: str = ""
    variant: str = ""
    cohort: str = ""

    @property
    def parts(self) -> int:
        """Number of parts of the name: 0 for the whole model, 1 for a version or one dimension, ..."""
        return bool(self.version or self.variant) + len(parse_cohort(self.cohort))


class Places(NamedTuple):
    """Places and the series that each holds.

    Attributes:
        names: names, simplest first; the first is the whole model.
        members: shape (places, series).
    """

    names: tuple[PlaceName, ...]
    members: NDArray[np.bool_]


def make_places(keys: Sequence[SeriesKey], traffic: NDArray[np.float64], *, dimensions: int = 2) -> Places:
    """Return the places that *keys* make up: versions, cohort values and combinations of up to *dimensions* of them, single series.

    Args:
        keys: the series.
        traffic: calls of each series; of more than `MAX_PLACES` places those with the most traffic of each size are kept.
        dimensions: largest number of cohort dimensions in a name, besides the version.
    """
    parsed = [sorted(parse_cohort(key.cohort).items()) for key in keys]
    several = len({(key.version, key.variant) for key in keys}) > 1
    found: dict[PlaceName, list[int]] = {PlaceName(): list(range(len(keys)))}
    for row, (key, pairs) in enumerate(zip(keys, parsed, strict=True)):
        arms = [("", ""), (key.version, key.variant)] if several else [("", "")]
        sizes = {*range(min(dimensions, len(pairs)) + 1), len(pairs)}
        for version, variant in arms:
            for size in sizes:
                for chosen in combinations(pairs, size):
                    name = PlaceName(version, variant, cohort_text(dict(chosen)))
                    if name != PlaceName():
                        found.setdefault(name, []).append(row)
    members: dict[bytes, PlaceName] = {}
    masks = {}
    for name in sorted(found, key=lambda name: (name.parts, name)):
        mask = np.zeros(len(keys), dtype=bool)
        mask[found[name]] = True
        if members.setdefault(mask.tobytes(), name) == name:
            masks[name] = mask
    names = sorted(masks, key=lambda name: (name.parts, -float(traffic[masks[name]].sum()), name))[:MAX_PLACES]
    return Places(tuple(names), np.stack([masks[name] for name in names]))


def rows_at(keys: Sequence[SeriesKey], where: Place) -> NDArray[np.bool_]:
    """Return which of *keys* are at the place *where*."""
    wanted = parse_cohort(where.cohort).items()
    return np.array(
        [
            where.version in ("", key.version)
            and where.variant in ("", key.variant)
            and wanted <= parse_cohort(key.cohort).items()
            for key in keys
        ],
        dtype=bool,
    )
