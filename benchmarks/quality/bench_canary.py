"""Can the verdict on a canary be trusted: false verdicts when it is asked for every minute, rows until a fault is named, forecasts.

Every look at a rollout is made at once, because evidence that passed its price at any minute counts. Healthy: each family of
`canary.WORLDS` in turn, three hours of all four measures in six cohorts, and eight hours of failures in 57 cohorts. Faults: a cohort with 2 % of the calls of a
canary of 10 % of 2 000 calls a minute, beside 56 others; and one kind of fault per measure. Intervals are Clopper and Pearson's.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._measure import Figure, seeds
from benchmarks.quality.incidents import canary as rollouts
from radiosonde.diagnose.canary import MARGINS, judge_rollout, make_rollout
from radiosonde.diagnose.canary.measures import Measure, measure_of_shares
from radiosonde.diagnose.canary.places import find_worse, make_places
from radiosonde.diagnose.canary.verdict import FALSE_ALARMS, SHARES, judge_measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radiosonde.diagnose.canary import CanaryReport

COHORTS, SMALL, SEEDS = 57, 0.02, 40
NAMES = tuple(f"group=g{index:02d}" for index in range(COHORTS))
STRENGTHS = (("all", 0.002, 1.0), ("half", 0.05, 0.5), ("rare20", 0.002, 0.2), ("plus20", 0.05, 0.2))
"""The bad cohort: its name, the failure rate of all others, and the rate added to it."""
ARMS = {
    "errors": rollouts.Fault(failing=0.03),
    "latency": rollouts.Fault(slower=1.6),
    "labels": rollouts.Fault(wrong=0.08),
    "confidence": rollouts.Fault(unsure=0.15),
}
NEVER = 1_000_000


class Named(NamedTuple):
    """When a fault was named: canary rows until then, and whether the name is exact."""

    rows: int
    is_exact: bool


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of healthy rollouts, of the bad cohort, and of a fault of each measure."""
    yield from _healthy(rounds)
    for name, base, added in STRENGTHS:
        named = [_bad_cohort(seed, base, added) for seed in seeds(SEEDS)]
        rows = [each.rows for each in named]
        words = (
            "all of its calls fail"
            if added == 1
            else f"{100 * added:.0f} points more of its calls fail, beside {100 * base:g} %"
        )
        exact = sum(each.is_exact for each in named)
        yield Figure(
            f"canary-cohort-{name}", f"canary rows until a 2 % cohort is named, {words}", rows, unit="rows",
            absolute=f"90 % within {np.quantile(rows, 0.9):,.0f}; exact {exact} of {SEEDS}; no test names 90 % before {fewest_rows(base, added):,.0f}".replace(",", " "),
        )  # fmt: skip
    for subject, fault in ARMS.items():
        reports = [_rollout("steady", seed, fault, 180) for seed in seeds(max(rounds // 3, 3))]
        right = [[each.subject for each in report.worse] == [subject] for report in reports]
        yield Figure(f"canary-kind-{subject}", f"rollouts of three hours in which {subject} and nothing else is called worse", [float(np.mean(right))], unit="of 1")  # fmt: skip
    yield _after_a_slow_hour(rounds)
    yield _forecast(rounds)


def _after_a_slow_hour(rounds: int) -> Figure:
    """Say within how many minutes a new version that is 1.4 times as slow is named, after an hour in which both were eight times as slow."""
    minutes = []
    for seed in seeds(max(rounds, 3)):
        rng = np.random.default_rng((seed, 79))
        world = rollouts.slow_hour(rng, 6, 180, factor=8.0, calls=float(rng.choice([600, 1500])))
        made = rollouts.windows(rng, world, rollouts.Fault(slower=1.4, start=90))
        judged = [each for each in judge_rollout(make_rollout(made, None, None), MARGINS).worse if each.subject == "latency"]  # fmt: skip
        begin_ns = min(window.start_ns for window in made) + (60 + 90) * 60_000_000_000
        took = [(place.decided_ns - begin_ns) // 60_000_000_000 for each in judged for place in each.places]
        minutes.append(min((each for each in took if each >= 0), default=99))
    named = sum(each < 99 for each in minutes)
    return Figure("canary-slow-hour", "minutes until a slowdown by 1.4 is named, after an hour with both versions 8 times as slow", minutes, unit="min", absolute=f"{named} of {len(minutes)} named within 90")  # fmt: skip


def fewest_rows(base: float, added: float) -> int:
    """Return the canary rows below which no test names the bad cohort nine times in ten, with one false name in a hundred rollouts.

    The best test is granted more than ours has: a single look, and the rate of the old version known exactly. By Neyman and Pearson it counts
    the failures of the cohort; it has a share of the false names, as any cohort may be the bad one.
    """
    for rows in range(1, 2000):
        bad, usual = (_tails(rows, rate) for rate in (min(base + added, 1 - 1e-9), base))
        least = int(np.argmax(usual <= 0.01 / COHORTS))
        if usual[least] <= 0.01 / COHORTS and bad[least] >= 0.9:
            return round(rows / SMALL)
    return NEVER


def _tails(rows: int, rate: float) -> NDArray[np.float64]:
    """Return the probabilities of at least so many events, for 0 to *rows* of them."""
    counts = np.arange(rows + 1)
    logs = np.array([_log_choose(rows, int(count)) for count in counts])
    each = np.exp(logs + counts * np.log(rate) + (rows - counts) * np.log1p(-rate))
    return np.asarray(each[::-1].cumsum()[::-1], dtype=np.float64)


def _healthy(rounds: int) -> Iterator[Figure]:
    families = list(rollouts.WORLDS)
    reports = [_rollout(families[seed % len(families)], seed, rollouts.Fault(), 180) for seed in seeds(22 * rounds)]
    worse = [report for report in reports if report.worse or report.is_mismatch]
    kinds = sorted(
        {each.subject for report in worse for each in report.worse}
        | {"split" for report in worse if report.is_mismatch}
    )
    yield _rate(
        "canary-null",
        "healthy rollouts of 3 h, a look a minute, called worse or a mismatch",
        len(worse),
        len(reports),
        kinds,
    )
    decided = [report.status == "promote" for report in reports]
    yield Figure("canary-promoted", "healthy rollouts of 3 h that are promoted", [float(np.mean(decided))], unit="of 1")
    wide = [seed for seed in seeds(22 * rounds) if _wide_null(families[seed % len(families)], seed)]
    yield _rate(
        "canary-null-57",
        "healthy rollouts of 8 h with 57 cohorts, failures called worse",
        len(wide),
        22 * rounds,
        sorted({families[seed % len(families)] for seed in wide}),
    )


def _rate(name: str, what: str, hits: int, count: int, kinds: list[str]) -> Figure:
    low, high = clopper_pearson(hits, count)
    said = f"{hits} of {count}, 95 % interval {100 * low:.2g} to {100 * high:.2g} % ({', '.join(kinds) or 'none'})"
    return Figure(name, what, [100 * hits / count], unit="%", absolute=said)


def clopper_pearson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by bisection of the binomial tails."""

    def tail(rate: float, least: int) -> float:
        """Return the probability of *least* hits or more."""
        logs = [_log_choose(count, k) + k * np.log(rate) + (count - k) * np.log1p(-rate) for k in range(least)]
        return 1.0 - float(np.exp(logs).sum())

    def bisect(least: int, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, least) < wanted else (low, middle)
        return low

    return (bisect(hits, 0.025) if hits else 0.0, bisect(hits + 1, 0.975) if hits < count else 1.0)


@cache
def _log_choose(count: int, chosen: int) -> float:
    from math import lgamma

    return lgamma(count + 1) - lgamma(chosen + 1) - lgamma(count - chosen + 1)


def _rollout(world: str, seed: int, fault: rollouts.Fault, minutes: int) -> CanaryReport:
    rng = np.random.default_rng((seed, 61))
    made = rollouts.windows(rng, rollouts.WORLDS[world](rng, 6, minutes), fault)
    return judge_rollout(make_rollout(made, None, None), MARGINS)


def _wide_null(world: str, seed: int) -> bool:
    rng = np.random.default_rng((seed, 67))
    made = rollouts.counts(rng, rollouts.WORLDS[world](rng, COHORTS, 480))
    return bool(_worse(_failures(made, np.zeros((COHORTS, 0), np.int64), np.zeros((COHORTS, 0), np.int64))))


def _worse(measured: Measure) -> list[tuple[str, int]]:
    places = make_places(NAMES, measured.arms.trials.sum(axis=1).astype(np.float64))
    return [
        (each.cohort, each.decided)
        for each in find_worse(measured, places, -float(np.log(FALSE_ALARMS * SHARES["errors"])))
    ]


def _failures(made: tuple[NDArray[np.int64], ...], known_hits: NDArray[np.int64], known: NDArray[np.int64]) -> Measure:
    failed, calls, old_failed, old_calls = made
    return measure_of_shares(
        "errors", MARGINS["errors"], [(failed, old_failed, known_hits)], [(calls, old_calls, known)]
    )


def _bad_cohort(seed: int, base: float, added: float) -> Named:
    rng = np.random.default_rng((seed, 71))
    minutes = 90
    share = np.full(COHORTS, (1 - SMALL) / (COHORTS - 1))
    bad = seed % COHORTS
    share[bad] = SMALL
    calls = np.repeat(2000 * share[:, None], minutes, axis=1)
    world = rollouts.World(calls, np.full(minutes, 0.1), np.full((COHORTS, minutes), base))
    rate = world.failing.copy()
    rate[bad] = min(base + added, 1.0)
    known = rng.poisson(2000 * share[:, None], (COHORTS, 120))
    made, known_hits = rollouts.counts(rng, world, new_failing=rate), rng.binomial(known, base)
    found = _worse(_failures(made, known_hits, known))
    if not found:
        return Named(NEVER, is_exact=False)
    first = min(decided for _, decided in found) + 1
    early = (made[0][:, :first], made[1][:, :first], made[2][:, :first], made[3][:, :first])
    return Named(int(early[1].sum()), [name for name, _ in _worse(_failures(early, known_hits, known))] == [NAMES[bad]])


def _forecast(rounds: int) -> Figure:
    """Print how many rows it took until no difference was reported, over the forecast after twenty minutes."""
    ratios = []
    for seed in seeds(2 * rounds):
        rng = np.random.default_rng((seed, 73))
        world = rollouts.World(np.full((6, 400), 100.0), np.full(400, 0.1), np.full((6, 400), 0.01))
        made, none = rollouts.counts(rng, world), np.zeros((6, 0), np.int64)
        places = make_places(NAMES[:6], np.ones(6))

        def verdict(last: int, made: tuple[NDArray[np.int64], ...] = made, none: NDArray[np.int64] = none) -> Measure:
            return _failures(tuple(part[:, :last] for part in made), none, none)

        early = judge_measure(verdict(20), places, int)
        if early.rows_to_go is None:
            continue
        low, high = 20, 400
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (low, middle)
                if judge_measure(verdict(middle), places, int).verdict == "no difference"
                else (middle, high)
            )
        ratios.append(float(made[1][:, 20:high].sum() / early.rows_to_go))
    return Figure(
        "canary-forecast", "rows until no difference is shown, over those that were forecast", ratios, unit="x"
    )
