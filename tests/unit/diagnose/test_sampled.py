"""Windows sampled one in ten: their estimates are not treated as that many independent rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose import check
from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.panel import make_axis
from radiosonde.sketches.merge import merge_windows
from tests.factories import HOUR_NS, START_NS, make_feature, make_features, make_reference, make_window

STEP, HOURS, LOOKED_AT = 10, 48, 40
SHARES = (0.25, 0.25, 0.2, 0.2, 0, 0, 0.1, 0)
REFERENCE = make_reference([make_feature("wind", [round(1000 * share) for share in SHARES])])


def healthy(seed, *, says_so, looked_at=LOOKED_AT):
    """Return two days of the same distribution, with every tenth row sampled."""
    draws = np.random.default_rng(seed)
    windows = []
    for hour in range(HOURS):
        cells = STEP * draws.multinomial(looked_at, SHARES)
        features = make_features(REFERENCE, {"wind": cells.tolist()})
        if says_so:
            features = replace(features, counted_rows=looked_at, weight_square_sum=looked_at * STEP**2)
        start_ns = START_NS + hour * HOUR_NS
        window = make_window(start_ns=start_ns, end_ns=start_ns + HOUR_NS, features=features)
        windows.append(replace(window, calls=looked_at * STEP, rows=looked_at * STEP))
    return windows


def is_uneven(windows):
    """Test the panel's rows for one distribution over all hours (Pearson, 1 % level, normal approximation)."""
    (panel,) = make_feature_panels(windows, {("delays", "1"): REFERENCE}, make_axis(windows))
    table = panel.cells[0, :, 0]
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return ((table - expected) ** 2 / expected).sum() > freedom + 2.4 * np.sqrt(2 * freedom)


def test_rows_that_stand_for_ten_are_not_ten_rows_of_evidence():
    """Healthy traffic passes a test of its cells; were its estimates taken for rows, it would fail on every draw."""
    assert sum(is_uneven(healthy(seed, says_so=True)) for seed in range(40)) <= 3
    assert all(is_uneven(healthy(seed, says_so=False)) for seed in range(40))


@pytest.mark.parametrize("seed", range(5))
def test_sampled_healthy_traffic_has_no_finding(seed):
    """Two days of the same distribution, a tenth of it sampled, have no finding."""
    assert check(healthy(seed, says_so=True), {("delays", "1"): REFERENCE}).findings == ()


def test_too_few_rows_looked_at_are_too_few_to_check():
    """Of 1 440 rows 144 were sampled: below the required 200, regardless of their weight."""
    said = check(healthy(1, says_so=True, looked_at=3), {("delays", "1"): REFERENCE}).not_checked
    assert "144 rows were counted on one of 1 grids; at least 200 are needed" in [gap.because for gap in said]
    naive = check(healthy(1, says_so=False, looked_at=3), {("delays", "1"): REFERENCE}).not_checked
    assert not [gap for gap in naive if "rows were counted" in gap.because]


def test_a_window_that_changed_its_step_is_worth_less_than_its_rows():
    """400 rows of weight one and 40 of weight ten: 800 rows, an effective 800 * 800 / (400 + 40 * 100) = 145."""
    whole = replace(
        make_features(REFERENCE, {"wind": [400, 0, 0, 0, 0, 0, 0, 0]}), counted_rows=400, weight_square_sum=400
    )
    tenth = replace(
        make_features(REFERENCE, {"wind": [400, 0, 0, 0, 0, 0, 0, 0]}), counted_rows=40, weight_square_sum=4000
    )
    assert (whole.is_exact, tenth.is_exact) == (True, False)
    (both,) = merge_windows([make_window(features=whole), make_window(features=tenth)])
    assert both.features is not None
    assert (both.features.counted_rows, both.features.weight_square_sum, both.features.is_exact) == (440, 4400, False)
    assert both.features.evidence_ratio * 800 == pytest.approx(145.45, abs=0.01)


@pytest.mark.parametrize(("says_so", "weakened"), [(True, "features of 10 % of the rows were counted"), (False, "")])
def test_features_that_were_thinned_are_said_beside_the_check_they_weaken(says_so, weakened):
    """A tenth of the rows was sampled, which is stated with the passed feature checks."""
    checked = check(healthy(1, says_so=says_so), {("delays", "1"): REFERENCE}).checked
    (said,) = [entry.weakened for entry in checked if entry.subject == "features"]
    assert said.startswith(weakened)
    assert bool(said) == says_so
