from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from radiosonde.errors import ConfigurationError
from radiosonde.reference import Reference, _columns
from radiosonde.reference.fit import fit_rows
from radiosonde.reference.grid import ReferenceGrid
from tests.unit.reference.frames import OUTCOME, ROWS, flights, forms

FORMS = [
    "pandas",
    "pandas nullable",
    "pandas category",
    "polars",
    "polars categorical",
    "arrays",
    "lists",
    "parquet",
    "parquet dictionary",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_rows_gives_the_same_reference(form, tmp_path):
    """Features, counts and outcome tables are the literals known by construction, for any container of rows."""
    reference = Reference.fit(forms(tmp_path)[form], **OUTCOME)
    wind, rain, carrier, night = reference.features
    # 947 finite winds 54 ... 1000: inverted-CDF deciles are the values of rank ceil(947 * d / 10).
    assert wind.low == 54.0
    assert wind.bounds == tuple(53.0 + np.ceil(947 * d / 10) for d in range(1, 11))
    assert wind.counts == (95, 95, 95, 94, 95, 95, 94, 95, 95, 94, 0, 0, 50, 3)
    assert (rain.low, rain.bounds, rain.counts) == (0.0, (0.0, 100.0), (900, 100, 0, 0, 0, 0))
    assert (carrier.kind, carrier.categories, carrier.counts) == (
        "categorical",
        ("UA", "AA", "B6"),
        (500, 300, 190, 10, 0),
    )
    assert (night.kind, night.bounds, night.counts) == ("numeric", (0.0, 1.0), (750, 250, 0, 0, 0, 0))
    assert reference.rows == ROWS
    assert reference.task == "classification"
    assert reference.output.classes == ("False", "True")
    assert reference.output.priors == (0.8, 0.2)
    assert reference.output.predicted_counts == (900, 100)
    scores = reference.output.score_label_counts
    assert [scores[0][10], scores[1][19], sum(scores[0]), sum(scores[1])] == [800, 200, 800, 200]


def test_identity_does_not_depend_on_the_form_or_the_order_of_rows(tmp_path):
    """Shuffled rows and another container give the same id; another value gives another."""
    frame = flights()
    first = Reference.fit(frame, **OUTCOME)
    assert {Reference.fit(form, **OUTCOME).id for form in forms(tmp_path).values()} == {first.id}
    assert Reference.fit(frame.sample(frac=1, random_state=1), **OUTCOME).id == first.id
    frame.loc[500, "wind"] += 0.001
    changed = Reference.fit(frame, **OUTCOME)
    assert changed.data_hash != first.data_hash
    assert changed.schema_hash == first.schema_hash


def test_streamed_quantiles_are_within_their_bound_and_counts_are_exact(monkeypatch, tmp_path):
    """Out of core the deciles come from sketches (rank error 0.07 %), while every row is counted in its cell."""
    monkeypatch.setattr(_columns, "EXACT_VALUES", 0)
    monkeypatch.setattr("radiosonde.reference.fit.EXACT_VALUES", 0)
    values = np.random.default_rng(2).lognormal(size=200_000)
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": values}).to_parquet(path)
    (feature,) = Reference.fit(path).features
    expected = np.histogram(values, [feature.low, *(np.nextafter(bound, np.inf) for bound in feature.bounds)])[0]
    assert feature.counts == (*expected.tolist(), 0, 0, 0, 0)
    assert np.abs(np.array(feature.counts[:10]) / 200_000 - 0.1).max() < 4 * 0.0007
    assert (feature.low, feature.bounds[-1]) == (values.min(), values.max())


def test_progress_counts_each_row_twice_and_ends_at_the_total():
    """The callback sees rising numbers that end at twice the rows."""
    calls = []
    Reference.fit(flights(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1000, 2000), (2000, 2000)]


def test_regression_gets_deciles_of_the_prediction():
    """A target of many values is a regression; edges are the inner deciles of the prediction, else of the target."""
    frame = {"x": np.arange(1000.0), "y": np.arange(1000.0) / 7, "p": np.arange(1000.0) * 2}
    reference = Reference.fit(frame, target="y", prediction="p")
    assert reference.task == "regression"
    assert reference.output.value_edges == (198.0, 398.0, 598.0, 798.0, 998.0, 1198.0, 1398.0, 1598.0, 1798.0)
    assert Reference.fit(frame, target="y", features=["x"]).output.value_edges[0] == 99 / 7


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([2, 10, 1], ("1", "2", "10")),
        ([0.0, 1.0, np.nan], ("0", "1")),
        (["no", "yes", None], ("no", "yes")),
        ([0.5, 1.5, 0.5], ("0.5", "1.5")),
    ],
)
def test_classes_are_named_like_the_labels_and_in_matrix_order(labels, classes):
    """Whole numbers lose their point, numbers sort by size and text by alphabet; missing labels are no class."""
    reference = Reference.fit({"x": [1.0, 2.0, 3.0], "y": labels}, target="y", task="classification")
    assert reference.output.classes == classes


def test_the_twenty_most_frequent_categories_are_kept():
    """The rest counts as unseen; ties go by alphabet."""
    texts = [f"c{index:02d}" for index in range(25) for _ in range(1 + (index < 5))]
    (feature,) = Reference.fit({"c": texts}).features
    assert feature.categories == tuple(f"c{index:02d}" for index in range(20))
    assert feature.counts == (*[2] * 5, *[1] * 15, 0, 5)


def test_a_column_without_values_is_all_missing_and_later_values_are_above():
    """No finite value means no body cell."""
    reference = Reference.fit({"x": [np.nan, None], "y": [1.0, 2.0]})
    assert reference.features[0].counts == (0, 0, 2, 0)
    assert ReferenceGrid.from_reference(reference).assign(np.array([[7.0, 1.0]])).tolist() == [[3, 0]]


def test_pii_features_hold_no_quantiles_and_are_marked():
    """Marked features keep cells; the unmarked one keeps its quantiles for people."""
    wind, rain = Reference.fit(flights()[["wind", "rain"]], pii=["rain"]).features
    assert (wind.pii, rain.pii, rain.quantiles) == (False, True, ())
    assert wind.quantiles == (54.0, 63.0, 101.0, 290.0, 527.0, 764.0, 953.0, 991.0, 1000.0)


def test_shares_are_smoothed_and_sum_to_one():
    """Every p0 is (n + .5) / (N + .5 cells)."""
    carrier = Reference.fit(flights()[["carrier"]]).features[0]
    assert carrier.p0 == tuple((count + 0.5) / 1002.5 for count in (500, 300, 190, 10, 0))


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ({"x": [1.0]}, {"target": "y"}, "there is no column y; the columns are: x"),
        ({"x": [1.0]}, {"features": ["x", "x"]}, "named twice"),
        ({"x": [1.0], "y": [1]}, {"target": "y", "features": []}, "name at least one"),
        ({"x": []}, {}, "there are no rows"),
        ({"x": [1.0], "y": [1.0, 2.0]}, {}, r"different lengths: \[1, 2\]"),
        ({"x": [1.0]}, {"task": "ranking"}, "unknown task 'ranking'"),
        ({"x": np.zeros((2, 2))}, {}, r"column 'x' is an array of shape \(2, 2\)"),
        ({"x": np.array([1j])}, {}, "column 'x' is complex128"),
        (pd.DataFrame({"x": [[1.0]]}), {}, "column 'x' is object"),
        (pl.DataFrame({"x": [[1]]}), {}, r"column 'x' is List\(Int64\)"),
        (pl.LazyFrame({"x": [1]}), {}, r"call .collect\(\)"),
        (3, {}, r"cannot fit a reference from builtins.int"),
        ("nowhere.parquet", {}, "cannot read nowhere.parquet as Parquet"),
        ({"x": [1.0], "y": [1], "s": [1.5]}, {"target": "y", "score": "s"}, r"leaves \[0, 1\]"),
        ({"x": [1.0], "y": [1], "s": ["a"]}, {"target": "y", "score": "s"}, "score column 's' holds text"),
        ({"x": [1.0], "y": ["a"]}, {"target": "y", "task": "regression"}, "use task='classification'"),
        (
            {"x": np.zeros(2000), "y": np.arange(2000)},
            {"target": "y", "task": "classification"},
            "more than 1000 distinct labels",
        ),
    ],
)
def test_what_cannot_be_fitted_says_why(frame, options, message):
    """Each bad input raises ConfigurationError with the column or choice in question."""
    with pytest.raises(ConfigurationError, match=message):
        Reference.fit(frame, **options)


def test_a_column_that_cannot_be_used_may_stay_out():
    """A column of lists is no obstacle when the features are named."""
    frame = pd.DataFrame({"x": [1.0], "where": [[1.0, 2.0]]})
    assert [feature.name for feature in Reference.fit(frame, features=["x"]).features] == ["x"]


def test_a_provisional_reference_comes_from_a_block_of_rows():
    """The first rows of production give cells, marked provisional; categories are ranked again by frequency."""
    block = np.array([[1.0, 0.0], [2.0, 1.0], [np.nan, 1.0], [np.inf, np.nan], [3.0, 9.0]])
    reference = fit_rows(["wind", "carrier"], block, categories={"carrier": ["UA", "AA"]}, pii=["wind"], model="delays")
    wind, carrier = reference.features
    assert reference.provisional
    assert (reference.rows, reference.model, reference.task) == (5, "delays", "unknown")
    assert (wind.bounds, wind.counts, wind.pii) == ((), (0, 3, 1, 1), True)
    assert (carrier.categories, carrier.counts) == (("AA", "UA"), (2, 1, 1, 1))


def test_a_provisional_reference_needs_rows_that_fit():
    """No rows, or a column too few, is a ConfigurationError."""
    for shape in ((0, 2), (3, 1)):
        with pytest.raises(ConfigurationError, match="cannot make a reference from a block"):
            fit_rows(["a", "b"], np.zeros(shape))
