"""An incident of yesterday is excluded from the baseline: it neither hides a bad canary nor blames a good one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.canary import Fault, World, windows
from benchmarks.quality.incidents.latency import BOUNDS_S, table_of
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS
from radiosonde.diagnose.canary import MARGINS, judge_rollout, make_rollout

HISTORY, MINUTES = 240, 60


def rollout(fault, outage=None, start=120, end=180, *, seed=3):
    """Return windows of four hours of the old version, with an *outage* in minutes of them, and an hour of both; 600 calls a minute."""
    rng = np.random.default_rng(seed)
    rate = np.full((3, MINUTES), 0.01)
    world = World(np.full((3, MINUTES), 200.0), np.full(MINUTES, 0.1), rate, 1, np.full(MINUTES, 0.01))
    made = windows(rng, world, fault, history=HISTORY)
    if outage is None:
        return made
    ill = range(start, end)
    return [outage(rng, each) if (each.start_ns - START_NS) // MINUTE_NS in ill else each for each in made]


def half_failing(_rng, window):
    """Return *window* with half of its calls failing."""
    return replace(window, errors={"TimeoutError": window.calls // 2})


def few_failing(_rng, window):
    """Return *window* with a tenth of its calls failing."""
    return replace(window, errors={"TimeoutError": window.calls // 10})


def slow(rng, window):
    """Return *window* with calls that take five times as long."""
    counts = rng.multinomial(window.calls, table_of(0.05))
    sums = counts * BOUNDS_S
    return replace(window, latency=replace(window.latency, counts=counts, sums_s=sums, phase_sums_s=0.9 * sums[None]))


def judged(made):
    """Return the report on a rollout."""
    return judge_rollout(make_rollout(made, None, None), MARGINS)


@pytest.mark.parametrize("outage", [half_failing, few_failing, slow], ids=["half fail", "a tenth fails", "slow"])
@pytest.mark.parametrize(
    ("fault", "subject"),
    [(Fault(slower=1.6), "latency"), (Fault(failing=0.03), "errors"), (Fault(failing=0.2, cohort=1), "errors")],
    ids=["slow canary", "failing canary", "one cohort fails"],
)
def test_a_bad_canary_is_named_as_soon_after_an_outage_as_without_one(fault, subject, outage):
    """An hour of failing or slow calls two hours ago costs two minutes at most, and the report says that it was left out."""
    without_one = judged(rollout(fault))
    (wanted,) = next(each for each in without_one.measures if each.subject == subject).places
    report = judged(rollout(fault, outage))
    (found,) = next(each for each in report.measures if each.subject == subject).places
    assert found.cohort == wanted.cohort
    assert abs(found.decided_ns - wanted.decided_ns) <= 2 * MINUTE_NS
    assert len(report.without) == 1
    assert "of v1/stable" in report.without[0]
    assert without_one.without == ()


@pytest.mark.parametrize("outage", [half_failing, slow])
@pytest.mark.parametrize("seed", range(3))
def test_a_good_canary_after_an_outage_is_not_called_worse(outage, seed):
    """Excluding part of the past makes no version look worse."""
    assert judged(rollout(Fault(), outage, seed=seed)).status in {"promote", "keep going"}


def test_what_goes_on_when_the_rollout_begins_is_what_the_old_version_does():
    """Both versions fail half of their calls from before the rollout on: nothing is excluded and no version is blamed."""
    report = judged(rollout(Fault(), half_failing, HISTORY - 40, HISTORY + MINUTES))
    assert report.without == ()
    assert not [each for each in report.measures if each.verdict == "worse"]
