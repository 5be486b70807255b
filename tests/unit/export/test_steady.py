"""Counters of floats do not fall by rounding, and do fall when a series is reset."""

from __future__ import annotations

import pytest

from radiosonde.export.blocks import Distribution, Scalars
from radiosonde.export.labels import Labels
from radiosonde.export.steady import steady
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

ROW = (("radiosonde.model.name", "delays"),)


@pytest.mark.parametrize(
    ("exported", "seen"),
    [
        ([0.1 + 0.2, 0.3], [0.30000000000000004, 0.30000000000000004]),
        ([1e6, 1e6 - 1e-10, 1e6 + 1], [1e6, 1e6, 1e6 + 1]),
        ([5.0, 4.0, 6.0], [5.0, 4.0, 6.0]),
        ([7.0, 0.0, 0.0], [7.0, 0.0, 0.0]),
        ([0.0, 0.0, 1e-300], [0.0, 0.0, 1e-300]),
        ([float("nan"), 1.0, 2.0], [float("nan"), 1.0, 2.0]),
        ([float("inf"), float("inf"), 2.0], [float("inf"), float("inf"), 2.0]),
    ],
)
def test_a_fall_of_rounding_is_held(exported, seen):
    """One counter and one histogram sum: a fall by units in the last place is suppressed, a real fall is exported."""
    scalar, histogram = Labels((ROW,)), Labels((ROW,), (1.0,))
    found, sums = [], []
    for value in exported:
        found += steady(Scalars(METRICS[metrics.PREDICTION_PHASE_DURATION], scalar, (value,))).values
        sums.append(steady(Distribution(METRICS[metrics.PREDICTION_DURATION], histogram, (1, 0), value)).total)
    assert found == pytest.approx(seen, rel=0, abs=0, nan_ok=True)
    assert sums == pytest.approx(seen, rel=0, abs=0, nan_ok=True)


def test_levels_and_whole_numbers_are_left_alone():
    """Gauges may fall by any amount; counts of rows are exact."""
    gauge = Scalars(METRICS[metrics.SDK_DRAIN_LAG], Labels((ROW,)), (1.0,))
    assert steady(gauge) is gauge
    lower = Scalars(METRICS[metrics.SDK_DRAIN_LAG], gauge.labels, (1.0 - 1e-12,))
    assert steady(lower).values == (1.0 - 1e-12,)
    count = Scalars(METRICS[metrics.PREDICTION_ROWS], Labels((ROW,)), (3,))
    assert steady(count) is count
