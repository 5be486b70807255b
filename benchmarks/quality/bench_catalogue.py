"""Is each incident of the catalogue named for what it is: kind, place, onset and cause of the findings of a whole diagnosis.

The members of `benchmarks.quality.incidents.catalogue`, a draw of each per round. Right is one finding of the true kind and no other
finding; its place is exact; its onset is within a window, or 5 % of the time since; its verdict is right if the likeliest cause is the true
one. Every fourth member is also diagnosed every five windows: its verdict must not change once it was right. Intervals are
Wilson's, of 95 %.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure, seeds
from benchmarks.quality.incidents.catalogue import AFTER, HISTORY, catalogue
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS
from radiosonde.diagnose.check import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.quality.incidents.catalogue import Incident
    from radiosonde.diagnose.finding import Diagnosis


_EVERY, _LOOK_WINDOWS = 4, 5


class Named(NamedTuple):
    """Result of one incident: whether it was found, with the right kind, place, onset and verdict, as the only finding, and what was reported instead."""

    found: bool
    kind: bool
    place: bool
    onset: bool
    alone: bool
    verdict: bool
    said: str


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the shares of incidents that were named right; at most three draws of each."""
    seen = [(incident, named(incident, seed)) for incident in catalogue() for seed in seeds(min(rounds, 3))]
    known = [each for _, each in seen if each.found]
    wrong = sorted({incident.name for incident, each in seen if not (each.kind and each.place)})
    for what, values, missed in (
        ("kind", [each.kind for _, each in seen], wrong),
        ("place", [each.place for each in known], []),
        ("onset", [each.onset for each in known], []),
        ("alone", [each.alone for each in known], []),
        ("verdict", [each.verdict for each in known], sorted({incident.name for incident, each in seen if each.found and not each.verdict})),
    ):  # fmt: skip
        low, high = wilson(values)
        said = f"{sum(values)} of {len(values)}, {100 * low:.0f} to {100 * high:.0f} %" + (f"; not: {', '.join(missed)}" if missed else "")  # fmt: skip
        yield Figure(f"catalogue-{what}", f"{what} right, {len({each.name for each, _ in seen})} incidents of a service", [sum(values) / max(len(values), 1)], unit="of 1", absolute=said)  # fmt: skip

    looked = [(incident, flips(incident, seeds(1)[0])) for incident in list(catalogue())[::_EVERY]]
    turned = [incident.name for incident, count in looked if count]
    yield Figure("catalogue-flips", f"verdicts that became another one, looked at every {_LOOK_WINDOWS} windows", [len(turned)], unit="incidents", absolute=f"of {len(looked)}; {', '.join(turned) or 'none'}")  # fmt: skip


def named(incident: Incident, seed: int) -> Named:
    """Return the diagnosis of a draw of *incident*."""
    windows = incident.build(np.random.default_rng((seed, 17)))
    diagnosis = check(windows, {})
    findings = diagnosis.findings
    mine = [each for each in findings if each.name.startswith(incident.finding)]
    said = ", ".join(f"{each.name}@{(each.onset.at_ns - START_NS) // MINUTE_NS}" for each in findings)
    if not mine:
        return Named(bool(findings), kind=False, place=False, onset=False, alone=False, verdict=False, said=said)
    first = mine[0]
    at = (first.onset.at_ns - START_NS) / MINUTE_NS
    onset = HISTORY if not incident.name.startswith("memory grows") else 120
    close = abs(at - onset) <= max(1.0, 0.05 * (HISTORY + AFTER - onset))
    place = (first.where.version, first.where.cohort) == (incident.version, incident.cohort)
    verdict = likeliest(diagnosis) in incident.causes
    return Named(found=True, kind=True, place=place, onset=close, alone=len(findings) == 1, verdict=verdict, said=said)


def likeliest(diagnosis: Diagnosis) -> str:
    """Return the cause that *diagnosis* holds most likely; ``""`` without one."""
    return next((each.cause for each in diagnosis.hypotheses if each.state == "likely"), "")


def flips(incident: Incident, seed: int) -> int:
    """Return how often the verdict was another one than at the look before, from the first finding of the true kind on."""
    windows = incident.build(np.random.default_rng((seed, 17)))
    said: list[str] = []
    for minute in range(HISTORY + _LOOK_WINDOWS, HISTORY + AFTER + 1, _LOOK_WINDOWS):
        until_ns = START_NS + minute * MINUTE_NS
        diagnosis = check([window for window in windows if window.end_ns <= until_ns], {})
        if said or any(each.name.startswith(incident.finding) for each in diagnosis.findings):
            said.append(likeliest(diagnosis))
    return sum(before != after for before, after in pairwise(said))


def wilson(values: Sequence[bool]) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    count, z = max(len(values), 1), 1.96
    share = sum(values) / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(middle - half, 0.0), min(middle + half, 1.0)
