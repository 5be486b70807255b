"""Sample-ratio mismatch: found where it is, silent on every healthy way to split."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.canary.places import make_places
from radiosonde.diagnose.canary.ratio import check_ratio

COHORTS = tuple(f"region=r{index}" for index in range(6))
PLACES = make_places(COHORTS, np.ones(6))


def split(rng, share, *, calls=300, session=1):
    """Return calls of both versions when each session is drawn by *share*, of shape (cohorts, steps)."""
    sessions = rng.poisson(calls / session, share.shape)
    new = rng.binomial(sessions, share)
    return new * session, (sessions - new) * session


def flat(share, steps=240):
    """Return one share for all cohorts and steps."""
    return np.full((6, steps), float(share))


RAMP = np.repeat([0.01, 0.1, 0.5, 0.25], 60)[None].repeat(6, axis=0)


@pytest.mark.parametrize("share", [flat(0.1), flat(0.5), RAMP], ids=["tenth", "half", "ramp"])
@pytest.mark.parametrize("session", [1, 8])
def test_healthy_splits_are_no_mismatch(share, session):
    """A tenth, a half, a ramp, one call a caller or sessions of eight: of 30 rollouts none is a mismatch."""
    rng = np.random.default_rng(7)
    for _ in range(30):
        new, old = split(rng, share, session=session)
        assert check_ratio(new, old, PLACES, None, uneven=False).mismatches == ()


@pytest.mark.parametrize(("true", "expected"), [(0.12, 0.1), (0.4, 0.5), (0.02, 0.05), (0.9, 0.8)])
def test_a_share_that_is_not_the_one_asked_for_is_found(true, expected):
    """More or less than asked for, small and large; the same share is none."""
    rng = np.random.default_rng(1)
    new, old = split(rng, flat(true))
    found = check_ratio(new, old, PLACES, expected, uneven=False).mismatches
    assert [each.cohort for each in found] == [""]
    assert found[0].share == pytest.approx(true, rel=0.05)
    assert check_ratio(new, old, PLACES, true, uneven=False).mismatches == ()


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("share", [flat(0.1), RAMP], ids=["tenth", "ramp"])
def test_a_cohort_with_a_share_of_its_own_is_found(share, factor):
    """Callers of one region leave the new version, or are sent to it twice as often; while it is ramped up, too."""
    mine = share.copy()
    mine[2] = np.clip(mine[2] * factor, 0, 0.95)
    new, old = split(np.random.default_rng(2), mine)
    found = check_ratio(new, old, PLACES, None, uneven=False).mismatches
    assert found[0].cohort == "region=r2"
    assert (found[0].share > found[0].expected) == (factor > 1)
    assert check_ratio(new, old, PLACES, None, uneven=True).mismatches == ()


def test_cohorts_that_the_new_version_does_not_serve_are_not_part_of_the_rollout():
    """A rollout that begins in two regions is not a mismatch."""
    share = flat(0.1)
    share[2:] = 0
    ratio = check_ratio(*split(np.random.default_rng(3), share), PLACES, None, uneven=False)
    assert ratio.mismatches == ()
    assert ratio.cohorts == 2


def test_nothing_to_compare_with_is_said():
    """Without cohorts and without an expected share the split is not checked."""
    new, old = np.full((1, 20), 10), np.full((1, 20), 90)
    assert not check_ratio(new, old, make_places(("",), np.ones(1)), None, uneven=False).is_checked
    assert check_ratio(new, old, make_places(("",), np.ones(1)), 0.1, uneven=False).is_checked
