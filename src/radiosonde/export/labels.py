"""Label sets of points, cached between exports.

The labels of a stream never change, and encoding them is nine tenths of the cost of an export: encoding took 27 to 32 times as long as a
lookup. Each group of streams therefore keeps one `Labels`, which holds the attributes and their encoded form per exporter. A `LabelCache`
drops entries that an export no longer used, so that memory follows the models and versions in use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

from radiosonde.model import OVERFLOW_COHORT, SeriesKey, parse_cohort
from radiosonde.semconv import attributes as names

MOST_DIMENSIONS = 8
"""Dimensions of a cohort with an attribute of their own."""
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")

Attributes = tuple[tuple[str, str | bool], ...]
"""Attribute names and values of one stream, in carrier order."""


class Labels:
    """The attributes of the points of one block, one row per point.

    Attributes:
        rows: attributes per point.
        edges: bucket bounds of a histogram, part of the encoded form; empty otherwise.
        spelled: encoded rows, by exporter; filled by exporters.
    """

    __slots__ = ("edges", "rows", "spelled")

    def __init__(self, rows: tuple[Attributes, ...], edges: tuple[float, ...] = ()) -> None:
        self.rows = rows
        self.edges = edges
        self.spelled: dict[str, Any] = {}


class LabelCache:
    """Labels by the key of their block.

    Without a lock: an export reads one dictionary, fills another and replaces the first in one assignment. Two exports
    at once both give right results, and at worst one of them spells some labels again.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Hashable, Labels] = {}

    def open(self) -> LabelPage:
        """Begin an export."""
        return LabelPage(self._kept)

    def close(self, page: LabelPage) -> None:
        """End an export: keep the entries it used and drop the rest."""
        self._kept = page.used


class LabelPage:
    """The labels one export uses."""

    __slots__ = ("_kept", "used")

    def __init__(self, kept: dict[Hashable, Labels]) -> None:
        self._kept = kept
        self.used: dict[Hashable, Labels] = {}

    def get(self, key: Hashable, make: Callable[[], Labels]) -> Labels:
        """Return the labels of *key*, made by *make* when they are new."""
        labels = self._kept.get(key)
        if labels is None:
            labels = make()
        self.used[key] = labels
        return labels


def series_attributes(key: SeriesKey) -> Attributes:
    """Return the attributes of a series; the overflow cohort is marked as OpenTelemetry prescribes."""
    attributes: Attributes = (
        *release_attributes(key),
        (names.COHORT, key.cohort),
        *cohort_attributes(key.cohort),
        (names.MODEL_KIND, key.kind),
    )
    if key.cohort == OVERFLOW_COHORT:
        return (*attributes, (names.OTEL_METRIC_OVERFLOW, True))
    return attributes


@lru_cache(maxsize=4096)
def cohort_attributes(cohort: str) -> tuple[tuple[str, str], ...]:
    """Return each dimension of a cohort as a separate attribute, ``radiosonde.cohort.NAME``, at most `MOST_DIMENSIONS`.

    Names are made fit for a label; of two that become one, the first has it. All of them are in the packed text too.
    """
    try:
        dimensions = parse_cohort(cohort)
    except ValueError:  # a hand-written cohort name: it has no dimensions
        return ()
    found: dict[str, str] = {}
    for name, value in dimensions.items():
        found.setdefault(f"{names.COHORT}.{_UNFIT.sub('_', name)}", value)
    return tuple(found.items())[:MOST_DIMENSIONS]


def release_attributes(key: SeriesKey) -> Attributes:
    """Return the attributes of a series without its cohort."""
    return (*version_attributes(key.model, key.version), (names.VARIANT, key.variant))


def version_attributes(model: str, version: str) -> Attributes:
    """Return the attributes of a model version over all variants and cohorts."""
    return ((names.MODEL_NAME, model), (names.MODEL_VERSION, version))
