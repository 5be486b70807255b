"""Is each incident of the catalogue named for what it is: kind, place and onset of the findings of a whole diagnosis.

The members of `benchmarks.quality.incidents.catalogue`, a draw of each per round. Right is one finding of the true kind and no other finding; its place is exact;
its onset is within a window, or 5 % of the time since. Intervals are Wilson's, of 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure
from benchmarks.quality.incidents.catalogue import AFTER, HISTORY, catalogue
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS
from radiosonde.diagnose.check import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.quality.incidents.catalogue import Incident


class Named(NamedTuple):
    """What became of one incident: found at all, its kind, its place and its onset right, alone, and what was said instead."""

    found: bool
    kind: bool
    place: bool
    onset: bool
    alone: bool
    said: str


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the shares of incidents that were named right; at most three draws of each."""
    seen = [(incident, named(incident, seed)) for incident in catalogue() for seed in range(min(rounds, 3))]
    known = [each for _, each in seen if each.found]
    wrong = sorted({incident.name for incident, each in seen if not (each.kind and each.place)})
    for what, values, missed in (
        ("kind", [each.kind for _, each in seen], wrong),
        ("place", [each.place for each in known], []),
        ("onset", [each.onset for each in known], []),
        ("alone", [each.alone for each in known], []),
    ):
        low, high = wilson(values)
        said = f"{sum(values)} of {len(values)}, {100 * low:.0f} to {100 * high:.0f} %" + (f"; not: {', '.join(missed)}" if missed else "")  # fmt: skip
        yield Figure(f"catalogue-{what}", f"{what} right, {len({each.name for each, _ in seen})} incidents of a service", [sum(values) / max(len(values), 1)], unit="of 1", absolute=said)  # fmt: skip


def named(incident: Incident, seed: int) -> Named:
    """Return what a diagnosis says of a draw of *incident*."""
    windows = incident.build(np.random.default_rng((seed, 17)))
    findings = check(windows, {}).findings
    mine = [each for each in findings if each.name.startswith(incident.finding)]
    said = ", ".join(f"{each.name}@{(each.onset.at_ns - START_NS) // MINUTE_NS}" for each in findings)
    if not mine:
        return Named(bool(findings), kind=False, place=False, onset=False, alone=False, said=said)
    first = mine[0]
    at = (first.onset.at_ns - START_NS) / MINUTE_NS
    onset = HISTORY if not incident.name.startswith("memory grows") else 120
    close = abs(at - onset) <= max(1.0, 0.05 * (HISTORY + AFTER - onset))
    place = (first.where.version, first.where.cohort) == (incident.version, incident.cohort)
    return Named(found=True, kind=True, place=place, onset=close, alone=len(findings) == 1, said=said)


def wilson(values: Sequence[bool]) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    count, z = max(len(values), 1), 1.96
    share = sum(values) / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(middle - half, 0.0), min(middle + half, 1.0)
