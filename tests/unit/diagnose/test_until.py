"""A model as it was to be seen some days ago: cut out of what is laid out, it is what would be laid out of the earlier windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.diagnose.feature_panel import make_feature_panels
from radiosonde.diagnose.registry import View, all_checks
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


def test_where_no_step_ends_features_are_laid_out_by_themselves():
    """A step that had begun is not cut in two."""
    rng = np.random.default_rng(1)
    view = View("delays", [hour(rng, at, "1") for at in range(HOURS)], (), {("delays", "1"): REFERENCE})
    earlier = view.until(START_NS + 40 * HOUR_NS + HOUR_NS // 2)
    assert "features" not in vars(earlier)
    assert earlier.features[0].cells.sum() == 40 * 40


def test_steps_stay_where_only_longer_windows_are_left():
    """The last days are hours, those before were added up: seen two days ago, the days are spread over steps of an hour."""
    rng = np.random.default_rng(2)
    days = [replace(hour(rng, 24 * day, "1"), end_ns=START_NS + 24 * (day + 1) * HOUR_NS) for day in range(2)]
    view = View("delays", [*days, *(hour(rng, 48 + at, "1") for at in range(HOURS))], (), {("delays", "1"): REFERENCE})
    earlier = view.until(START_NS + 48 * HOUR_NS)
    assert (earlier.panel.axis.step_ns, earlier.panel.axis.size) == (HOUR_NS, 48)
    assert earlier.panel.calls.sum() == 2 * 20
    assert earlier.features[0].cells[0, :, 0].sum() == pytest.approx(2 * 20)
    assert earlier.features[0].cells.shape[1] == 48


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
def test_a_look_for_findings_only_finds_the_same(check):
    """Without floors, gaps and figures, the findings and notes of each check stay as they are."""
    rng = np.random.default_rng(2)
    windows = [hour(rng, at, "1") for at in range(HOURS)]
    missing = (0,) * 10 + (0, 0, 20, 0)
    for at in range(30, 40):
        features = windows[at].features
        cells = np.array([missing, *features.cells[1:]])
        windows[at] = replace(windows[at], features=replace(features, cells=cells))
    view = View("delays", windows, (), {("delays", "1"): REFERENCE}).until(START_NS + 50 * HOUR_NS)
    assert view.findings_only
    bare, whole = (check.examine(replace(view, findings_only=asked)) for asked in (True, False))
    assert (bare.findings, bare.notes) == (whole.findings, whole.notes)
    assert bool(bare.findings or bare.notes) == (check.name == "features")
