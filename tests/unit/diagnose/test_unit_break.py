"""When does a feature learn a new lattice, and when has it left the old one?"""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.feature_panel import Retained
from radiosonde.diagnose.unit_break import find_unit_break

SIZE, WARM_UP, BLOCK = 504, 48, 6
KNOTS_IN_MPH = 1.15078


def hourly(step, factor=1.0, onset=SIZE, seed=1):
    """Return three readings an hour of a slowly wandering instrument, times *factor* from *onset* on."""
    rng = np.random.default_rng(seed)
    level, hours, values = 0.0, [], []
    for hour in range(SIZE):
        level = 0.97 * level + 0.25 * rng.normal()
        readings = np.unique(np.rint(20 + 5 * (level + 0.4 * rng.normal(size=3)))) * step
        values.extend(readings * (factor if hour >= onset else 1.0))
        hours.extend([hour] * readings.size)
    column = np.array(hours)
    return Retained(column, np.zeros_like(column), np.array(values), np.ones(column.size))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [0.44704, 1.609344, 0.1])
@pytest.mark.parametrize("onset", [282, 285, 286, 287])
def test_the_old_lattice_survives_the_first_values_of_a_new_unit(onset, factor, seed):
    """Wherever in a block the unit changes, the lattice reported is the one before, not a finer one that holds both."""
    found = find_unit_break(hourly(KNOTS_IN_MPH, factor, onset, seed), SIZE, block=BLOCK, warm_up=WARM_UP)
    assert found.lattice.step == pytest.approx(KNOTS_IN_MPH, rel=1e-4)
    assert abs(found.start - onset) <= 2
    assert found.end == SIZE


def test_a_lattice_of_which_the_first_days_showed_every_second_point_is_widened():
    """Odd values that trickle in later are learned after a day; they are no other unit."""
    held = hourly(1.0)
    odd = np.flatnonzero(held.values % 2 == 1)
    # All odd readings of the first three days become even, later ones only if they are not among every sixth.
    round_up = odd[(held.steps[odd] < 72) | (np.arange(odd.size) % 6 > 0)]
    held.values[round_up] += 1
    assert find_unit_break(held, SIZE, block=BLOCK, warm_up=WARM_UP) is None


def test_no_lattice_no_break():
    """A quantity whose values repeat no step cannot leave one."""
    held = hourly(1.0)
    held.values[:] += np.random.default_rng(2).uniform(size=held.values.size)
    assert find_unit_break(held, SIZE, block=BLOCK, warm_up=WARM_UP) is None
