"""The plug-in for xgboost, on real models."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde_integrations.sklearn import SklearnInstrumentor
from radiosonde_integrations.xgboost import XGBoostInstrumentor
from tests.unit.integrations.boosting import (
    BANDS,
    NAMES,
    ROWS,
    WARM,
    General,
    flying,
    frame,
    only,
    run_user_code,
    sha256_start,
    survives_copying,
    undone_exactly,
)

xgboost = pytest.importorskip("xgboost")
pytest.importorskip("sklearn")
pytest.importorskip("pandas")

SMALL = {"n_estimators": 5, "max_depth": 3}
TOLD = {"model": "XGBClassifier", "calls": 1, "rows": 1200, "values": 0, "features": NAMES, "cells": [1200] * 3}


@pytest.fixture(scope="module")
def classifier():
    """Return a classifier fitted on named columns."""
    return xgboost.XGBClassifier(**SMALL).fit(frame(), WARM)


@pytest.fixture(scope="module")
def bands():
    """Return a booster of three classes, fitted without names, that answers with the class."""
    return xgboost.train({"objective": "multi:softmax", "num_class": 3}, xgboost.DMatrix(ROWS, BANDS), 3)


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that hears of xgboost's predictions."""
    with flying(monkeypatch, XGBoostInstrumentor()) as flight:
        yield flight


def counts(labels):
    """Return the recorded class counts."""
    return {str(label): int((np.asarray(labels) == label).sum()) for label in np.unique(labels)}


def test_labels_are_classes(rs, classifier):
    """A classifier's predict is one prediction, of classes without confidence, with the frame's names."""
    labels = classifier.predict(frame())
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


def test_probabilities_are_classes_with_confidence(rs, classifier):
    """predict_proba is one prediction although it predicts inside."""
    matrix = classifier.predict_proba(ROWS)
    assert only(rs) == {**TOLD, "classes": counts(matrix.argmax(axis=1)), "sure": 1200}


def test_a_row_is_a_prediction(rs, classifier):
    """One row counts as one."""
    (label,) = classifier.predict(ROWS[:1])
    told = only(rs)
    assert (told["calls"], told["rows"], told["classes"][str(label)]) == (1, 1, 1)


@pytest.mark.parametrize("order", [1, -1])
def test_two_plug_ins_count_once_and_the_boosters_own_describes(monkeypatch, classifier, order):
    """Whichever plug-in lies outermost, a call is one prediction, described by the library's own plug-in."""
    plugins = [XGBoostInstrumentor(), General(xgboost.XGBClassifier, xgboost.XGBModel)][::order]
    with flying(monkeypatch, *plugins) as rs:
        labels = classifier.predict(frame())
        assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


class Cautious(xgboost.XGBClassifier):
    """A user's classifier on xgboost's."""

    def predict(self, X, **options):
        """Predict as xgboost does."""
        return super().predict(X, **options)


@pytest.mark.parametrize("order", [1, -1])
def test_scikit_learns_plug_in_leaves_the_description_to_this_one(monkeypatch, order):
    """A call counts once with both on; a margin of a user's own class is read as xgboost's, though the other one saw it."""
    model = Cautious(**SMALL).fit(frame(), WARM)
    with flying(monkeypatch, *[XGBoostInstrumentor(), SklearnInstrumentor()][::order]) as rs:
        labels = model.predict(frame())
        assert only(rs) == {**TOLD, "model": "Cautious", "classes": counts(labels), "sure": 0}
        model.predict(frame(), output_margin=True)
        assert (only(rs)["calls"], only(rs)["values"], only(rs)["sure"]) == (2, 1200, 0)


def test_a_pipeline_is_the_outermost_call(monkeypatch):
    """A booster inside a pipeline is the pipeline's prediction, with the booster's classes."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), xgboost.XGBClassifier(**SMALL)).fit(frame(), WARM)
    with flying(monkeypatch, XGBoostInstrumentor(), SklearnInstrumentor()) as rs:
        labels = model.predict(frame())
        told = only(rs)
        assert (told["calls"], told["classes"], told["features"]) == (1, counts(labels), NAMES)


def test_a_regressor_answers_values(rs):
    """A regressor's numbers are values, under the names that arrays have."""
    model = xgboost.XGBRegressor(**SMALL).fit(ROWS, ROWS[:, 2])
    model.predict(ROWS)
    told = only(rs)
    assert (told["model"], told["values"], told["features"]) == ("XGBRegressor", 1200, ("f0", "f1", "f2"))


def test_a_ranker_answers_scores(rs):
    """A ranker's numbers are scores."""
    model = xgboost.XGBRanker(**SMALL).fit(ROWS, WARM, group=[600, 600])
    model.predict(ROWS)
    assert (only(rs)["model"], only(rs)["values"]) == ("XGBRanker", 1200)


def test_a_booster_reads_a_dmatrix(rs, classifier):
    """A logistic booster answers the second class's probability, of values that only the matrix still has."""
    booster = classifier.get_booster()
    scores = booster.predict(xgboost.DMatrix(frame()))
    expected = {**TOLD, "model": "xgboost.Booster", "classes": counts((scores > 0.5).astype(int)), "sure": 1200}
    assert only(rs) == expected


def test_missing_values_of_a_dmatrix_are_missing(rs, bands):
    """Absent cells of a matrix are counted as missing; a numeric class is a class."""
    rows = ROWS.copy()
    rows[:5, 1] = np.nan
    labels = bands.predict(xgboost.DMatrix(rows))
    (window,) = rs.windows()
    assert window.features.cells[:, 12].tolist() == [0, 5, 0]
    assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
        str(int(label)): int((labels == label).sum()) for label in np.unique(labels)
    }


def test_a_small_array_is_read_as_it_was_when_the_matrix_was_made(rs, bands):
    """An array that is filled again before the prediction is not read too late; numbers that mean missing are missing."""
    row = np.zeros((1, 3))
    for each in ROWS:
        row[:] = each
        matrix = xgboost.DMatrix(row)
        row[:] = np.nan
        bands.predict(matrix)
    bands.predict(xgboost.DMatrix(np.array([[-1.0, 0.0, 0.0]]), missing=-1.0))
    (window,) = rs.windows()
    assert window.features.cells[:, 12].tolist() == [1, 0, 0]
    assert window.features.cells.sum(axis=1).tolist() == [1201] * 3


def test_a_matrix_of_probabilities_has_its_classes(rs):
    """multi:softprob answers a matrix."""
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(ROWS, BANDS), 3)
    matrix = booster.inplace_predict(ROWS)
    assert (only(rs)["classes"], only(rs)["sure"]) == (counts(matrix.argmax(axis=1)), 1200)


@pytest.mark.parametrize("make", ["DMatrix", "QuantileDMatrix"])
def test_a_matrix_that_is_not_read_counts_without_features(rs, bands, monkeypatch, make):
    """Rows and classes of a matrix too large, or of bins, count; its features are lost by name."""
    if make == "DMatrix":
        monkeypatch.setattr("radiosonde_integrations.xgboost.LARGEST_COPY", 3599)
    bands.predict(getattr(xgboost, make)(ROWS))
    (window,) = rs.windows()
    assert (window.rows, int(window.output.class_counts.sum()), window.features) == (1200, 1200, None)


def test_sparse_rows_are_read(rs, bands):
    """A sparse matrix's absent cells are missing values."""
    sparse = pytest.importorskip("scipy.sparse")
    rows = ROWS.copy()
    rows[:7, 2] = 0.0
    bands.inplace_predict(sparse.csr_matrix(rows))
    (window,) = rs.windows()
    assert window.features.cells[:, 12].tolist() == [0, 0, 7]


def test_margins_are_scores(rs, classifier):
    """Margins say no class: they count as values, from both APIs."""
    classifier.predict(frame(), output_margin=True)
    classifier.get_booster().predict(xgboost.DMatrix(frame()), output_margin=True)
    windows = {window.key.model: (window.calls, int(window.output.value_counts.sum())) for window in rs.windows()}
    assert windows == {"XGBClassifier": (1, 1200), "xgboost.Booster": (1, 1200)}


def test_training_and_explaining_are_no_predictions(rs, classifier):
    """Evaluation between rounds, custom objectives and metrics, leaves and contributions are not counted."""
    xgboost.XGBClassifier(**SMALL).fit(ROWS, WARM, eval_set=[(ROWS, WARM)], verbose=False)
    matrix = xgboost.DMatrix(ROWS, WARM)
    xgboost.train(
        {}, matrix, 2, evals=[(matrix, "v")], verbose_eval=False,
        obj=lambda margin, of: (margin - of.get_label(), np.ones(len(margin))),
        custom_metric=lambda margin, of: ("zero", 0.0),
    )  # fmt: skip
    classifier.apply(frame())
    classifier.get_booster().predict(xgboost.DMatrix(frame()), pred_contribs=True)
    classifier.get_booster().predict(xgboost.DMatrix(frame()), pred_leaf=True)
    assert rs.windows() == ()


def test_several_labels_a_row_have_no_one_class(rs):
    """A multi-label answer counts with its rows and features, and no class is made up."""
    model = xgboost.XGBClassifier(**SMALL).fit(ROWS, np.stack([WARM, 1 - WARM], axis=1))
    model.predict(ROWS)
    model.predict_proba(ROWS)
    told = only(rs)
    assert (told["calls"], told["rows"], sum(told["classes"].values())) == (2, 2400, 0)


def version_of(rs):
    """Return the version of the only series."""
    (window,) = rs.windows()
    return window.key.version


def test_a_loaded_model_has_its_files_digest(rs, classifier, tmp_path):
    """The file that a booster was loaded from makes the version, for the estimator around it, too."""
    path = tmp_path / "delays.json"
    classifier.save_model(path)
    loaded = xgboost.XGBClassifier()
    loaded.load_model(path)
    loaded.predict(ROWS)
    assert version_of(rs) == sha256_start(path)


def test_training_on_makes_another_version(rs, classifier, tmp_path):
    """A model trained after loading no longer has the version of its file."""
    path = tmp_path / "delays.json"
    classifier.save_model(path)
    booster = xgboost.Booster(model_file=path)
    booster.inplace_predict(ROWS)
    booster.update(xgboost.DMatrix(frame(), WARM), 5)
    booster.inplace_predict(ROWS)
    versions = sorted(window.key.version for window in rs.windows())
    assert len(versions) == 2
    assert versions[0] == sha256_start(path)
    assert versions[1].startswith("params-")


def test_what_was_predicted_before_a_round_keeps_its_version(rs):
    """A booster is described as of its prediction, although the digest is computed later."""
    matrix = xgboost.DMatrix(ROWS, WARM)
    booster = xgboost.train({}, matrix, 2)
    before = booster.copy()
    booster.inplace_predict(ROWS)
    booster.update(matrix, 2)
    booster.inplace_predict(ROWS)
    before.inplace_predict(ROWS)
    assert sorted(window.calls for window in rs.windows()) == [1, 2]


def test_a_file_that_was_replaced_is_not_digested(rs, classifier, tmp_path):
    """The version is then that of the loaded file."""
    path = tmp_path / "delays.json"
    classifier.save_model(path)
    booster = xgboost.Booster(model_file=path)
    path.write_text("another model")
    booster.inplace_predict(ROWS)
    assert version_of(rs).startswith("params-")


def test_equal_models_have_equal_versions(rs):
    """The digest is of the parameters, and a deleted model has one, too."""
    for _ in range(2):
        xgboost.XGBClassifier(**SMALL).fit(frame(), WARM).predict(ROWS)
    (window,) = rs.windows()
    assert window.calls == 2
    assert window.key.version.startswith("params-")


def test_what_the_user_says_is_the_version(rs, classifier):
    """A tag wins, then an attribute of the object, then one of the booster."""
    booster = classifier.get_booster().copy()
    booster.set_attr(version="3.1")
    booster.inplace_predict(ROWS)
    rs.tag(classifier, version="tagged")
    classifier.predict(ROWS)
    assert {window.key.version for window in rs.windows()} == {"3.1", "tagged"}


def test_models_are_copied_pickled_and_cloned(rs, classifier):
    """A pickled model contains nothing of Radiosonde."""
    from sklearn.base import clone

    assert survives_copying(classifier, ROWS)
    assert clone(classifier).get_params() == classifier.get_params()


def test_undoing_puts_everything_back():
    """Every attribute is the very object that was there, again and again."""
    owners = [xgboost.Booster, xgboost.DMatrix, xgboost.XGBModel, xgboost.XGBClassifier, xgboost.XGBRanker]
    assert undone_exactly(owners, XGBoostInstrumentor())


SERVE = """
import hashlib, joblib, numpy, pandas, xgboost
rows = numpy.random.default_rng(1).normal(size=(1200, 3))
model = xgboost.XGBClassifier()
model.load_model("../delays.json")
said = [model.predict_proba(pandas.DataFrame(rows, columns=["wind", "haze", "rain"]))]
booster = xgboost.Booster(model_file="../delays.json")
said += [booster.predict(xgboost.DMatrix(rows, feature_names=["wind", "haze", "rain"]))]
if __name__ == "__main__":
    said += joblib.Parallel(n_jobs=2)(joblib.delayed(model.predict)(rows) for _ in range(2))
    print([hashlib.sha256(each.tobytes()).hexdigest() for each in said])
"""


@pytest.mark.slow
def test_user_code_is_observed_as_it_is(classifier, tmp_path):
    """Code that has never heard of us answers bit for bit the same, and the store knows its models."""
    path = tmp_path / "delays.json"
    classifier.save_model(path)
    bare, _ = run_user_code(SERVE, tmp_path / "bare", under=False)
    observed, windows = run_user_code(SERVE, tmp_path / "observed", under=True)
    assert observed == bare
    loaded = [window for window in windows if window["version"] == sha256_start(path)]
    by_model = {window["model"]: window for window in loaded}
    # The pool's processes predict with copies that came as pickles, of no file.
    assert sum(window["calls"] for window in windows) == sum(window["calls"] for window in loaded) + 2
    for name in ("XGBClassifier", "xgboost.Booster"):
        told = by_model[name]
        assert (told["calls"], told["rows"], told["features"], told["cells"]) == (1, 1200, NAMES, [1200] * 3)
        assert (set(told["classes"]), sum(told["classes"].values()), told["sure"]) == ({"0", "1"}, 1200, 1200)
