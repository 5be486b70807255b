from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.conversions import KNOWN, fit_by_lattice, fit_by_quantiles
from radiosonde.diagnose.lattice import Lattice, fit_lattice

KNOTS_IN_MPH = 1.15078


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("step", "origin"), [(1.15078, 0.0), (0.18, 26.06), (10.0, 0.0), (0.01, 983.8), (1.0, -33.0)])
def test_the_step_of_a_sparse_lattice_is_found_at_either_precision(dtype, step, origin):
    """A third of the points is enough, and float32 noise does not hide the step."""
    rng = np.random.default_rng(1)
    values = np.unique((origin + step * rng.choice(90, 30, replace=False)).astype(dtype).astype(np.float64))
    assert fit_lattice(values).step == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("values", [[], [1.0, 2.0], np.random.default_rng(2).normal(size=400)])
def test_values_that_repeat_no_step_have_no_lattice(values):
    """Nothing, too little, and a continuous quantity all answer None."""
    assert fit_lattice(np.unique(np.array(values, dtype=np.float64))) is None


def test_a_foreign_value_is_on_a_lattice_by_chance_in_one_case_of_ten():
    """The tolerance is what the evidence of a unit break is computed with."""
    share = Lattice(0.18, 0.0).holds(np.random.default_rng(3).uniform(0, 100, 20_000)).mean()
    assert share == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("factor", "offset", "name"),
    [
        (1.609344, 0.0, "miles to kilometres (or mph to km/h)"),
        (0.44704, 0.0, "mph to m/s"),
        (0.868976, 0.0, "mph to knots"),
        (1.5, 0.0, ""),
        (5 / 9, -160 / 9, "degrees Fahrenheit to Celsius"),
    ],
)
def test_a_conversion_is_named_when_undoing_it_returns_the_values_to_their_lattice(factor, offset, name):
    """Named where there is a name, estimated to four digits where there is none."""
    before = KNOTS_IN_MPH * np.arange(37)
    fit = fit_by_lattice(before, before[3:30] * factor + offset, Lattice(KNOTS_IN_MPH, 0.0))
    assert fit.conversion.name == name
    assert fit.estimated == pytest.approx(factor, rel=1e-4)
    assert fit.share == 1.0


def test_noise_is_explained_by_no_conversion():
    """Values without a lattice of their own go back to none."""
    noise = np.unique(np.random.default_rng(4).uniform(0, 40, 200))
    assert fit_by_lattice(KNOTS_IN_MPH * np.arange(37), noise, Lattice(KNOTS_IN_MPH, 0.0)) is None


def test_quantiles_name_a_conversion_only_when_the_values_really_moved():
    """Feet to metres is named; a few percent of drift is not."""
    before = np.array([100.0, 250.0, 500.0, 900.0, 1500.0])
    assert fit_by_quantiles(before, before * 0.31).conversion.name == "feet to metres"
    assert fit_by_quantiles(before, before * 1.04) is None


def test_every_conversion_is_in_the_table_in_both_directions_under_its_own_name():
    """Names are unique, and each factor has its inverse."""
    assert len({conversion.name for conversion in KNOWN}) == len(KNOWN)
    plain = [conversion.factor for conversion in KNOWN if not conversion.offset]
    assert all(any(abs(factor * other - 1) < 1e-9 for other in plain) for factor in plain)
    assert "m/s to mph" in {conversion.name for conversion in KNOWN}
    assert "kilometres to miles (or km/h to mph)" in {conversion.name for conversion in KNOWN}
