"""Slow calls by place, phase and shape: body and tail, single versions and cohorts, short and long histories, with a milder slowdown before or without.

Windows of an hour over three weeks, or of a minute over hours. What a call takes is drawn from log-normal tables; slow calls lose their time in one phase. All
draws are seeded by the caller, and nothing here knows how diagnosis works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmarks.quality.incidents.latency import BOUNDS_S, MEDIAN_S, table_of
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Table, Traffic, calls, is_member, series, wander
from radiosonde.model import LatencyCounts, Window

PHASES = ("fetch", "predict")
_SHARES = np.array([0.3, 0.6])


class Slow(NamedTuple):
    """From *start* to *end*, a *share* of the calls of a place takes *factor* times as long, in one phase."""

    share: float
    factor: float
    start: int
    end: int | None = None
    version: str = ""
    cohort: str = ""
    phase: str = "fetch"


class Slowness(NamedTuple):
    """A member of the catalogue.

    Attributes:
        name: unique name.
        slow: the slow calls; the last of them is the fault, those before it are milder.
        steps: windows.
        length: minutes of a window.
        per_window: calls per window.
        is_daily: the median follows the hour of the day, by a quarter.
    """

    name: str
    slow: tuple[Slow, ...]
    steps: int
    length: int
    per_window: float
    is_daily: bool = False

    @property
    def fault(self) -> Slow:
        """What has to be found."""
        return self.slow[-1]

    def onset_ns(self) -> int:
        """Return when the fault began."""
        return START_NS + self.fault.start * self.length * MINUTE_NS

    def windows(self, rng: np.random.Generator) -> list[Window]:
        """Return a draw of it."""
        keys = series(2, region=3)
        made = calls(rng, self.steps, keys, self.per_window, swing=0.0)
        traffic = Traffic(keys, made, np.zeros_like(made))
        hours = np.arange(self.steps) * self.length / 60
        medians = MEDIAN_S * np.exp(wander(rng, self.steps, 0.05, 600 / self.length))
        medians *= 1 + 0.25 * self.is_daily * np.sin(2 * np.pi * hours / 24)
        tables = {round(float(median), 4): table_of(round(float(median), 4)) for median in medians}
        usual = [tables[round(float(median), 4)] for median in medians]
        late = {each: table_of(MEDIAN_S * each.factor) for each in self.slow}
        return [self._timed(rng, window, usual, late) for window in traffic.windows()]

    def _timed(self, rng: np.random.Generator, window: Window, usual: list[Table], late: dict[Slow, Table]) -> Window:
        step = (window.start_ns - START_NS) // MINUTE_NS
        left, slowed = window.calls, []
        for each in reversed(self.slow):
            is_ill = each.start <= step < (self.steps if each.end is None else each.end)
            if is_ill and is_member(window.key, each.version, each.cohort):
                number = int(rng.binomial(left, each.share))
                slowed.append((each, rng.multinomial(number, late[each])))
                left -= number
        counts = rng.multinomial(left, usual[step])
        phases = _SHARES[:, None] * counts * BOUNDS_S
        for each, more in slowed:
            in_phase = np.full(2, 0.05)
            in_phase[PHASES.index(each.phase)] = 0.9
            phases += in_phase[:, None] * more * BOUNDS_S
            counts = counts + more
        edges = np.array([window.calls, 0])
        latency = LatencyCounts(counts, counts * BOUNDS_S, PHASES, phases, (0.01,), edges)
        start_ns = START_NS + step * self.length * MINUTE_NS
        return replace(window, latency=latency, start_ns=start_ns, end_ns=start_ns + self.length * MINUTE_NS)


def slownesses() -> Iterator[Slowness]:
    """Yield every member: by the hour over three weeks, and by the minute over three and twelve hours."""
    places = (("", ""), ("v2", ""), ("", "region=r1"), ("v2", "region=r1"))
    for share, factor, phase in ((0.02, 12, "fetch"), (0.1, 6, "predict"), (1.0, 2.5, "predict")):
        for version, cohort in places:
            where = f"{version or 'all'} {cohort or 'all'}"
            name = f"{100 * share:g} % x {factor:g} in {phase}, {where}"
            fault = Slow(share, factor, 300, None, version, cohort, phase)
            yield Slowness(f"{name}, hours", (fault,), 504, 60, 1500.0)
            for history in (180, 720):
                yield Slowness(
                    f"{name}, {history} min", (fault._replace(start=history),), history + 30, 1, 1500.0, is_daily=True
                )
    for share, factor in ((0.02, 12), (0.05, 8)):
        fault = Slow(share, factor, 340)
        for milder in (Slow(1.0, 1.25, 200), Slow(0.01, 5, 200), Slow(0.02, 4, 180), Slow(0.3, 1.6, 100)):
            after = f"{100 * milder.share:g} % x {milder.factor:g} before"
            name = f"{100 * share:g} % x {factor:g}, {after}"
            yield Slowness(f"{name}, hours", (milder, fault), 504, 60, 1500.0)
            yield Slowness(f"{name}, sparse hours", (milder, fault), 504, 60, 120.0)
            yield Slowness(f"{name}, over", (milder._replace(end=milder.start + 60), fault), 504, 60, 1500.0)
