"""First pass over a training column: its quantiles, or its most frequent categories.

Quantiles are exact while all values of a fit fit in memory (`EXACT_VALUES`), else they come from KLL sketches with
k = 4096, whose rank error is 0.07 %: a decile bound then sits at 10 % +- 0.07 % of the rows. That error does not reach
the reference shares, because the second pass counts every cell exactly.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radiosonde.reference.frames import Column, Numbers, Texts
from radiosonde.reference.profile import FeatureProfile
from radiosonde.reference.weights import feature_weights, smoothed_shares

if TYPE_CHECKING:
    from radiosonde.sketches import KllSketch

EXACT_VALUES = 20_000_000
"""Values (rows x columns) up to which a fit keeps columns in memory: 160 MB of doubles."""

STREAM_K = 4096
TOP_CATEGORIES = 20
BODY_CELLS = 10
DISPLAY_RANKS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_DECILES = tuple((step + 1) / BODY_CELLS for step in range(BODY_CELLS))
_CATEGORY_LIMIT = 100_000
"""Distinct categories kept while counting; beyond it the rarer half is dropped. A category with more than 1/50 000 of the rows is found in
any order, and the second pass counts the chosen ones exactly."""


class NumberFit:
    """Collects the finite values of a numeric column."""

    def __init__(self, *, exact: bool) -> None:
        """Keep the values (*exact*) or a sketch of them."""
        self._kept: list[NDArray[np.float64]] = []
        self._sketch: KllSketch | None = None
        if not exact:
            from radiosonde.sketches import KllSketch  # loads datasketches: a model server never gets here

            self._sketch = KllSketch(STREAM_K)

    def update(self, values: NDArray[np.float64]) -> None:
        """Add the finite ones of *values*."""
        if self._sketch is not None:
            self._sketch.update(values)
            return
        finite = np.isfinite(values)
        self._kept.append(values if finite.all() else values[finite])

    def quantiles(self, ranks: tuple[float, ...]) -> tuple[float, ...]:
        """Return the value at each rank, always one that occurred; empty when nothing finite was seen."""
        if self._sketch is not None:
            return () if self._sketch.is_empty else tuple(self._sketch.quantiles(ranks))
        values = np.concatenate([*self._kept, np.empty(0)])
        if not values.size:
            return ()
        self._kept = [values]
        # Adding 0.0 keeps a bound of -0.0 out of the file: it would be the same cell under another grid id.
        return tuple((np.quantile(values, ranks, method="inverted_cdf") + 0.0).tolist())

    def deciles(self) -> tuple[float, ...]:
        """Return the distinct deciles 10 % ... 100 %, strictly ascending."""
        return tuple(sorted(set(self.quantiles(_DECILES))))


class TextFit:
    """Counts the categories of a text column."""

    def __init__(self) -> None:
        """Start with no category."""
        self.counts: Counter[str] = Counter()

    def update(self, column: Texts) -> None:
        """Add the categories of a batch."""
        occurrences = np.bincount(column.codes + 1, minlength=len(column.vocabulary) + 1)[1:].tolist()
        for text, count in zip(column.vocabulary, occurrences, strict=True):
            if count:
                self.counts[text] += count
        if len(self.counts) > _CATEGORY_LIMIT:
            self.counts = Counter(dict(self.counts.most_common(_CATEGORY_LIMIT // 2)))

    def categories(self, limit: int = TOP_CATEGORIES) -> tuple[str, ...]:
        """Return the most frequent categories, ties in alphabetical order."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(text for text, _ in ranked[:limit])


class FeatureFit:
    """First pass over one feature; the first batch that holds a value shows whether it is numeric or text."""

    def __init__(self, name: str, *, exact: bool, pii: bool) -> None:
        """Start with nothing seen."""
        self.name = name
        self._pii = pii
        self.numbers = NumberFit(exact=exact)
        self.texts: TextFit | None = None

    def update(self, column: Column) -> None:
        """Add a batch."""
        if isinstance(column, Numbers):
            self.numbers.update(column.values)
            return
        if self.texts is None:
            self.texts = TextFit()
        self.texts.update(column)

    def profile(self) -> FeatureProfile:
        """Return the profile's geometry; counts, shares and weights are still empty."""
        if self.texts is not None:
            return FeatureProfile(self.name, "categorical", 0.0, (), self.texts.categories(), (), (), pii=self._pii)
        bounds = self.numbers.deciles()
        quantiles = self.numbers.quantiles(DISPLAY_RANKS)
        low = quantiles[0] if quantiles else 0.0
        shown = () if self._pii else quantiles
        return FeatureProfile(self.name, "numeric", low, bounds, (), (), (), quantiles=shown, pii=self._pii)


def counted(feature: FeatureProfile, cells: NDArray[np.int64], rows: int) -> FeatureProfile:
    """Return *feature* with counts, smoothed shares and weights from its row of a cell table."""
    special = cells[-4:] if feature.kind == "numeric" else cells[-2:]
    counts = (*cells[: feature.body].tolist(), *special.tolist())
    p0 = smoothed_shares(counts)
    return FeatureProfile(
        name=feature.name,
        kind=feature.kind,
        low=feature.low,
        bounds=feature.bounds,
        categories=feature.categories,
        counts=counts,
        p0=p0,
        quantiles=feature.quantiles,
        pii=feature.pii,
        weights=feature_weights(feature.kind, feature.body, p0, rows),
    )
