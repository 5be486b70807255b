"""Builds bounded blocks of points from a snapshot, in the order of the registry.

Points come in units that are exported or cut as a whole (half the cells of a feature give no drift, half the outcomes of
a series give a wrong error rate):

* a *series* unit per series key: traffic, latency, output, outcomes;
* a *release* unit per model, version and variant: phases, batch sizes, calibration, joint counts, label lag;
* a *feature* unit per model, version and feature: its cells and their reference, over all variants and cohorts;
* constant descriptions, in the remaining room: the meaning of cells, the output of references.

Every stream that can be known beforehand is present from the first export on, zeros included, because the increase of a
counter that is born at 5 is 0 in Prometheus: counters born late lose exactly the rare evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from radiosonde.export.blocks import Block, scalar
from radiosonde.export.cardinality import MAX_SERIES, keep_units
from radiosonde.export.feature_blocks import Identities, feature_units
from radiosonde.export.labels import LabelCache
from radiosonde.export.outcome_blocks import ShownClasses
from radiosonde.export.reference_blocks import ReferenceUnits
from radiosonde.export.runtime_blocks import runtime_blocks, runtime_units
from radiosonde.export.self_blocks import self_blocks
from radiosonde.export.series_blocks import release_units, series_units
from radiosonde.export.snapshot import Snapshot
from radiosonde.export.steady import steady
from radiosonde.export.watch_blocks import watch_blocks
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS


@dataclass(frozen=True, slots=True)
class MetricBlocks:
    """A snapshot, ready to be spelled out.

    Attributes:
        families: blocks by metric name, in the order of the registry; metrics without points are absent.
        cut: time series left out: beyond the bound, or cells that no reference names.
    """

    families: Mapping[str, list[Block]]
    cut: int


class BlockBuilder:
    """Makes blocks, and keeps their labels from one snapshot to the next.

    Args:
        max_series: time series per export, counted as Prometheus counts them; series beyond it are cut, see `cardinality`.
    """

    __slots__ = ("_cache", "_identities", "_max_series", "_references", "_shown")

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self._cache = LabelCache()
        self._identities = Identities()
        self._references = ReferenceUnits()
        self._shown = ShownClasses()
        self._max_series = max_series

    def build(self, snapshot: Snapshot) -> MetricBlocks:
        """Return the blocks of a snapshot."""
        page = self._cache.open()
        features, unnamed = feature_units(snapshot, page, self._identities)
        own = [*runtime_blocks(snapshot, page), *self_blocks(snapshot, page, self._identities)]
        if snapshot.watched is not None:
            own += watch_blocks(snapshot.watched, page)
        ranked = [series_units(snapshot, page), release_units(snapshot, page, self._shown), features]
        if snapshot.runtimes:  # else they would take a share of the bound from the others
            ranked.append(runtime_units(snapshot, page))
        kept, beyond = keep_units(ranked, self._max_series - sum(block.series for block in own) - 1)
        room = self._max_series - sum(block.series for block in own) - 1 - sum(unit.series for unit in kept)
        constant, beyond_room = keep_units([self._references.of(snapshot, self._identities)], room)
        kept += constant
        cut = beyond + beyond_room + unnamed
        blocks = [block for unit in kept for block in unit.blocks]
        blocks += [*own, scalar(page, metrics.SDK_CUT, cut)]
        self._cache.close(page)
        families: dict[str, list[Block]] = {name: [] for name in METRICS}
        for block in blocks:
            families[block.metric.name].append(steady(block))
        return MetricBlocks({name: found for name, found in families.items() if found}, cut)
