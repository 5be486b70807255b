"""The catalogue of incidents of a service: each with its true kind, place and onset, as windows that a store would hold.

Six hours of healthy minutes of two versions (a canary and a stable one) and four regions, then half an hour of the incident. Kinds are those of findings. Every
member is seeded by the caller and knows nothing of diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.incidents.latency import BOUNDS_S, MEDIAN_S, table_of
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, is_member, plant, series
from radiosonde.model import RUNTIME_KEY, DurationCounts, LatencyCounts, RuntimeCounts, SeriesKey, Window

HISTORY, AFTER = 360, 30
MINUTES = HISTORY + AFTER
PLACES = (
    ("", ""), ("v2", ""), ("v1", ""), ("", "region=r1"), ("", "region=r3"), ("v2", "region=r1"), ("v1", "region=r2"),
)  # fmt: skip
_USUAL: dict[str, Any] = {"observed_s": 60.0, "cpu_s": 30.0, "periods": 600, "cores": 2.0, "run_delay_s": 1.0, "cpu_stalled_s": 2.0, "io_stalled_s": 0.5}  # fmt: skip


class Incident(NamedTuple):
    """A member of the catalogue.

    Attributes:
        name: unique name.
        finding: what the name of the finding begins with.
        version: version it is confined to; ``""`` for all.
        cohort: cohort it is confined to; ``""`` for all.
        build: makes its windows.
        causes: the likeliest cause in a right verdict; two where the recorded data cannot distinguish them.
    """

    name: str
    finding: tuple[str, ...]
    version: str
    cohort: str
    build: Callable[[np.random.Generator], list[Window]]
    causes: tuple[str, ...] = ("host",)


class Slow(NamedTuple):
    """Calls that are slow: a share of those of a place takes so many times as long."""

    share: float
    factor: float
    version: str = ""
    cohort: str = ""


def served(rng: np.random.Generator, *, rate: float = 0.001) -> Traffic:
    """Return healthy traffic of all minutes."""
    keys = series(2, region=4)
    made = calls(rng, MINUTES, keys, 1500.0, swing=0.3)
    return Traffic(keys, made, failing(rng, made, rate))


def timed(rng: np.random.Generator, traffic: Traffic, slow: Slow | None = None) -> list[Window]:
    """Return the windows of *traffic*, with calls that are *slow* from the onset on."""
    usual, late = table_of(MEDIAN_S), table_of(MEDIAN_S * (slow.factor if slow else 1.0))
    made = []
    for window in traffic.windows():
        is_ill = slow is not None and window.start_ns >= START_NS + HISTORY * MINUTE_NS
        table = usual
        if slow is not None and is_ill and is_member(window.key, slow.version, slow.cohort):
            table = (1 - slow.share) * usual + slow.share * late
        counts = rng.multinomial(window.calls, table)
        sums = counts * BOUNDS_S
        edges = np.array([window.calls, 0])
        latency = LatencyCounts(counts, sums, ("work",), sums[None] * 0.9, (0.01,), edges)
        made.append(replace(window, latency=latency))
    return made


def lived(rng: np.random.Generator, since: dict[str, Any] | None = None, first: int = HISTORY) -> list[Window]:
    """Return the health of the process, with the fields *since* from minute *first* on."""
    made = []
    blank = Traffic([SeriesKey("m")], np.ones((1, 1)), np.zeros((1, 1))).windows()[0]
    for minute in range(MINUTES):
        usual = {name: value * float(np.exp(rng.normal(0, 0.1))) if name.endswith("_s") and name != "observed_s" else value for name, value in _USUAL.items()}  # fmt: skip
        fields = {**usual, "gc_pauses": durations([0.002] * 20), **((since or {}) if minute >= first else {})}
        start_ns = START_NS + minute * MINUTE_NS
        none = replace(blank.latency, counts=blank.latency.counts * 0, sums_s=blank.latency.sums_s * 0, phase_sums_s=blank.latency.phase_sums_s * 0, edge_counts=blank.latency.edge_counts * 0)  # fmt: skip
        made.append(replace(blank, key=RUNTIME_KEY, start_ns=start_ns, end_ns=start_ns + MINUTE_NS, calls=0, rows=0, latency=none, runtime=RuntimeCounts(**fields)))  # fmt: skip
    return made


def durations(seconds: list[float]) -> DurationCounts:
    """Return the table of *seconds*."""
    counts = np.bincount(np.searchsorted(BOUNDS_S, seconds), minlength=BOUNDS_S.size).astype(np.int64)
    return DurationCounts(counts, float(sum(seconds)))


def _failing(version: str, cohort: str, rate: float) -> Incident:
    kind = "version.errors" if version else "cohort.errors" if cohort else "errors.errors"
    place = f"{version or 'all'} {cohort or 'all'}"
    return Incident(f"{100 * rate:g} % of calls fail, {place}", (kind,), version, cohort, lambda rng: timed(rng, plant(rng, served(rng), rate, HISTORY, version=version, cohort=cohort)), ("version",) if version else ("data",) if cohort else ("backend",))  # fmt: skip


def _slow(share: float, factor: float, version: str = "", cohort: str = "") -> Incident:
    place = f"{version or 'all'} {cohort or 'all'}"
    return Incident(f"{100 * share:g} % of calls take {factor:g} times as long, {place}", ("latency.",), version, cohort, lambda rng: timed(rng, served(rng), Slow(share, factor, version, cohort)), ("version",) if version else ("backend", "data") if cohort else ("backend",))  # fmt: skip


def _moved(factor: float, cohort: str = "") -> Incident:
    def build(rng: np.random.Generator) -> list[Window]:
        traffic = served(rng)
        rows = np.array([is_member(key, "", cohort) for key in traffic.keys])
        inside = np.ix_(rows, np.arange(HISTORY, MINUTES))
        rate = traffic.failures[inside] / np.maximum(traffic.calls[inside], 1)
        traffic.calls[inside] = rng.poisson(traffic.calls[inside] * factor)
        traffic.failures[inside] = rng.binomial(traffic.calls[inside].astype(int), rate)
        return timed(rng, traffic)

    return Incident(f"calls x {factor:g}, {cohort or 'all'}", ("traffic.",), "", cohort, build, ("traffic",))


def _stalled(field: str, seconds: list[float], *, slow: bool) -> Incident:
    def build(rng: np.random.Generator) -> list[Window]:
        return [
            *timed(rng, served(rng), Slow(0.1, 30) if slow else None), *lived(rng, {field: durations(seconds)})
        ]  # fmt: skip

    return Incident(f"{field} of {max(seconds):g} s{', calls slow' if slow else ''}", (f"runtime.{field}",), "", "", build)  # fmt: skip


def _short(name: str, since: dict[str, Any], share: float) -> Incident:
    def build(rng: np.random.Generator) -> list[Window]:
        return [*timed(rng, served(rng), Slow(share, 10)), *lived(rng, since)]

    return Incident(f"{name}, {100 * share:g} % of calls slow", (f"runtime.{name}",), "", "", build)


def _leak(per_minute: float) -> Incident:
    def build(rng: np.random.Generator) -> list[Window]:
        health = lived(rng)
        limit = 1 << 30
        for minute, window in enumerate(health):
            used = 0.5 + per_minute * max(minute - 120, 0) + rng.normal(0, 0.003)
            if window.runtime is not None:
                grown = replace(window.runtime, memory_limit_bytes=limit, memory_bytes=int(limit * min(used, 0.99)))
                health[minute] = replace(window, runtime=grown)
        return [*timed(rng, served(rng)), *health]

    return Incident(f"memory grows by {100 * per_minute:g} % a minute", ("runtime.memory",), "", "", build)


def _silent(rng: np.random.Generator) -> list[Window]:
    traffic = served(rng)
    traffic.calls[:, HISTORY:] = traffic.failures[:, HISTORY:] = 0
    return [*timed(rng, traffic), *lived(rng)]


def catalogue() -> Iterator[Incident]:
    """Yield every incident of a service."""
    for version, cohort in PLACES:
        for rate in (0.02, 0.1, 0.5):
            yield _failing(version, cohort, rate)
    for share, factor in ((0.02, 12), (0.1, 10), (0.3, 5), (1.0, 3)):
        yield _slow(share, factor)
    for version, cohort in PLACES[1:]:
        for share, factor in ((0.1, 10), (1.0, 3)):
            yield _slow(share, factor, version, cohort)
    for factor in (0.0, 0.3, 0.5):
        yield _moved(factor, "region=r1")
    for factor in (0.2, 0.5):
        yield _moved(factor)
    yield _moved(2.0, "region=r2")
    yield Incident("no call arrives", ("traffic.",), "", "", _silent, ("traffic",))
    for slow in (False, True):
        yield _stalled("gc_pauses", [0.002] * 20 + [2.0] * 2, slow=slow)
        yield _stalled("gc_pauses", [0.002] * 20 + [0.3] * 6, slow=slow)
        yield _stalled("loop_lags", [0.002] * 200 + [1.5] * 10, slow=slow)
        yield _stalled("pool_waits", [5.0] * 20, slow=slow)
    for share in (0.1, 1.0):
        yield _short("throttling", {"throttled_periods": 400}, share)
        yield _short("run_queue", {"run_delay_s": 60.0}, share)
        yield _short("memory_stall", {"memory_stalled_s": 25.0}, share)
        yield _short("io_stall", {"io_stalled_s": 40.0}, share)
    for per_minute in (0.0007, 0.0015):
        yield _leak(per_minute)
