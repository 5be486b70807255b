"""Blocks of points with their metric and labels, independent of the exporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from radiosonde.export.labels import Attributes, LabelPage, Labels
from radiosonde.model import Exemplar
from radiosonde.model.window import Counts
from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.definition import MetricDefinition


@dataclass(frozen=True, slots=True, eq=False)
class Scalars:
    """Points of one counter or gauge; *values* are plain Python numbers, in the order of the label rows."""

    metric: MetricDefinition
    labels: Labels
    values: Sequence[int | float]

    @property
    def series(self) -> int:
        """Time series these points are in Prometheus."""
        return len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One histogram point, its bounds in the labels.

    Attributes:
        metric: the histogram.
        labels: one row.
        counts: per bucket, not cumulative, one more than there are bounds.
        total: sum of the values. Always there: back ends drop the buckets of a histogram without one.
        exemplars: by bucket.
        native: the same values in the buckets of `radiosonde.model.LATENCY`, for scrapers of native histograms; None where they were
            not counted so.
    """

    metric: MetricDefinition
    labels: Labels
    counts: Sequence[int]
    total: float
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)
    native: Counts | None = None

    @property
    def series(self) -> int:
        """Time series this point is in Prometheus."""
        return len(self.counts) + 2


Block = Scalars | Distribution


class Unit(NamedTuple):
    """Blocks that are exported or cut together.

    Attributes:
        rank: ascending among units of a kind; the lowest is exported first.
        blocks: the blocks.
        series: time series they are.
    """

    rank: tuple[Any, ...]
    blocks: tuple[Block, ...]
    series: int


def scalar(page: LabelPage, name: str, value: float, attributes: Attributes = ()) -> Scalars:
    """Return a block of one point."""
    return Scalars(METRICS[name], page.get((name, attributes), lambda: Labels((attributes,))), (value,))


def scalars(
    page: LabelPage, name: str, base: Attributes, attribute: str, counts: Mapping[str, int] | Mapping[str, float]
) -> Scalars:
    """Return a block of one point per item of *counts*, distinguished by *attribute*."""
    items = tuple(counts)
    labels = page.get((name, base, items), lambda: Labels(tuple((*base, (attribute, item)) for item in items)))
    return Scalars(METRICS[name], labels, tuple(counts.values()))


def distribution(
    page: LabelPage,
    name: str,
    attributes: Attributes,
    edges: tuple[float, ...],
    counts: Sequence[int],
    *,
    total: float,
    exemplars: Mapping[int, Exemplar] | None = None,
) -> Distribution:
    """Return a block of one histogram point."""
    labels = page.get((name, attributes, edges), lambda: Labels((attributes,), edges))
    return Distribution(METRICS[name], labels, counts, total, exemplars or {})


def unit(rank: tuple[Any, ...], blocks: Iterable[Block]) -> Unit:
    """Return a unit of *blocks*."""
    found = tuple(blocks)
    return Unit(rank, found, sum(block.series for block in found))
