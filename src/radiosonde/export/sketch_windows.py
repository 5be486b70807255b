"""Windows for sketch events: by default one per model version and variant, summed over cohorts.

Fifty features in sixty series are nine thousand events a minute. A backend could merge sketches of cohorts, but receiving them is
expensive. Merged in the exporter's thread, before the windows are sent.

Each window has a number, its place among those with sketches of its process. A merged window has that of its last part, and one that
was sent in vain is merged of the same parts again. So an event that a collector delivers twice is recognised by its process, number and feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from radiosonde.errors import MergeError
from radiosonde.model import SeriesKey, Window
from radiosonde.model.addition import add
from radiosonde.sketches import merge_bytes

Numbered = tuple[int, Window]
"""Number of a window, and the window."""


def in_runs(windows: Sequence[Numbered], attempted: int = 0) -> Iterator[list[Numbered]]:
    """Yield the windows of one minute after another, as they were closed; those up to the number *attempted* apart from later ones."""
    for _, run in groupby(windows, key=lambda each: (each[1].start_ns, each[1].end_ns, each[0] <= attempted)):
        yield list(run)


def without_cohorts(windows: Sequence[Numbered]) -> list[Numbered]:
    """Return windows of one span of time with the features of all cohorts of a release and grid added up.

    Only features are summed; the rest is not used. Windows with a damaged sketch are returned unchanged, and counted when they are sent.
    """
    groups: dict[tuple[SeriesKey, str], list[Numbered]] = {}
    for number, window in windows:
        if window.features is not None:
            groups.setdefault((window.key._replace(cohort=""), window.features.grid), []).append((number, window))
    found: list[Numbered] = []
    for (key, _), parts in groups.items():
        try:
            total = add([part.features for _, part in parts if part.features is not None], merge_bytes)
        except MergeError:
            found += parts
        else:
            found.append((parts[-1][0], replace(parts[0][1], key=key, features=total)))
    return found
