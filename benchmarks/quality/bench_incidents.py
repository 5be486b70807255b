"""Can diagnosis of a service be trusted: false alarms when one looks after every window, time to detect, place, onset, cost.

Simulated minutes (`benchmarks.quality.incidents`), every window a look. Healthy: each world of `service.WORLDS` for a week per round, so 11 families times
the rounds in model-weeks. Faults: rates from 0.5 to 30 % at seven places of two versions and two dimensions, after 3 and 24 hours. Figures are over all
seeds; ids are permanent. Traffic: each world of `traffic.WORLDS` for a week per round, and a half of the calls gone after 3, 24 and 72 hours.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure, seeds
from benchmarks.quality.incidents.latency import WORLDS as LATENCIES
from benchmarks.quality.incidents.latency import slow, tiered, timed
from benchmarks.quality.incidents.service import (
    DAY,
    MINUTE_NS,
    START_NS,
    WORLDS,
    Traffic,
    calls,
    failing,
    plant,
    series,
)
from benchmarks.quality.incidents.traffic import WORLDS as VOLUMES
from benchmarks.quality.incidents.traffic import make_volume_grid
from radiosonde.diagnose.check import check
from radiosonde.diagnose.failure_findings import failure_finding
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_incidents import find_traffic, severity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEK, MONTH = 7 * DAY, 28 * DAY
PLACES = (
    ("", "", PlaceName()),
    ("v2", "", PlaceName("v2", "canary")),
    ("", "region=r1", PlaceName(cohort="region=r1")),
    ("", "plan=p1", PlaceName(cohort="plan=p1")),
    ("", "plan=p1,region=r2", PlaceName(cohort="plan=p1,region=r2")),
    ("v2", "region=r1", PlaceName("v2", "canary", "region=r1")),
    ("v1", "plan=p0,region=r3", PlaceName("v1", "stable", "plan=p0,region=r3")),
)
RATES, HISTORIES, AFTER = (0.005, 0.05, 0.3), (180, 1440), 30
SIDE_BY_SIDE = {"3 h": 180, "1 d": DAY, "3 d": 3 * DAY, "30 d": 30 * DAY}


class Found(NamedTuple):
    """Result of one planted fault: windows until it was opened (99: not), whether its place is exact, windows its onset is off."""

    windows: int
    exact: bool
    off: int


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of healthy worlds, of planted faults, and of cost."""
    pages, tickets = {}, {}
    for name in WORLDS:
        severities = [severity for seed in seeds(rounds) for severity in _healthy(name, seed)]
        pages[name], tickets[name] = severities.count("page"), severities.count("ticket")
    weeks = rounds * len(WORLDS)
    for what, counts in (("pages", pages), ("tickets", tickets)):
        total = sum(counts.values())
        upper = (total + 1.96 * np.sqrt(total + 1) + 1.92) / weeks * 4  # Byar's approximation, upper end of 95 %
        seen = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"
        yield Figure(
            f"incidents-false-{what}", f"false {what} per model-month, {weeks} model-weeks, failures", [4 * total / weeks],
            unit="per month", absolute=f"{total} ({seen}); at most {upper:.2f} with 95 %",
        )  # fmt: skip
    found = [_fault(place, rate, history, seed) for place in PLACES for rate in RATES for history in HISTORIES for seed in seeds(rounds)]  # fmt: skip
    known = [each for each in found if each.windows < 99]
    for rate in RATES:
        made = {words: [_fault(PLACES[0], rate, history, seed).windows for seed in seeds(rounds if history <= DAY else min(rounds, 3))] for words, history in SIDE_BY_SIDE.items()}  # fmt: skip
        yield _side_by_side(f"incidents-detect-{rate}", f"{100 * rate:g} % of all calls failing", made)
    made = {
        words: [_slowed(history, seed) for seed in seeds(min(rounds, 3))] for words, history in SIDE_BY_SIDE.items()
    }
    yield _side_by_side("incidents-detect-slow", "2 % of calls ten times as slow", made)
    yield Figure("incidents-found", f"faults found within {AFTER} windows", [len(known) / len(found)], unit="of 1")
    yield Figure("incidents-place", "place exact, of those found", [np.mean([e.exact for e in known])], unit="of 1")
    yield Figure("incidents-onset", "onset within a window", [np.mean([e.off <= 1 for e in known])], unit="of 1")
    yield _cost(rounds)
    yield from _check_costs(rounds)
    yield from _traffic(rounds)


def _side_by_side(key: str, what: str, took: dict[str, list[int]]) -> Figure:
    """Return the windows until *what* is found, with the medians by length of history."""
    medians = {words: float(np.median(each)) for words, each in took.items()}
    said = ", ".join(f"{median:g} after {words}" for words, median in medians.items())
    return Figure(key, f"windows until {what} are found", [number for each in took.values() for number in each], unit="windows", absolute=said)  # fmt: skip


def _slowed(history: int, seed: int) -> int:
    """Return the windows until two calls in a hundred that take ten times as long are found after *history* minutes; 99 for never."""
    rng = np.random.default_rng((seed, history))
    keys = series(2)
    made = calls(rng, history + AFTER, keys, 1500.0)
    tables = slow(LATENCIES["wandering"](rng, history + AFTER), 0.02, 10, history)
    windows = timed(rng, Traffic(keys, made, np.zeros_like(made)), tables)
    onset_ns = START_NS + history * MINUTE_NS
    opened = [span.opened_ns for span in slow_spans(make_table("m", windows), windows).spans if span.opened_ns]
    return min((round((at - onset_ns) / MINUTE_NS) for at in opened if at > onset_ns), default=99)


def _traffic(rounds: int) -> Iterator[Figure]:
    """Yield false pages and tickets of the traffic check, and how long half of the calls are gone before it says so."""
    keys, found = series(2, region=4), []
    for name, world in VOLUMES.items():
        for seed in seeds(rounds):
            rng = np.random.default_rng((seed, 41))
            grid = make_volume_grid(rng, world(rng, WEEK, float(rng.choice([60, 600, 1500]))), keys)
            found += [(severity_of(grid, each), name) for each in find_traffic(grid).incidents]
    weeks = rounds * len(VOLUMES)
    for what in ("page", "ticket"):
        seen = [name for severity, name in found if severity == what]
        upper = (len(seen) + 1.96 * np.sqrt(len(seen) + 1) + 1.92) / weeks * 4
        yield Figure(
            f"incidents-traffic-false-{what}s", f"false {what}s per model-month, {weeks} model-weeks, traffic", [4 * len(seen) / weeks],
            unit="per month", absolute=f"{len(seen)} ({', '.join(sorted(set(seen))) or 'none'}); at most {upper:.2f} with 95 %",
        )  # fmt: skip
    for history in (*HISTORIES, 3 * DAY):
        took = [_halved(history, seed) for seed in seeds(2 * rounds)]
        yield Figure(f"incidents-traffic-detect-{history}", f"windows until half of the calls gone is found, {history} min of history", took, unit="windows")  # fmt: skip


def _halved(history: int, seed: int) -> int:
    rng = np.random.default_rng((seed, history))
    keys, minutes = series(2, region=4), history + AFTER
    factors = np.where(np.arange(minutes) < history, 1.0, np.full((len(keys), minutes), 0.5))
    grid = make_volume_grid(rng, VOLUMES["lull"](rng, minutes, 1500.0), keys, rough=0.05, factors=factors)
    opened = [each.excursion.opened for each in find_traffic(grid).incidents if each.place == PlaceName()]
    return next((look - history + 1 for look in opened if look >= history), 99)


def _healthy(name: str, seed: int) -> list[str]:
    rng = np.random.default_rng((seed, 23))
    keys = series(2, region=8)
    made = calls(rng, WEEK, keys, float(rng.choice([60, 600, 1500])))
    table = Traffic(keys, made, WORLDS[name](rng, made)).table()
    found = find_failures(table)
    return [failure_finding(table, found, incident, wants_past=True).severity for incident in found.incidents]


def _fault(place: tuple[str, str, PlaceName], rate: float, history: int, seed: int) -> Found:
    version, cohort, name = place
    rng = np.random.default_rng((seed, history))
    keys = series(2, region=5, plan=3)
    made = calls(rng, history + AFTER, keys, 1500.0)
    traffic = Traffic(keys, made, failing(rng, made, 1e-4))
    found = find_failures(plant(rng, traffic, rate, history, version=version, cohort=cohort).table())
    opened = [incident for incident in found.incidents if incident.opened >= history]
    if not opened:
        return Found(99, exact=False, off=99)
    first = opened[0]
    exact = len(opened) == 1 and [found.places.names[index] for index in first.cover.places] == [name]
    return Found(first.opened - history + 1, exact, abs(first.onset - history))


def _check_costs(rounds: int) -> Iterator[Figure]:
    """Yield the CPU of a whole diagnosis by length of history, as a store holds it: minutes of the last day, hours before."""
    rng = np.random.default_rng(2)
    keys = series(2, region=16)
    for days in (3, 10, 30):
        made = calls(rng, days * DAY, keys, 1500.0)
        windows = tiered(rng, Traffic(keys, made, failing(rng, made, 0.002)))
        took = []
        for _ in range(min(rounds, 3)):
            began = time.process_time()
            check(windows, {})
            took.append(time.process_time() - began)
        yield Figure(f"incidents-check-{days}d", f"a whole diagnosis of {days} days, 2 versions x 16 cohorts", took, unit="s", absolute=f"{len(windows)} windows")  # fmt: skip


def _cost(rounds: int) -> Figure:
    rng = np.random.default_rng(1)
    keys = series(2, region=16)
    made = calls(rng, MONTH, keys, 1500.0)
    table = Traffic(keys, made, failing(rng, made, 0.002)).table()
    took = []
    for _ in range(min(rounds, 3)):
        began = time.process_time()
        find_failures(table)
        took.append(time.process_time() - began)
    each = 1e6 * float(np.median(took)) / table.size
    return Figure("incidents-cost", "failures of 28 days of minutes, 2 versions x 16 cohorts", took, unit="s", absolute=f"{each:.0f} us per window")  # fmt: skip
