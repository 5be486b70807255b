"""Features as blocks: cell counts beside the shares of their reference, over all variants and cohorts.

No cohort here: fifty features of fourteen cells in twenty cohorts are 14 000 series, for questions that sketch events, spans and the store
answer without any. Counts of different grids are not added; a grid that no reference of the snapshot names
cannot be labelled, is left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiosonde.export.blocks import Block, Scalars, Unit, unit
from radiosonde.export.labels import LabelPage, Labels, version_attributes
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import SPECIAL_CELLS, cell_names
from radiosonde.model.window import Counts
from radiosonde.reference.profile import FeatureProfile, Reference
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

Version = tuple[str, str]
"""Model name and version."""


class Identities:
    """Identity and grid of each reference, kept because hashing a profile of fifty features takes a millisecond."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Version, tuple[Reference, str, str]] = {}

    def of(self, version: Version, reference: Reference) -> tuple[str, str]:
        """Return (identity, grid) of *reference*."""
        known = self._known.get(version)
        if known is None or known[0] is not reference:
            known = self._known[version] = (reference, reference.id, reference.grid_id)
        return known[1], known[2]

    def keep(self, versions: frozenset[Version]) -> None:
        """Forget all other versions."""
        self._known = {version: known for version, known in self._known.items() if version in versions}


@dataclass(slots=True)
class _Cells:
    """Sum of the cell tables of one grid."""

    table: Counts
    rows: int


def feature_units(snapshot: Snapshot, page: LabelPage, identities: Identities) -> tuple[list[Unit], int]:
    """Return one unit per model version and feature, and the number of cells that no reference names.

    Rank: by position of the feature, then by traffic of the version, so that a bound leaves all versions of a model with
    the same features to compare.
    """
    identities.keep(frozenset(snapshot.references))
    tables = _sum_cells(snapshot)
    units: list[Unit] = []
    for version, reference in snapshot.references.items():
        identity, grid = identities.of(version, reference)
        cells = tables.pop((version, grid), None)
        if cells is None:
            width = max((feature.body for feature in reference.features), default=0) + len(SPECIAL_CELLS)
            cells = _Cells(np.zeros((len(reference.features), width), np.int64), 0)
        for position, feature in enumerate(reference.features):
            blocks = _feature_blocks(page, (version, identity), feature, cells.table[position])
            units.append(unit((position, -cells.rows, version), blocks))
    return units, sum(cells.table.size for cells in tables.values())


def _sum_cells(snapshot: Snapshot) -> dict[tuple[Version, str], _Cells]:
    tables: dict[tuple[Version, str], _Cells] = {}
    for window in snapshot.windows:
        if window.features is None:
            continue
        key = ((window.key.model, window.key.version), window.features.grid)
        if key in tables:
            tables[key].table = tables[key].table + window.features.cells
            tables[key].rows += window.rows
        else:
            tables[key] = _Cells(window.features.cells, window.rows)
    return tables


def _feature_blocks(
    page: LabelPage, owner: tuple[Version, str], feature: FeatureProfile, row: Counts
) -> tuple[Block, ...]:
    version, identity = owner

    def make() -> Labels:
        base = (*version_attributes(*version), (names.REFERENCE_ID, identity), (names.FEATURE_NAME, feature.name))
        cells = cell_names(feature.body, categorical=feature.kind == "categorical")
        return Labels(tuple((*base, (names.FEATURE_CELL, cell)) for cell in cells))

    counts = page.get((metrics.FEATURE_CELL, owner, feature.name), make)
    shares = page.get((metrics.FEATURE_REFERENCE_RATIO, owner, feature.name), make)
    special = 2 if feature.kind == "categorical" else len(SPECIAL_CELLS)
    values = row[: feature.body].tolist() + row[-special:].tolist()
    return (
        Scalars(METRICS[metrics.FEATURE_CELL], counts, values),
        Scalars(METRICS[metrics.FEATURE_REFERENCE_RATIO], shares, feature.p0),
    )
