"""How many spans may be made, and for which reason."""

from __future__ import annotations

import pytest

from radiosonde._aggregate.allowance import Allowance
from radiosonde.model.spans import BASELINE, ERROR, LOW_CONFIDENCE, OUT_OF_RANGE, SLOW
from tests.unit.aggregate.blocks import Clock


@pytest.fixture
def clock(monkeypatch):
    """Return the clock that the allowance reads."""
    clock = Clock()
    monkeypatch.setattr("radiosonde._aggregate.allowance.monotonic_ns", clock)
    return clock


@pytest.mark.parametrize(("reason", "most"), [(ERROR, 30), (SLOW, 30), (BASELINE, 12)])
def test_one_reason_alone_gets_its_share_and_what_nobody_owns(clock, reason, most):
    """Of 60 a tenth is each reason's, a fifth the baseline's, and 24 are anybody's but the baseline's."""
    assert Allowance(60).grant(reason, 1000) == most


def test_no_reason_starves_the_others(clock):
    """After a flood of errors every other reason still gets its own share, and together they reach the bound."""
    allowance = Allowance(60)
    granted = [allowance.grant(reason, 1000) for reason in (ERROR, LOW_CONFIDENCE, OUT_OF_RANGE, SLOW, BASELINE)]
    assert granted == [30, 6, 6, 6, 12]
    assert allowance.grant(ERROR, 1) == 0


def test_what_was_granted_comes_back_after_a_minute(clock):
    """Each grant counts for 60 seconds from its own moment, not from a full minute of the clock."""
    allowance = Allowance(60)
    assert allowance.grant(ERROR, 20) == 20
    clock.pass_s(59)
    assert allowance.grant(ERROR, 20) == 10
    clock.pass_s(0.999)
    assert allowance.grant(ERROR, 1) == 0
    clock.pass_s(0.001)
    assert allowance.grant(ERROR, 100) == 20


def test_a_bound_too_small_to_share_is_for_whoever_comes_first(clock):
    """Below ten there are no reserved shares; the baseline gets nothing."""
    allowance = Allowance(3)
    assert (allowance.grant(BASELINE, 1), allowance.grant(SLOW, 2), allowance.grant(ERROR, 2)) == (0, 2, 1)
