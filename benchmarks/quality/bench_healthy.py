"""False alarms of healthy models: pages and tickets per model-month, over all checks of a service, diagnosed after every window.

Asked for the past, a diagnosis reports each incident that a look at any window would have opened; so one diagnosis of a week is a look at each of its
windows. A round is a model-week of each family of `benchmarks.quality.incidents.healthy`: fifteen rounds are 135 model-weeks. Windows are of ten minutes, and of
one minute in every fifth round. Intervals are exact, of 95 % (Garwood, 1936).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks._measure import Figure, seeds
from benchmarks.quality.incidents.healthy import FAMILIES, healthy_week
from radiosonde.diagnose.check import check

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG, _SHORT, _SHORT_EVERY = 10, 1, 5
_WEEKS_A_MONTH = 30.44 / 7


def measure(rounds: int) -> Iterator[Figure]:
    """Yield pages and tickets per model-month, with what they were about."""
    raised: dict[str, Counter[str]] = {"page": Counter(), "ticket": Counter()}
    weeks = 0
    for number, seed in enumerate(seeds(rounds)):
        length = _SHORT if number % _SHORT_EVERY == _SHORT_EVERY - 1 else _LONG
        for family in FAMILIES:
            weeks += 1
            for finding in check(healthy_week(family, seed, length), {}, past=True).findings:
                raised[finding.severity][f"{finding.name} in {family}"] += 1
    for severity, seen in raised.items():
        count = sum(seen.values())
        low, high = poisson_interval(count)
        rate = _WEEKS_A_MONTH / weeks
        about = ", ".join(f"{number} {what}" for what, number in seen.most_common(4)) or "none"
        yield Figure(
            f"healthy-{severity}s", f"{severity}s per model-month, {weeks} healthy model-weeks of {len(FAMILIES)} families, all checks",
            [count * rate], unit="per month", absolute=f"{count}; {low * rate:.2f} to {high * rate:.2f} with 95 % ({about})",
        )  # fmt: skip


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of a count."""
    from math import exp

    def at_most(mean: float, most: int) -> float:
        term = total = exp(-mean)
        for number in range(1, most + 1):
            term *= mean / number
            total += term
        return total

    def bisect(most: int, wanted: float) -> float:
        low, high = 0.0, 10.0 * count + 20.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if at_most(middle, most) > wanted else (low, middle)
        return low

    return (bisect(count - 1, 0.975) if count else 0.0), bisect(count, 0.025)
