"""What the aggregator knows of a lane: its names, its grid, and where its batches are. Made by the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from radiosonde._ring import BatchArena
from radiosonde.reference.grid import Grid
from radiosonde.reference.profile import Reference


@dataclass(slots=True)
class Stream:
    """One lane as the aggregator sees it. The name lists grow while codes are handed out; codes index them.

    Attributes:
        model, version, variant: identity of the series.
        cohorts: cohort text by code.
        classes: class names by code.
        errors: error type names by code; 0 is none.
        phases: phase names by code.
        features: feature names.
        categories: per feature the category names by code, or None for a number.
        arena: where rows of batches are.
        reference: the profile whose grid counts the cells; None until a provisional one is made.
        reference_id: its identity (kept, because working it out hashes the whole profile).
        grid: its compiled cells.
    """

    model: str
    version: str
    variant: str
    cohorts: Sequence[str]
    classes: Sequence[str]
    errors: Sequence[str]
    phases: Sequence[str]
    features: tuple[str, ...]
    categories: tuple[Sequence[str] | None, ...]
    arena: BatchArena
    reference: Reference | None = None
    reference_id: str = ""
    grid: Grid | None = None
    pii: frozenset[str] = field(default_factory=frozenset)
    _grid_codes: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """Model, version and features: streams that agree in these are counted alike."""
        return self.model, self.version, self.features

    def adopt(self, reference: Reference) -> None:
        """Count cells by *reference* from now on."""
        self.reference = reference
        self.reference_id = reference.id
        self.grid = Grid.from_reference(reference)
        self.pii = frozenset(feature.name for feature in reference.features if feature.pii)
        for position, names in enumerate(self.categories):
            known = self.grid.codes[position]
            if names is not None and known is not None and list(names[: len(known)]) != list(known):
                self._grid_codes[position] = np.array([known.get(name, len(known)) for name in names], dtype=np.float64)

    def to_grid(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return *rows* with category codes as the grid numbers them.

        A given reference's categories got their codes first, in its order, so nothing changes; a provisional one ranks
        the categories it saw, and codes handed out later than it was made are unseen.
        """
        if not self._grid_codes:
            return rows
        rows = rows.copy(order="F")
        for position, grid_codes in self._grid_codes.items():
            column = rows[:, position]
            coded = np.isfinite(column)
            codes = column[coded].astype(np.int64)
            padded = np.append(grid_codes, float(len(grid_codes)))
            column[coded] = padded[np.minimum(codes, len(grid_codes))]
        return rows
