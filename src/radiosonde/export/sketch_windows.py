"""Windows for sketch events: by default one per model version and variant, summed over cohorts.

Fifty features in sixty series are nine thousand events a minute. A backend could merge sketches of cohorts, but receiving them is
expensive. Merged in the exporter's thread, before the windows are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from radiosonde.errors import MergeError
from radiosonde.model import SeriesKey, Window
from radiosonde.model.addition import add
from radiosonde.sketches import merge_bytes


def in_runs(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Yield the windows of one minute after another, as they were closed."""
    for _, run in groupby(windows, key=lambda window: (window.start_ns, window.end_ns)):
        yield list(run)


def without_cohorts(windows: Sequence[Window]) -> list[Window]:
    """Return windows of one span of time with the features of all cohorts of a release and grid added up.

    Only features are summed; the rest is not used. Windows with a damaged sketch are returned unchanged, and counted when they are sent.
    """
    groups: dict[tuple[SeriesKey, str], list[Window]] = {}
    for window in windows:
        if window.features is not None:
            groups.setdefault((window.key._replace(cohort=""), window.features.grid), []).append(window)
    found: list[Window] = []
    for (key, _), parts in groups.items():
        try:
            total = add([part.features for part in parts if part.features is not None], merge_bytes)
        except MergeError:
            found += parts
        else:
            found.append(replace(parts[0], key=key, features=total))
    return found
