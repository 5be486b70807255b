"""Metadata of a ring's records for the aggregator: names, grid, and location of batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from radiosonde._aggregate.decoding import as_categories, as_numbers, grid_codes
from radiosonde._ring.arena import BatchArena
from radiosonde._ring.text_codes import codes_of
from radiosonde.model import OVERFLOW_CLASS
from radiosonde.model.bins import LATENCY_EDGES_S
from radiosonde.model.cells import ABOVE, BELOW, NULL, UNSEEN
from radiosonde.model.feature_names import number_text
from radiosonde.model.fingerprints import INVALID_WORD, factors, number_words, text_words
from radiosonde.reference.grid import ReferenceGrid
from radiosonde.reference.profile import Reference

_NO_WORDS = np.array([INVALID_WORD], dtype=np.uint64)


@dataclass(slots=True)
class Stream:
    """One ring as the aggregator sees it. The name lists grow while codes are handed out; codes index them.

    Attributes:
        model, version, variant: identity of the series.
        cohorts: cohort text by code.
        classes: class names by code.
        errors: error type names by code; 0 is none.
        phases: phase names by code.
        features: feature names.
        categories: per feature the texts by code, or None for a number.
        is_open: any feature may hold numbers and texts (`radiosonde._ring.text_codes`); the grid determines which count.
        arena: holds the rows of batches.
        nonce: of the ring, part of its predictions' ids.
        reference: the profile whose grid counts the cells; None until a provisional one is made.
        reference_id: its identity (kept, because working it out hashes the whole profile).
        grid: its compiled cells.
        unseen: number of rows by cohort whose features were not counted, to be added to the weight of other rows.
        latency_edges_s: bounds of the writer's duration histogram.
        outside: cells outside the range of the reference, shape (features, width); None when unknown.
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
    grid: ReferenceGrid | None = None
    nonce: int = 0
    outside: NDArray[np.bool_] | None = None
    is_open: bool = False
    latency_edges_s: tuple[float, ...] = LATENCY_EDGES_S
    pii: frozenset[str] = field(default_factory=frozenset)
    unseen: dict[str, int] = field(default_factory=dict)
    _grid_codes: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _text_words: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    _factors: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """Model, version and features: streams that agree in these share a provisional reference."""
        return self.model, self.version, self.features

    def class_name(self, code: int) -> str:
        """Return the name of a class code; ``""`` of none, `OVERFLOW_CLASS` of one beyond the bound."""
        if code < 0:
            return ""
        return self.classes[code] if code < len(self.classes) else OVERFLOW_CLASS

    def leave_unseen(self, cohort: str, rows: int) -> None:
        """Add (or subtract) *rows* that other rows of the cohort are to be weighted for."""
        left = self.unseen.pop(cohort, 0) + rows
        if left:
            self.unseen[cohort] = left

    def adopt(self, reference: Reference) -> None:
        """Count cells by *reference* from now on."""
        self.reference = reference
        self.reference_id = reference.id
        self.grid = ReferenceGrid.from_reference(reference)
        self.outside = _outside(reference, self.grid)
        self.pii = frozenset(feature.name for feature in reference.features if feature.pii)
        self._factors = np.zeros(0, dtype=np.uint64)
        self._grid_codes = {} if self.is_open else {
            position: np.empty(0)
            for position, names in enumerate(self.categories)
            if names is not None
            and (known := self.grid.codes[position]) is not None
            and list(names[: len(known)]) != list(known)
        }  # fmt: skip

    def to_grid(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return *rows* with texts as the grid numbers them.

        A given reference's categories got their codes first, in its order, so nothing changes; a provisional one ranks
        the categories it saw, perhaps in another process, where they came in another order.
        """
        if self.is_open:
            return self._from_open(rows)
        if not self._grid_codes:
            return rows
        rows = rows.copy(order="F")
        for position in self._grid_codes:
            column = rows[:, position]
            coded = np.isfinite(column)
            codes = self._to_grid_codes(position)
            column[coded] = codes[np.minimum(column[coded].astype(np.int64), len(codes) - 1)]
        return rows

    def _from_open(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        grid = self.grid
        if grid is None:
            return rows
        changed = rows
        for position, known in enumerate(grid.codes):
            names = self.categories[position] or ()
            if known is None and not names:  # numbers, and no text was ever among them
                continue
            if changed is rows:
                changed = rows.copy(order="F")
            column = changed[:, position]
            if known is None:
                column[:] = as_numbers(column)
            else:
                column[:] = as_categories(column, names, _coder(known))
        return changed

    def _to_grid_codes(self, position: int) -> NDArray[np.float64]:
        """Return the grid's code by code, including names added since; the last one is for a missing name."""
        names, found = self.categories[position] or (), self._grid_codes[position]
        if len(found) <= len(names) and self.grid is not None:
            found = self._grid_codes[position] = grid_codes(names, self.grid.codes[position] or {})
        return found

    def words(self, rows: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Return the words of all values (`radiosonde.model.fingerprints`), shape (features, rows); they do not depend on the grid."""
        words = number_words(np.array(rows.T, order="C"))
        for position, names in enumerate(self.categories):
            if not names:  # numbers only, so far
                continue
            column = rows[:, position]
            if self.is_open:
                codes = codes_of(column)
                is_text = codes >= 0
            else:
                is_text = np.isfinite(column)
                codes = np.where(is_text, column, 0).astype(np.int64)
            if is_text.any():
                known = self._words_of(position, names)
                words[position, is_text] = known[np.minimum(codes[is_text], len(known) - 1)]
        return words

    def factors(self, names: Sequence[str]) -> NDArray[np.uint64]:
        """Return the factor of each feature in the hash of a row: by its name, 0 for one with hidden values."""
        if len(self._factors) != len(names):
            self._factors = factors(names)
            self._factors[[name in self.pii for name in names]] = 0
        return self._factors

    def _words_of(self, position: int, names: Sequence[str]) -> NDArray[np.uint64]:
        """Return the word of each text by code; the last one is for a code without a name."""
        found = self._text_words.get(position, _NO_WORDS)
        if len(found) <= len(names):
            new = text_words(names[len(found) - 1 :])
            found = self._text_words[position] = np.concatenate([found[:-1], new, _NO_WORDS])
        return found

    def texts(self, position: int, values: NDArray[np.float64]) -> list[str | None] | None:
        """Return the categories of a feature by code in the ring; None when it is numeric."""
        names = self.categories[position]
        is_text = names is not None if not self.is_open or self.grid is None else self.grid.codes[position] is not None
        if not is_text:
            return None
        listed = names or ()
        if not self.is_open:
            return [listed[int(code)] if 0 <= code < len(listed) else None for code in values.tolist()]
        codes = codes_of(values).tolist()
        return [
            (listed[code] if code < len(listed) else None)
            if code >= 0
            else (number_text(value) if math.isfinite(value) else None)
            for code, value in zip(codes, values.tolist(), strict=True)
        ]


def _coder(known: Mapping[str, int]) -> Callable[[str], float]:
    return lambda text: float(known.get(text, len(known)))


def _outside(reference: Reference, grid: ReferenceGrid) -> NDArray[np.bool_] | None:
    """Return which cells are outside: below, above, unseen, and missing where the reference misses nothing.

    Unknown for a provisional reference: with 30 features distributed like its own thousand rows, one in 17 rows has a value beyond their
    extremes.
    """
    if reference.provisional:
        return None
    outside = np.zeros((len(grid.names), grid.width), dtype=np.bool_)
    outside[:, [BELOW, ABOVE, UNSEEN]] = True
    outside[:, NULL] = [feature.counts[NULL] == 0 for feature in reference.features]
    return outside
