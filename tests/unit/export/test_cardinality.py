from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.export.blocks import Unit
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.cardinality import keep_units
from radiosonde.model import SeriesKey
from tests.factories import make_feature, make_features, make_reference, make_snapshot, make_window


def units(*sizes: int) -> list[Unit]:
    """Return units of these sizes, ranked as given."""
    return [Unit((rank,), (), size) for rank, size in enumerate(sizes)]


def test_everything_is_kept_below_the_bound():
    """Nothing is cut when all units fit."""
    kept, cut = keep_units([units(3, 3), units(4)], 10)
    assert ([unit.series for unit in kept], cut) == ([3, 3, 4], 0)


def test_the_lowest_rank_is_cut_first():
    """Units are granted by rank, whole, and cut ones are counted."""
    kept, cut = keep_units([list(reversed(units(5, 4, 3)))], 9)
    assert ([unit.rank for unit in kept], cut) == ([(0,), (1,)], 3)


def test_a_kind_that_explodes_leaves_the_others_their_share():
    """A thousand cohorts do not silence the features, and take what the features leave."""
    kept, cut = keep_units([units(*[10] * 1000), units(30)], 100)
    assert ([unit.series for unit in kept].count(10), [unit.series for unit in kept].count(30)) == (7, 1)
    assert cut == 9930


@given(kinds=st.lists(st.lists(st.integers(1, 50), max_size=20), min_size=1, max_size=4), limit=st.integers(-5, 300))
def test_the_bound_holds_and_every_series_is_accounted_for(kinds, limit):
    """Kept units never exceed the bound; kept and cut add up to everything; each kind keeps a prefix of its ranking."""
    kept, cut = keep_units([units(*sizes) for sizes in kinds], limit)
    total = sum(unit.series for unit in kept)
    assert total <= max(limit, 0)
    assert total + cut == sum(map(sum, kinds))


@pytest.mark.parametrize("max_series", [150, 400, 1000])
def test_an_export_stays_within_its_bound_and_says_what_it_cut(max_series):
    """Exported and cut series add up to the total, for any bound."""
    features = [make_feature(f"f{index}", (5,) * 10 + (0,) * 4) for index in range(20)]
    reference = make_reference(features)
    windows = [
        make_window(
            SeriesKey("delays", "1", "stable", f"n={index}"),
            durations_s=[0.1] * (index + 1),
            features=make_features(reference, {"f0": (1,) * 14}),
        )
        for index in range(10)
    ]
    snapshot = make_snapshot(*windows, references={("delays", "1"): reference})
    everything = BlockBuilder().build(snapshot)
    bounded = BlockBuilder(max_series).build(snapshot)
    count = lambda blocks: sum(block.series for family in blocks.families.values() for block in family)  # noqa: E731
    assert count(bounded) <= max_series < count(everything)
    assert count(bounded) + bounded.cut == count(everything)
    assert bounded.families["radiosonde.sdk.cut"][0].values == (bounded.cut,)
    calls = bounded.families.get("radiosonde.prediction.calls", [])
    assert [block.values[0] for block in calls] == list(range(10, 10 - len(calls), -1))


def test_versions_of_a_model_keep_the_same_features():
    """Features are cut by position, so that a canary can be compared with what it replaces."""
    features = [make_feature(f"f{index}", (5,) * 10 + (0,) * 4) for index in range(20)]
    references = {("delays", version): make_reference(features) for version in ("1", "2")}
    blocks = BlockBuilder(300).build(make_snapshot(references=references))
    kept = [dict(block.labels.rows[0]) for block in blocks.families["radiosonde.feature.cell"]]
    by_version = {
        version: [row["radiosonde.feature.name"] for row in kept if row["radiosonde.model.version"] == version]
        for version in ("1", "2")
    }
    assert (
        by_version["1"][: len(by_version["2"])]
        == by_version["2"]
        == ["f0", "f1", "f2", "f3", "f4"][: len(by_version["2"])]
    )
    assert by_version["2"]
