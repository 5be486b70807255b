"""A new mix of cohorts: split from changes within cohorts exactly, and named as what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.cohort_cells import cohorts, make_reference
from radiosonde.diagnose.check import check
from radiosonde.diagnose.mix import split_change

FEATURES, HOURS, ONSET = 4, 24 * 10, 24 * 7
REFERENCES = {("m", version): make_reference(FEATURES) for version in ("v1", "v2")}


def served(*, grown=(), arrived=(), unlike=(), lacking=(), moved=0.0, rollout=False):
    """Return the windows of ten days: cohorts that grow eightfold or arrive on day 8, that are unlike, and a level that moves then.

    A *rollout* of version 2, whose levels are higher, takes it from a tenth of the calls to half of them.
    """
    rng = np.random.default_rng(5)
    made = cohorts(rng, HOURS, per_minute=20.0, features=FEATURES, length=60)
    rows, levels = made.rows.copy(), np.zeros((len(made.keys), HOURS, FEATURES))
    missing = np.full(levels.shape, 0.01)
    for row, key in enumerate(made.keys):
        rows[row, ONSET:] *= 8 if key.cohort in grown or key.cohort in arrived else 1
        rows[row, :ONSET] *= key.cohort not in arrived
        levels[row] += 2.0 * (key.cohort in unlike)
        missing[row] += 0.3 * (key.cohort in lacking)
        levels[row, ONSET:] += moved
        if rollout and key.version == "v2":
            levels[row] += 1.5
            rows[row, ONSET:] *= 9
    return replace(made, rows=rows, levels=levels, missing=missing).windows(rng)


def named(windows):
    """Return the findings and notes on features, but for the volume of calls."""
    found = check(windows, REFERENCES)
    return {each.name: each for each in (*found.findings, *found.notes) if each.kind in ("drift", "data")}


@pytest.mark.parametrize("seed", range(20))
def test_mix_and_change_within_sum_up_to_the_change(seed):
    """For any counts, the two parts are the difference of the pooled means, to rounding."""
    rng = np.random.default_rng(seed)
    bottoms = rng.integers(1, 1000, (2, 5)).astype(float)
    tops = bottoms * rng.normal(0, 2, (2, 5))
    split = split_change(tops, bottoms)
    before, after = tops.sum(axis=1) / bottoms.sum(axis=1)
    assert split.mix + split.within == pytest.approx(after - before, abs=1e-9)


def test_the_parts_of_a_change_are_those_worked_out_by_hand():
    """Cohorts of means 0 and 1, whose weights go from 3:1 to 1:1 while the second mean becomes 2: the mix gives 1/4, the change within 1/2."""
    split = split_change(np.array([[0.0, 100.0], [0.0, 400.0]]), np.array([[300.0, 100.0], [200.0, 200.0]]))
    assert split == pytest.approx((0.25, 0.5))
    assert split.share == pytest.approx(1 / 3)


@pytest.mark.parametrize("emptied", [0, 1])
def test_a_cohort_that_is_new_or_gone_is_mix(emptied):
    """A cohort without rows before, or after, changes the mix only."""
    tops, bottoms = np.array([[10.0, 50.0], [10.0, 50.0]]), np.full((2, 2), 100.0)
    tops[emptied, 1] = bottoms[emptied, 1] = 0.0
    split = split_change(tops, bottoms)
    assert split.within == pytest.approx(0.0)
    assert split.mix == pytest.approx(0.2 if emptied == 0 else -0.2)


@pytest.mark.parametrize("cohort", ["region=r3", "region=r4"])
@pytest.mark.parametrize("how", ["grown", "arrived"])
def test_other_users_are_called_a_new_mix_with_the_cohorts_and_their_shares(how, cohort):
    """A cohort whose features are unlike grows, or is new: one finding on the mix and none on a feature."""
    found = named(served(**{how: (cohort,)}, unlike=(cohort,)))
    assert list(found) == [f"drift.mix.{cohort}"]
    (mix,) = found.values()
    assert mix.severity == "ticket"
    assert mix.where.cohort == cohort
    assert f"the mix of cohorts changed: {cohort} from " in mix.title
    share = 0.1 if cohort == "region=r3" else 0.08
    told = {item.name: item.value for item in mix.evidence}
    assert told[f"share_{cohort}"] == pytest.approx(8 * share / (1 + 7 * share), abs=0.03)
    assert all(value >= 0.7 for name, value in told.items() if name.startswith("mix_"))


def test_missing_values_of_users_who_always_lacked_them_are_mix():
    """A cohort without a third of its values grows: more values are missing, and no pipeline broke."""
    found = named(served(grown=("region=r3",), lacking=("region=r3",)))
    assert "drift.mix.region=r3" in found
    assert not [name for name in found if name.startswith("data.missing")]


def test_a_change_within_cohorts_is_no_mix():
    """A level that moves everywhere stays a drift of its feature, with no word of a mix."""
    found = named(served(moved=1.0))
    assert "drift.location.x0" in found
    assert not [name for name in found if "mix" in name]
    assert not [item for item in found["drift.location.x0"].evidence if item.name == "mix"]


def test_a_change_of_both_keeps_the_drift_and_states_the_part_of_the_mix():
    """A level that moves while the mix changes is a drift of which the mix explains a stated part."""
    found = named(served(grown=("region=r3",), unlike=("region=r3",), moved=1.0))
    assert "drift.location.x0" in found
    assert not [name for name in found if "mix" in name]
    (part,) = [item for item in found["drift.location.x0"].evidence if item.name == "mix"]
    assert 0.1 <= part.value < 0.7


def test_what_a_new_version_does_to_its_features_is_no_mix():
    """Version 2 computes higher values and takes over half of the calls, of all cohorts alike: the features moved, not the users."""
    found = named(served(rollout=True))
    assert "drift.location.x0" in found
    assert not [name for name in found if "mix" in name]
