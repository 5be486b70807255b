"""Radiosonde's statistics, the models it observes and their references, as blocks."""

from __future__ import annotations

from radiosonde._version import __version__
from radiosonde.export.blocks import Block, Scalars, scalar, scalars
from radiosonde.export.feature_blocks import Identities
from radiosonde.export.labels import LabelPage, Labels, release_attributes, version_attributes
from radiosonde.export.snapshot import Snapshot
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS


def self_blocks(snapshot: Snapshot, page: LabelPage, identities: Identities) -> list[Block]:
    """Return the blocks that no bound cuts: a few dozen series, and two per model version."""
    own = snapshot.statistics
    if own is None:
        return []
    blocks: list[Block] = [
        scalar(page, name, value)
        for name, value in (
            (metrics.SDK_RECORDS, own.records),
            (metrics.SDK_ROWS, own.rows),
            (metrics.SDK_IN_FLIGHT, own.in_flight),
            (metrics.SDK_SERIES, own.series),
            (metrics.SDK_WINDOWS_OPEN, own.windows_open),
            (metrics.SDK_WINDOWS_CLOSED, own.windows_closed),
            (metrics.SDK_DRAIN_LAG, own.drain_lag_s),
            (metrics.SDK_CONSUMER_CPU_TIME, own.consumer_cpu_s),
            (metrics.SDK_SPANS_BOUNDED, own.spans_bounded),
            (metrics.SDK_EXPORTED, own.exported_bytes),
            (metrics.SDK_SAMPLING_RATIO, own.sampling_ratio),
        )
    ]
    blocks += [
        scalars(page, metrics.SDK_LOSSES, (), names.LOSS_REASON, own.losses),
        scalars(page, metrics.SDK_LABELS, (), names.LABEL_RESULT, own.labels),
        scalars(page, metrics.SDK_EXPORTS, (), names.EXPORT_CARRIER, own.exports),
        scalars(page, metrics.SDK_GUARDED, (), names.GUARD_PLACE, own.guarded),
    ]
    return [*blocks, _models(snapshot, page), _references(snapshot, page, identities)]


def _models(snapshot: Snapshot, page: LabelPage) -> Scalars:
    releases = tuple(dict.fromkeys(release_attributes(window.key) for window in snapshot.windows))
    labels = page.get(
        (metrics.MODEL_INFO, releases),
        lambda: Labels(tuple((*release, (names.SDK_VERSION, __version__)) for release in releases)),
    )
    return Scalars(METRICS[metrics.MODEL_INFO], labels, (1,) * len(releases))


def _references(snapshot: Snapshot, page: LabelPage, identities: Identities) -> Scalars:
    known = tuple(
        (
            *version_attributes(*version),
            (names.REFERENCE_ID, identities.of(version, reference)[0]),
            (names.REFERENCE_PROVISIONAL, "true" if reference.provisional else "false"),
        )
        for version, reference in snapshot.references.items()
    )
    labels = page.get((metrics.FEATURE_REFERENCE_ROWS, known), lambda: Labels(known))
    rows = tuple(reference.rows for reference in snapshot.references.values())
    return Scalars(METRICS[metrics.FEATURE_REFERENCE_ROWS], labels, rows)
