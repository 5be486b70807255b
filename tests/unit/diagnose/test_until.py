"""A model as it was to be seen some days ago: cut out of what is laid out, it is what would be laid out of the earlier windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.registry import View
from radiosonde.model import SeriesKey
from radiosonde.sketches import KllSketch
from tests.factories import HOUR_NS, START_NS, make_feature, make_features, make_reference, make_window

REFERENCE = make_reference(
    [make_feature("wind", (100,) * 10 + (0, 0, 0, 0)), make_feature("gust", (500, 500, 0, 0, 0, 0))]
)
HOURS = 60


def hour(rng, at, version):
    """Return an hour of twenty rows of two features, the second with its values."""
    knots = KllSketch()
    knots.update(rng.integers(1, 40, 20).astype(np.float64))
    low = int(rng.binomial(20, 0.5))
    cells = {
        "wind": [*np.bincount(rng.integers(0, 10, 20), minlength=10), 0, 0, 0, 0],
        "gust": (low, 20 - low, 0, 0, 0, 0),
    }
    start_ns = START_NS + at * HOUR_NS
    window = make_window(
        SeriesKey("delays", version), durations_s=[0.01] * 20, start_ns=start_ns, end_ns=start_ns + HOUR_NS
    )
    return replace(window, features=make_features(REFERENCE, cells, {("gust", "kll_double"): knots.to_bytes()}, 20))


@pytest.mark.parametrize("until", [20, 40, 59, HOURS])
def test_features_are_those_of_the_earlier_windows(until):
    """Versions that came later are not there; cells, values and versions are those of a panel made of the windows that had ended."""
    rng = np.random.default_rng(until)
    windows = [hour(rng, at, version) for at in range(HOURS) for version in ("1", "2") if version == "1" or at >= 30]
    view = View("delays", windows, (), {("delays", "1"): REFERENCE})
    earlier = view.until(START_NS + until * HOUR_NS)
    assert "features" in vars(earlier)  # cut, not laid out anew
    (found,) = earlier.features
    (expected,) = make_feature_panels(earlier.windows, view.references, earlier.panel.axis)
    assert found.versions == expected.versions == (("1",) if until <= 30 else ("1", "2"))
    assert found.axis == expected.axis
    assert np.array_equal(found.cells, expected.cells)
    for column in ("steps", "versions", "values", "rows"):
        assert np.array_equal(getattr(found.retained["gust"], column), getattr(expected.retained["gust"], column))
    assert np.array_equal(earlier.labels.end_ns, [window.end_ns for window in earlier.windows])


def test_a_panel_of_other_steps_is_not_cut():
    """Where the earlier windows have other steps, they are laid out by themselves."""
    rng = np.random.default_rng(1)
    made = [hour(rng, at, "1") for at in range(HOURS)]
    long = [
        replace(hour(rng, HOURS + 30 * at, "1"), end_ns=START_NS + (HOURS + 30 * at + 30) * HOUR_NS) for at in range(70)
    ]
    view = View("delays", [*made, *long], (), {("delays", "1"): REFERENCE})
    earlier = view.until(START_NS + HOURS * HOUR_NS)
    assert earlier.panel.axis.step_ns != view.panel.axis.step_ns
    assert earlier.features[0].cells.sum() == HOURS * 40
