"""Sketch events are one per release and feature, for any number of cohorts."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.export.sketch_windows import in_runs, without_cohorts
from radiosonde.model import SeriesKey
from radiosonde.sketches import KINDS
from tests.factories import HOUR_NS, START_NS, make_feature, make_features, make_reference, make_window

WIND = make_reference([make_feature("wind", (40, 50, 0, 0, 10, 0))])
GUST = make_reference([make_feature("gust", (1, 2, 3, 4, 5, 6))])


def sketched(
    cohort: str,
    values: list[float],
    *,
    variant: str = "stable",
    reference=WIND,
    kind: str = "kll_double",
    hour: int = 0,
):
    """Return a window of a cohort, with a sketch of *values* for the feature of *reference*."""
    sketch = KINDS[kind]()
    sketch.update(np.array(values))
    table = make_features(
        reference, {}, {(reference.features[0].name, kind): sketch.to_bytes()}, sketched_rows=len(values)
    )
    key = SeriesKey("delays", "1", variant, cohort)
    return make_window(key, features=table, start_ns=START_NS + hour * HOUR_NS, end_ns=START_NS + (hour + 1) * HOUR_NS)


@pytest.mark.parametrize("kind", ["kll_double", "hll"])
@pytest.mark.parametrize("cohorts", [1, 2, 60])
def test_cohorts_are_added_up(kind, cohorts):
    """The sum has no cohort, and its sketch has seen the values of all of them."""
    windows = [sketched(f"plan={index}", [float(index), float(index + 1)], kind=kind) for index in range(cohorts)]
    ((number, found),) = without_cohorts(list(enumerate(windows, 1)))
    assert number == cohorts
    assert (found.key.cohort, found.features.sketched_rows) == ("", 2 * cohorts)
    sketch = KINDS[kind].from_bytes(found.features.sketches["wind", kind])
    if kind == "kll_double":
        assert (sketch.n, *sketch.quantiles([0.0, 1.0])) == (2 * cohorts, 0.0, float(cohorts))
    else:
        assert sketch.distinct_count() == pytest.approx(cohorts + 1, rel=0.02)


def test_variants_and_grids_stay_apart():
    """A canary is compared with the stable version, and cells of two references do not add up."""
    windows = [sketched("a=1", [1.0]), sketched("a=2", [2.0], variant="canary"), sketched("a=3", [3.0], reference=GUST)]
    assert [(w.key.variant, w.features.names) for _, w in without_cohorts(list(enumerate(windows)))] == [
        ("stable", ("wind",)), ("canary", ("wind",)), ("stable", ("gust",)),
    ]  # fmt: skip


def test_a_damaged_sketch_leaves_its_windows_as_they_are():
    """What cannot be added up is sent by cohort, where the damage is counted."""
    damaged = sketched("a=1", [1.0])
    damaged.features.sketches["wind", "kll_double"] = b"?"
    windows = [damaged, sketched("a=2", [2.0])]
    assert without_cohorts(list(enumerate(windows))) == list(enumerate(windows))


def test_runs_are_of_one_span_of_time():
    """Windows of one minute are delivered together, or sent again together."""
    windows = [sketched(f"a={index}", [1.0], hour=hour) for index, hour in enumerate((0, 0, 1, 2, 2))]
    assert [[w.key.cohort for _, w in run] for run in in_runs(list(enumerate(windows, 1)))] == [
        ["a=0", "a=1"],
        ["a=2"],
        ["a=3", "a=4"],
    ]
    assert list(in_runs([])) == []


@pytest.mark.parametrize("later", [1, 3])
def test_windows_that_were_sent_in_vain_are_merged_as_before(later):
    """With the number that they had, however many of their minute were closed since: a part of them may have arrived."""
    windows = list(enumerate((sketched(f"a={index}", [float(index)]) for index in range(2 + later)), 1))
    ((number, first),) = without_cohorts(windows[:2])
    (again, rest) = in_runs(windows, attempted=2)
    ((number_again, first_again),) = without_cohorts(again)
    assert (number, number_again) == (2, 2)
    assert first_again.features.sketches == first.features.sketches
    assert [each for each, _ in without_cohorts(rest)] == [2 + later]
