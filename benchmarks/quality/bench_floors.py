"""Are detection floors honest: how often is a change found that is as large as the floor that was printed for it?

Each draw makes healthy data, takes the floor from the check, plants a change of just that size into new data of the same time, and asks the check
again. Nine in ten is what a floor promises; 80 to 97 % of 60 draws is what chance leaves of it. Where the floor was "nothing yet" there is nothing to plant;
such draws are counted apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import Figure, seeds
from benchmarks.quality.incidents.features import feature_panel, shifted, with_missing
from benchmarks.quality.incidents.latency import BOUNDS_S, MEDIAN_S, steady, table_of, timed
from benchmarks.quality.incidents.service import DAY, START_NS, Table, Traffic, calls, failing, plant, series
from benchmarks.quality.incidents.traffic import WORLDS, in_longer_steps, make_volume_grid
from benchmarks.quality.label_stream import DAY_S, Stream, stream, windows
from radiosonde.diagnose.check import check
from radiosonde.diagnose.data_findings import data_findings
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.feature_floors import feature_floors
from radiosonde.diagnose.floors import rate_floor
from radiosonde.diagnose.latency_floors import least_seen
from radiosonde.diagnose.latency_incidents import slow_spans
from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.panel import make_axis, make_panel
from radiosonde.diagnose.runtime_incidents import WATCHED, look_at_durations
from radiosonde.diagnose.traffic_days import DAY_NS, Days, day_change, floor_of
from radiosonde.diagnose.traffic_incidents import find_traffic
from radiosonde.quality import watch_feed
from tests.factories import make_durations, make_runtime_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radiosonde.diagnose.finding import Floor
    from radiosonde.model import Window

SEEDS = 60
MINUTE_NS = 60_000_000_000


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the share of draws found, per check; at least 60 draws each, four a round if that is more."""
    for name, (what, draw) in CHECKS.items():
        seen = [draw(seed) for seed in seeds(max(SEEDS, 4 * rounds))]
        known = [each for each in seen if each is not None]
        found = sum(known) / max(len(known), 1)
        blind = len(seen) - len(known)
        said = f"{sum(known)} of {len(known)}" + (f"; {blind} draws had no floor" if blind else "")
        yield Figure(f"floors-{name}", f"found at the floor: {what}", [found], unit="of 1", absolute=said)


def failures(seed: int, length: int, rate: float, per_minute: float) -> bool | None:
    """A rise of failing calls for *length* windows."""
    rng = np.random.default_rng((seed, length))
    keys = series(2, region=4)
    made = calls(rng, DAY, keys, per_minute)
    traffic = Traffic(keys, made, failing(rng, made, rate))
    floor = rate_floor(find_failures(traffic.table()).scan, length)
    if np.isnan(floor):
        return None
    traffic.failures[:, -length:] = failing(rng, made[:, -length:], floor)
    return any(each.onset >= DAY - 1.5 * length for each in find_failures(traffic.table()).incidents)


def beside_bursts(seed: int, length: int) -> bool | None:
    """A rise of failing calls for *length* windows, of a model in which three in a hundred calls fail for three minutes now and then."""
    rng = np.random.default_rng((seed, 31))
    keys = series(1)
    made = calls(rng, 600, keys, 600.0, swing=0.0)
    traffic = Traffic(keys, made, failing(rng, made, 0.001))
    for start in range(60, 480, 100):
        traffic = plant(rng, traffic, 0.03, start, start + 3)
    floor = rate_floor(find_failures(traffic.table()).scan, length)
    if np.isnan(floor):
        return None
    traffic.failures[:, -length:] = failing(rng, made[:, -length:], floor)
    return any(each.onset >= 600 - 1.5 * length for each in find_failures(traffic.table()).incidents)


def latency(
    seed: int, length: int, per_minute: float, world: Callable[[np.random.Generator, int], Table]
) -> bool | None:
    """A rise of calls above the bound of the floor, for *length* windows; found is what is reported."""
    rng = np.random.default_rng((seed, 5))
    keys, minutes = series(1), 300
    made = calls(rng, minutes, keys, per_minute)
    traffic, tables = Traffic(keys, made, np.zeros_like(made)), world(rng, minutes)
    before = timed(rng, traffic, tables)
    table = make_table("m", before)
    least = least_seen(make_panel("m", before, make_axis(before)), table, slow_spans(table, before))
    if least is None or np.isnan(floor := rate_floor(least.above.scan, length)):
        return None
    floor, above = max(floor, least.share), least.above.bound_s * (1 + 1e-9) < BOUNDS_S
    beyond = np.where(above, table_of(1.1 * least.above.bound_s, 0.2), 0.0)
    kept = np.where(above, 0.0, tables[-length:])
    tables[-length:] = (1 - floor) * kept / kept.sum(axis=1, keepdims=True) + floor * beyond / beyond.sum()
    later = [*before[:-length], *timed(rng, traffic, tables)[-length:]]  # one series: a window a minute
    return any(finding.kind == "latency" for finding in check(later, {}).findings)


def neighbour(rng: np.random.Generator, minutes: int) -> Table:
    """All calls are up to three times as slow for some minutes, as beside a busy neighbour."""
    return np.stack([table_of(MEDIAN_S * factor) for factor in np.repeat(rng.lognormal(0.0, 0.5, minutes // 10), 10)])


def traffic(seed: int) -> bool | None:
    """A drop of all calls for three windows."""
    rng = np.random.default_rng((seed, 5))
    healthy = make_volume_grid(rng, WORLDS["season"](rng, 600, 1500.0), series(2, region=4), rough=0.05)
    floor = find_traffic(healthy).floor.fall
    if np.isnan(floor):
        return None
    made = healthy.calls.copy()
    made[:, -3:] = rng.binomial(made[:, -3:].astype(int), np.exp(-floor))
    return any(each.place.parts == 0 for each in find_traffic(healthy._replace(calls=made)).incidents)


def traffic_by_hour(seed: int) -> bool | None:
    """A drop of all calls for two windows of an hour, after sixteen days."""
    rng = np.random.default_rng((seed, 6))
    minutes = 16 * DAY + 8 * 60
    healthy = in_longer_steps(make_volume_grid(rng, WORLDS["lull"](rng, minutes, 300.0), series(2, region=4)), 60)
    floor = find_traffic(healthy).floor.fall
    if np.isnan(floor):
        return None
    made = healthy.calls.copy()
    made[:, -2:] = rng.binomial(made[:, -2:].astype(int), np.exp(-floor))
    return any(each.place.parts == 0 for each in find_traffic(healthy._replace(calls=made)).incidents)


def job(seed: int) -> bool | None:
    """Fewer calls of a nightly job, one night."""
    rng = np.random.default_rng((seed, 7))
    start_ns = START_NS + np.arange(14, dtype=np.int64) * DAY_NS
    calls = rng.poisson(3000 * rng.lognormal(0.0, 0.05, 14)).astype(float)
    floor = floor_of(Days(start_ns, calls, calls, int(start_ns[-1]) + DAY_NS))
    if floor is None or floor[2] > 1:
        return None
    calls[-1] = rng.poisson(floor[0] * float(np.median(calls[:-1])))
    change = day_change(Days(start_ns, calls, calls, int(start_ns[-1]) + DAY_NS))
    return change is not None and change.is_fall


def runtime(seed: int) -> bool | None:
    """A rise of long garbage collections."""
    rng = np.random.default_rng((seed, 9))
    long = rng.binomial(60, 0.0005, 360)

    def lived() -> list[Window]:
        return [
            make_runtime_window(
                minute * MINUTE_NS, (minute + 1) * MINUTE_NS, gc_pauses=make_durations([0.001] * (60 - count) + [2.0] * count)
            )
            for minute, count in enumerate(long)
        ]  # fmt: skip

    watched = WATCHED[0]
    floor, length = look_at_durations(watched, lived()).floor
    if np.isnan(floor):
        return None
    long[-length:] = rng.binomial(60, floor, length)
    return any(each.onset >= 360 - 1.5 * length - 2 for each in look_at_durations(watched, lived()).incidents)


def missing(seed: int) -> bool | None:
    """A rise of missing values for a day."""
    rng = np.random.default_rng((seed, 11))
    panel = feature_panel(rng)
    floor = _named(feature_floors(panel), "missing values", panel.names[0])
    if np.isnan(floor):
        return None
    found, _ = data_findings(with_missing(rng, panel, 0, floor, 24))
    return any(finding.name == f"data.missing.{panel.names[0]}" for finding in found)


def level(seed: int) -> bool | None:
    """A shift of the level for a quarter of the time."""
    rng = np.random.default_rng((seed, 12))
    panel = feature_panel(rng, days=28)
    floor = next((each.value for each in feature_floors(panel) if each.unit == "sd"), float("nan"))
    if np.isnan(floor):
        return None
    found, _ = data_findings(shifted(rng, panel, floor, 7 * 24))
    return len([finding for finding in found if finding.name.startswith("drift.location")]) > len(panel.names) // 2


def silence(seed: int) -> bool | None:
    """No label, for as long as the floor says."""
    days = 14.0
    made = _quick(days, seed)
    floor = watch_feed(windows(made, as_of_s=days * DAY_S, step_s=3600.0)).floor_s
    if np.isnan(floor):
        return None
    stopped = windows(made, as_of_s=days * DAY_S, step_s=3600.0, stopped_s=days * DAY_S - floor)
    return watch_feed(stopped).is_broken


def wrong(seed: int) -> bool | None:
    """More wrong answers for a quarter of the time."""
    days = 16.0
    made = _quick(days, seed)
    diagnosis = check(windows(made, as_of_s=days * DAY_S, step_s=3600.0), {})
    floors = [floor for entry in diagnosis.checked if entry.subject == "labels" for floor in entry.floors]
    if not floors or np.isnan(floors[0].value):
        return None
    rng = np.random.default_rng((seed, 13))
    flipped = (made.at_s >= 0.75 * days * DAY_S) & ~made.is_wrong
    flipped &= rng.random(flipped.size) < floors[0].value / (1 - made.is_wrong.mean())
    worse = Stream(made.at_s, made.score, np.where(flipped, 1 - made.label, made.label), made.lag_s)
    found = check(windows(worse, as_of_s=days * DAY_S, step_s=3600.0), {}).findings
    return any(finding.kind == "quality" for finding in found)


def _quick(days: float, seed: int) -> Stream:
    """Return a stream whose labels take hours, of either class."""
    made = stream(days, seed=seed)
    lag_s = 4 * 3600.0 * np.exp(np.random.default_rng(seed).normal(0, 0.8, made.at_s.size))
    return Stream(made.at_s, made.score, made.label, lag_s)


def _named(floors: list[Floor], words: str, feature: str) -> float:
    return next((floor.value for floor in floors if words in floor.text and floor.text.endswith(f" {feature}")), float("nan"))  # fmt: skip


CHECKS: dict[str, tuple[str, Callable[[int], bool | None]]] = {
    "failures-2": ("failing calls, two windows, next to none before", lambda seed: failures(seed, 2, 1e-5, 600.0)),
    "failures-60": ("failing calls, an hour, 0.1 % before", lambda seed: failures(seed, 60, 1e-3, 600.0)),
    "failures-500": ("failing calls, eight hours, 1 % before", lambda seed: failures(seed, 500, 1e-2, 100.0)),
    "failures-bursts": ("failing calls, two windows, beside usual bursts", lambda seed: beside_bursts(seed, 2)),
    "failures-bursts-32": ("failing calls, half an hour, beside usual bursts", lambda seed: beside_bursts(seed, 32)),
    "latency": ("slow calls, two windows", lambda seed: latency(seed, 2, 400.0, steady)),
    "latency-busy": (
        "slow calls, two windows, beside a busy neighbour",
        lambda seed: latency(seed, 2, 400.0, neighbour),
    ),
    "traffic-hours": ("all calls dropping, two windows of an hour", traffic_by_hour),
    "traffic-job": ("calls of a nightly job, one night", job),
    "traffic": ("all calls dropping, three windows", traffic),
    "runtime": ("long garbage collections", runtime),
    "missing": ("missing values of a feature, a day", missing),
    "level": ("level of half of the features, a week", level),
    "label-silence": ("no label", silence),
    "label-wrong": ("wrong answers, a quarter of the time", wrong),
}
