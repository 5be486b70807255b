"""Are slow calls found, named and dated: body and tail, by version, cohort and phase, after a milder slowdown and without one.

The members of `benchmarks.quality.incidents.slowness`, at most three draws of each. A milder slowdown that goes on may be a finding of its
own; the one that begins nearest to the fault is judged. Its onset is right within a window, or 5 % of the time since; misdated is one that
is off by more than a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure
from benchmarks.quality.bench_catalogue import wilson
from benchmarks.quality.incidents.service import DAY, MINUTE_NS
from benchmarks.quality.incidents.slowness import slownesses
from radiosonde.diagnose.latency_findings import latency_findings
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.panel import make_axis, make_panel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.quality.incidents.slowness import Slowness


class Named(NamedTuple):
    """Result of one member: found, its place, its phase and its onset right, by how many minutes it is off, and how many findings
    there are."""

    found: bool
    place: bool
    phase: bool
    onset: bool
    off_minutes: float
    findings: int
    said: str


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the shares of slow calls that were named and dated right."""
    seen = [(member, named(member, seed)) for member in slownesses() for seed in range(min(rounds, 3))]
    known = [(member, each) for member, each in seen if each.found]
    shares: tuple[tuple[str, str, Sequence[tuple[Slowness, bool]]], ...] = (
        ("found", "found", [(member, each.found) for member, each in seen]),
        ("place", "place exact, of those found", [(member, each.place) for member, each in known]),
        ("phase", "phase right, of those found", [(member, each.phase) for member, each in known]),
        ("onset", "onset within a window or 5 % of the time since", [(member, each.onset) for member, each in known]),
        ("alone", "told once", [(member, each.findings <= len(member.slow)) for member, each in known]),
    )  # fmt: skip
    for what, words, values in shares:
        right = [value for _, value in values]
        low, high = wilson(right)
        missed = sorted({member.name for member, value in values if not value})
        said = f"{sum(right)} of {len(right)}, {100 * low:.0f} to {100 * high:.0f} %" + (f"; not: {'; '.join(missed[:4])}" if missed else "")  # fmt: skip
        yield Figure(f"latency-{what}", f"slow calls: {words}", [sum(right) / max(len(right), 1)], unit="of 1", absolute=said)  # fmt: skip
    far = [member.name for member, each in known if each.off_minutes > DAY]
    yield Figure("latency-misdated", "slow calls misdated by more than a day", [len(far)], unit="incidents", absolute=f"of {len(known)}; {'; '.join(sorted(set(far))[:4]) or 'none'}")  # fmt: skip


def named(member: Slowness, seed: int) -> Named:
    """Return the report of the check of slow calls on a draw of *member*."""
    windows = member.windows(np.random.default_rng((seed, 29)))
    table, panel = make_table("m", windows), make_panel("m", windows, make_axis(windows))
    made = latency_findings(table, panel, windows, slow_spans(table, windows).spans, [], None)
    found = [each for each in made if each.onset.ended_ns is None]
    said = ", ".join(f"{each.name}/{each.where.cohort}@{(each.onset.at_ns - windows[0].start_ns) / member.length / MINUTE_NS:.0f}" for each in found)  # fmt: skip
    if not found:
        return Named(found=False, place=False, phase=False, onset=False, off_minutes=0.0, findings=0, said=said)
    first, fault = min(found, key=lambda each: abs(each.onset.at_ns - member.onset_ns())), member.fault
    off = abs(first.onset.at_ns - member.onset_ns()) / MINUTE_NS
    since = (member.steps - fault.start) * member.length
    return Named(
        found=True,
        place=(first.where.version, first.where.cohort) == (fault.version, fault.cohort),
        phase=first.where.phase == fault.phase,
        onset=off <= max(float(member.length), 0.05 * since),
        off_minutes=off,
        findings=len(found),
        said=said,
    )
