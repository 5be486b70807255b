"""Where a new version is worse: every kind of place is named, and only it."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.canary.measures import measure_of_shares
from radiosonde.diagnose.canary.places import find_worse, make_places
from radiosonde.model import OVERFLOW_COHORT, parse_cohort

COHORTS = tuple(f"plan=p{plan},region=r{region}" for plan in range(3) for region in range(4))
LIMIT = float(np.log(1 / 0.05))


def measured(rng, bad, *, steps=90, calls=20, base=0.02, added=0.3, cohorts=COHORTS):
    """Return failures of a rollout whose new version fails more where *bad* says so."""
    size = len(cohorts)
    trials, old_trials = rng.poisson(calls, (size, steps)), rng.poisson(9 * calls, (size, steps))
    rates = np.array([base + added * bad(parse_cohort(cohort)) for cohort in cohorts])[:, None]
    hits, old_hits = rng.binomial(trials, rates), rng.binomial(old_trials, base)
    nothing = np.zeros((size, 0), np.int64)
    return measure_of_shares("errors", 0.005, [(hits, old_hits, nothing)], [(trials, old_trials, nothing)])


PLACES = {
    "": lambda _: True,
    "region=r1": lambda cell: cell["region"] == "r1",
    "plan=p2": lambda cell: cell["plan"] == "p2",
    "plan=p0,region=r3": lambda cell: (cell["plan"], cell["region"]) == ("p0", "r3"),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_place_that_explains_it_is_named(name, seed):
    """The whole version, a value of either dimension, or a pair: nothing wider, nothing beside it."""
    measure = measured(np.random.default_rng(seed), PLACES[name])
    found = find_worse(measure, make_places(COHORTS, np.ones(12)), LIMIT)
    assert [problem.cohort for problem in found] == [name]


def test_two_places_that_have_nothing_in_common_are_both_named():
    """A second culprit is not hidden by the first."""
    measure = measured(np.random.default_rng(3), lambda cell: (cell["plan"], cell["region"]) in {("p0", "r0"), ("p2", "r3")})  # fmt: skip
    found = find_worse(measure, make_places(COHORTS, np.ones(12)), LIMIT)
    assert sorted(problem.cohort for problem in found) == ["plan=p0,region=r0", "plan=p2,region=r3"]


@pytest.mark.parametrize(("hits", "is_worse"), [([8, 0, 0, 0], False), ([8, 8, 0, 0], False), ([8, 8, 8, 8], True)])
def test_two_requests_that_were_tried_again_are_no_fault(hits, is_worse):
    """Bursts in one or two windows of one cohort decide nothing; four do."""
    cohorts = ("group=a", "group=b", "group=c")
    trials, old_trials = np.full((3, 40), 10), np.full((3, 40), 90)
    failed = np.zeros((3, 40), np.int64)
    failed[1, 10:14] = hits
    nothing = np.zeros((3, 0), np.int64)
    measure = measure_of_shares("errors", 0.005, [(failed, np.zeros((3, 40), np.int64), nothing)], [(trials, old_trials, nothing)])  # fmt: skip
    assert bool(find_worse(measure, make_places(cohorts, np.ones(3)), LIMIT)) is is_worse


def test_a_difference_below_half_the_margin_is_never_worse():
    """Two in a thousand, beside a margin of five, may be certain and still irrelevant."""
    measure = measured(np.random.default_rng(1), lambda _: True, steps=300, calls=400, base=0.005, added=0.0015)
    assert find_worse(measure, make_places(COHORTS, np.ones(12)), LIMIT) == []


def test_places_are_values_and_pairs_and_what_is_the_same_is_looked_at_once():
    """A dimension that says nothing new adds no place; the overflow cohort is none; the prices share one budget."""
    cohorts = ("plan=a,region=x,zone=1", "plan=b,region=x,zone=1", "plan=b,region=y,zone=2", OVERFLOW_COHORT)
    places = make_places(cohorts, np.array([3.0, 2.0, 1.0, 9.0]))
    assert places.names[0] == ""
    assert places.members[0].all()
    rows = {name: tuple(np.flatnonzero(member)) for name, member in zip(places.names, places.members, strict=True)}
    assert rows["region=x"] == (0, 1)
    assert rows["plan=b"] == (1, 2)
    assert "zone=1" not in rows
    assert len(set(rows.values())) == len(rows)
    assert np.exp(-places.prices).sum() == pytest.approx(1)
    assert not any(3 in rows[name] for name in places.names[1:])


def test_without_cohorts_the_whole_version_has_the_whole_budget():
    """No price is paid for places that do not exist."""
    assert make_places(("",), np.ones(1)).prices.tolist() == [0.0]
