"""Are breaks of features in single cohorts found, where and when, and what do healthy cohorts cost: false alarms and time.

Windows of `benchmarks.quality.incidents.cohort_cells`, every window a look. Faults: values of one feature that are missing, unseen, one value, out of
range or encoded in another way, at cohorts of 25 % and 2 % of the rows and at one version of a cohort, in a small part of the rows, a third or so, and
all of them; 1500 calls a minute, two hours of history and one hour since. Exact is one break of the true feature, kind and place. Healthy: a
week of ten-minute windows of each world per round.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure
from benchmarks.quality.incidents.cohort_cells import EXPECTED, FAULTS, PLACES, WORLDS, Fault, cohorts, make_reference
from radiosonde.diagnose.cell_findings import is_of_cohort
from radiosonde.diagnose.cell_incidents import find_breaks
from radiosonde.diagnose.cell_table import make_cell_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radiosonde.diagnose.cell_incidents import Breaks

HISTORY, AFTER, FEATURES, WIDE = 120, 60, 8, 200
STRENGTHS = {"few": (0.02, 0.03, 0.1), "some": (0.2, 0.3, 0.6), "all": (1.0,)}
_WEEKS_A_MONTH = 30.44 / 7


def measure(rounds: int) -> Iterator[Figure]:
    """Yield what is found by strength, false breaks of healthy worlds, and the time of a window."""
    cohorts_of = [place for place in PLACES if place[1]]
    for words, shares in STRENGTHS.items():
        faults = [
            Fault(kind, share, 3 if kind == "recoded" else 1, *place, HISTORY)
            for kind, share in FAULTS
            if share in shares
            for place in cohorts_of
        ]
        seen = [_outcome(fault, seed, index) for seed in range(rounds) for index, fault in enumerate(faults)]
        known = [each for each in seen if each is not None]
        took = [windows for _, windows, _ in known]
        missed = sorted(
            {
                f"{fault.kind} in {fault.cohort}"
                for fault, each in zip(faults * rounds, seen, strict=True)
                if each is None
            }
        )
        said = f"{len(known)} of {len(seen)} found, half within {np.median(took or [0]):g} windows" + (f"; not always: {', '.join(missed)}" if missed else "")  # fmt: skip
        yield Figure(f"cohorts-found-{words}", f"breaks of cohorts found within {AFTER} windows, {words} of the rows", [len(known) / len(seen)], unit="of 1", absolute=said)  # fmt: skip
        yield Figure(f"cohorts-exact-{words}", "of those, feature, kind and place exact", [float(np.mean([exact for exact, _, _ in known]))], unit="of 1")  # fmt: skip
        yield Figure(f"cohorts-onset-{words}", "of those, onset within a window", [float(np.mean([off <= 1 for _, _, off in known]))], unit="of 1")  # fmt: skip
    yield from _false(rounds)
    yield _cost(rounds)


def _find(windows: list, features: int) -> Breaks:  # type: ignore[type-arg]
    (table,) = make_cell_tables(windows, {("m", version): make_reference(features) for version in ("v1", "v2")})
    return find_breaks(table)


def _outcome(fault: Fault, seed: int, index: int) -> tuple[bool, int, int] | None:
    """Return whether *fault* is named exactly, the windows until it was, and those by which its onset is off; None if it is not found."""
    rng = np.random.default_rng((seed, index, round(100 * fault.share)))
    breaks = _find(cohorts(rng, HISTORY + AFTER, features=FEATURES).windows(rng, (fault,)), FEATURES)
    named = [each for each in breaks.reported if is_of_cohort(breaks, each)]
    if not named:
        return None
    first = min(named, key=lambda each: each.opened)
    places = [breaks.places.names[at] for at in first.cover.places]
    is_exact = len(named) == 1 and (first.feature, first.kind) == (fault.feature, EXPECTED[fault.kind])
    is_exact &= [(place.version, place.cohort) for place in places] == [(fault.version, fault.cohort)]
    return is_exact, first.opened - HISTORY + 1, abs(first.onset - HISTORY)


def _false(rounds: int) -> Iterator[Figure]:
    seen: dict[str, int] = {}
    for name, world in WORLDS.items():
        for seed in range(rounds):
            rng = np.random.default_rng((seed, 77))
            breaks = _find(world(rng, cohorts(rng, 1152, per_minute=300.0, features=FEATURES, length=10)).windows(rng), FEATURES)  # fmt: skip
            seen[name] = seen.get(name, 0) + sum(is_of_cohort(breaks, each) for each in breaks.reported)
    weeks = rounds * len(WORLDS) * 8 / 7
    total = sum(seen.values())
    upper = (total + 1.96 * np.sqrt(total + 1) + 1.92) / weeks * _WEEKS_A_MONTH
    words = ", ".join(f"{name} {count}" for name, count in seen.items() if count) or "none"
    yield Figure(
        "cohorts-false", f"false breaks of cohorts per model-month, {weeks:.0f} model-weeks, {FEATURES} features", [total / weeks * _WEEKS_A_MONTH],
        unit="per month", absolute=f"{total} ({words}); at most {upper:.2f} with 95 %",
    )  # fmt: skip


def _cost(rounds: int) -> Figure:
    rng = np.random.default_rng(1)
    windows = cohorts(rng, HISTORY, features=WIDE).windows(rng)
    took = []
    for _ in range(rounds):
        began = time.process_time()
        _find(windows, WIDE)
        took.append(1000 * (time.process_time() - began) / HISTORY)
    return Figure("cohorts-cost", f"CPU of a window of {WIDE} features, two versions and six cohorts", took, unit="ms")
