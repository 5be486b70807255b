"""References as blocks: the meaning of cells, and the reference shares of the output for comparison.

All of it is constant as long as the reference is: the blocks are made once, and an exposition keeps their lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from radiosonde.export.blocks import Block, Scalars, Unit, unit
from radiosonde.export.feature_blocks import Identities, Version
from radiosonde.export.labels import Attributes, Labels, version_attributes
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import cell_names
from radiosonde.reference.profile import FeatureProfile, Reference
from radiosonde.reference.weights import smoothed_shares
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

MOST_CLASSES = 100
"""Classes of a reference whose shares are exported; a model with more has one class beyond the bound at run time as well."""


class ReferenceUnits:
    """The units of each reference, made once: nothing in them changes as long as the reference does not."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Version, tuple[Reference, list[Unit]]] = {}

    def of(self, snapshot: Snapshot, identities: Identities) -> list[Unit]:
        """Return the output of each reference, then one unit per feature with the meaning of its cells.

        Features with personal data have none.
        """
        before = self._kept
        kept = {}
        for version, reference in snapshot.references.items():
            known = before.get(version)
            if known is None or known[0] is not reference:
                known = (reference, _units((version, identities.of(version, reference)[0]), reference))
            kept[version] = known
        self._kept = kept
        return [unit for _, units in kept.values() for unit in units]


def _units(owner: tuple[Version, str], reference: Reference) -> list[Unit]:
    return [
        unit((-1, owner[0]), _shares(owner, reference)),
        *(
            unit((position, owner[0]), [_meanings(owner, feature)])
            for position, feature in enumerate(reference.features)
            if not feature.pii
        ),
    ]


def _meanings(owner: tuple[Version, str], feature: FeatureProfile) -> Block:
    base = (*_base(owner), (names.FEATURE_NAME, feature.name))
    rows = tuple(
        (*base, (names.FEATURE_CELL, cell), (names.CELL_MEANING, meaning)) for cell, meaning in cell_meanings(feature)
    )
    return Scalars(METRICS[metrics.FEATURE_REFERENCE_INFO], Labels(rows), (1,) * len(rows))


def _base(owner: tuple[Version, str]) -> Attributes:
    version, identity = owner
    return (*version_attributes(*version), (names.REFERENCE_ID, identity))


def cell_meanings(feature: FeatureProfile) -> list[tuple[str, str]]:
    """Return (cell, meaning) of each cell of a feature, as `radiosonde.reference.profile` defines them."""
    cells = cell_names(feature.body, categorical=feature.kind == "categorical")
    if feature.kind == "categorical":
        return list(zip(cells, (*feature.categories, "null", "unseen"), strict=True))
    bounds = [f"{bound:.6g}" for bound in (feature.low, *feature.bounds)]
    body = [
        f"{'[' if place == 0 else '('}{below}, {above}]"
        for place, (below, above) in enumerate(itertools.pairwise(bounds))
    ]
    outside = (f"below {bounds[0]}", f"above {bounds[-1]}") if body else ("below", "any number")
    return list(zip(cells, (*body, *outside, "null", "unseen"), strict=True))


def _shares(owner: tuple[Version, str], reference: Reference) -> Iterator[Block]:
    """Yield shares of predicted classes, label classes and confidence bins, as far as the reference knows them."""
    output = reference.output
    classes = output.classes if len(output.classes) <= MOST_CLASSES else ()
    if classes and output.predicted_counts:
        shares = smoothed_shares(output.predicted_counts)
        yield _told_apart(metrics.OUTPUT_REFERENCE_CLASS_RATIO, owner, names.PREDICTION_CLASS, classes, shares)
    if classes and output.priors:
        yield _told_apart(metrics.OUTPUT_REFERENCE_LABEL_RATIO, owner, names.LABEL_CLASS, classes, output.priors)
    if output.score_label_counts:
        bins = tuple(map(sum, zip(*output.score_label_counts, strict=True)))
        ordinals = tuple(f"{place:02d}" for place in range(len(bins)))
        shares = smoothed_shares(bins)
        yield _told_apart(metrics.OUTPUT_REFERENCE_CONFIDENCE_RATIO, owner, names.CONFIDENCE_BIN, ordinals, shares)


def _told_apart(
    name: str, owner: tuple[Version, str], attribute: str, items: tuple[str, ...], shares: tuple[float, ...]
) -> Scalars:
    rows = tuple((*_base(owner), (attribute, item)) for item in items)
    return Scalars(METRICS[name], Labels(rows), shares)
