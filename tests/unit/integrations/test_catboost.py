"""The plug-in for catboost, on real models."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde_integrations.catboost import CatBoostInstrumentor
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

catboost = pytest.importorskip("catboost")
pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("default::FutureWarning", "default::DeprecationWarning")

SMALL = {"iterations": 5, "depth": 3, "verbose": False, "allow_writing_files": False, "thread_count": 2}
WORDS = np.where(WARM == 1, "warm", "cold")
TOLD = {"model": "CatBoostClassifier", "calls": 1, "rows": 1200, "values": 0, "features": NAMES, "cells": [1200] * 3}


@pytest.fixture(scope="module")
def classifier():
    """Return a classifier of words, fitted on named columns."""
    return catboost.CatBoostClassifier(**SMALL).fit(frame(), WORDS)


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that hears of catboost's predictions."""
    with flying(monkeypatch, CatBoostInstrumentor()) as flight:
        yield flight


def counts(labels):
    """Return the recorded class counts."""
    return {str(label): int((np.asarray(labels) == label).sum()) for label in np.unique(labels)}


def test_labels_are_classes(rs, classifier):
    """A classifier's predict is one prediction, of classes."""
    labels = classifier.predict(frame())
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.predict_proba(frame()),
        lambda model: model.predict(frame(), "Probability"),
        lambda model: model.predict(frame(), prediction_type="Probability"),
        lambda model: np.exp(model.predict_log_proba(frame())),
    ],
)
def test_probabilities_are_classes_with_confidence(rs, classifier, ask):
    """For any way to request them, and also as logarithms."""
    labels = np.array(["cold", "warm"])[ask(classifier).argmax(axis=1)]
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 1200}


def test_a_row_that_is_no_matrix_is_a_prediction(rs, classifier):
    """A list of values is one row, and its answer a label or a row of probabilities."""
    label = classifier.predict(list(ROWS[0]))
    classifier.predict_proba(ROWS[0])
    told = only(rs)
    assert (told["calls"], told["rows"], told["classes"][str(label)], told["sure"]) == (2, 2, 2, 1)


@pytest.mark.parametrize("order", [1, -1])
def test_two_plug_ins_count_once_and_the_boosters_own_describes(monkeypatch, classifier, order):
    """Whichever plug-in lies outermost, a call is one prediction, described by the library's own plug-in."""
    plugins = [CatBoostInstrumentor(), General(catboost.CatBoostClassifier, catboost.CatBoost)][::order]
    with flying(monkeypatch, *plugins) as rs:
        labels = classifier.predict(frame())
        assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


def test_many_classes(rs):
    """A matrix of three, and labels in a column."""
    model = catboost.CatBoostClassifier(**SMALL).fit(ROWS, BANDS)
    labels, matrix = model.predict(ROWS), model.predict_proba(ROWS)
    told = only(rs)
    assert labels.ravel().tolist() == matrix.argmax(axis=1).tolist()
    assert told["classes"] == {name: 2 * count for name, count in counts(labels).items()}
    assert (told["sure"], told["features"]) == (1200, ("f0", "f1", "f2"))


def test_raw_values_are_values(rs, classifier):
    """What says no class counts as a value: raw formula values, which are the base class's usual answer."""
    base = catboost.CatBoost({**SMALL, "loss_function": "Logloss"}).fit(ROWS, WARM)
    base.predict(ROWS)
    classifier.predict(frame(), "RawFormulaVal")
    windows = {window.key.model: (window.calls, int(window.output.value_counts.sum())) for window in rs.windows()}
    assert windows == {"CatBoost": (1, 1200), "CatBoostClassifier": (1, 1200)}


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "RMSEWithUncertainty"])
def test_a_regressor_answers_values(rs, loss):
    """One number a row, also where the model answers a mean and a variance."""
    model = catboost.CatBoostRegressor(**SMALL, loss_function=loss).fit(ROWS, np.exp(ROWS[:, 2]))
    answers = model.predict(ROWS)
    (window,) = rs.windows()
    assert int(window.output.value_counts.sum()) == 1200
    assert window.output.value_sum == pytest.approx(answers.reshape(1200, -1)[:, 0].sum())


def test_a_ranker_answers_scores(rs):
    """A ranker's numbers are scores."""
    model = catboost.CatBoostRanker(**SMALL).fit(ROWS, WARM, group_id=np.repeat(np.arange(12), 100))
    model.predict(ROWS)
    assert (only(rs)["model"], only(rs)["values"]) == ("CatBoostRanker", 1200)


def test_a_pool_is_read_from_what_it_was_made_from(rs, classifier):
    """While that lives it costs nothing to read."""
    rows = frame()
    labels = classifier.predict(catboost.Pool(rows))
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


def test_text_of_a_pool_is_read(rs):
    """Categories come from the frame, under their names."""
    rows = frame().assign(carrier=np.where(BANDS == 1, "UA", "AA"))
    pool = catboost.Pool(rows, WARM, cat_features=["carrier"])
    model = catboost.CatBoostClassifier(**SMALL).fit(pool)
    model.predict(pool)
    assert only(rs)["features"] == (*NAMES, "carrier")


def test_a_small_pool_is_read_itself(rs, classifier):
    """A row whose array has gone is copied out of the pool."""
    for row in range(1200):
        classifier.predict(catboost.Pool(ROWS[row : row + 1].copy()))
    assert {**only(rs), "classes": {}} == {**TOLD, "calls": 1200, "classes": {}, "sure": 0}


def test_a_large_pool_without_its_source_counts_without_features(rs, classifier):
    """Rows and classes count, and the features are lost by name."""
    labels = classifier.predict(catboost.Pool(ROWS.copy()))
    (window,) = rs.windows()
    assert (window.rows, window.features, rs.losses()) == (1200, None, {"features_width": 1200})
    assert int(window.output.class_counts.sum()) == len(labels)


def test_training_is_no_prediction(rs):
    """Evaluation between rounds is not counted."""
    catboost.CatBoostClassifier(**SMALL).fit(ROWS, WARM, eval_set=(ROWS, WARM))
    assert rs.windows() == ()


def test_a_loaded_model_has_its_files_digest(rs, classifier, tmp_path):
    """The file that was loaded makes the version."""
    path = tmp_path / "delays.cbm"
    classifier.save_model(str(path))
    loaded = catboost.CatBoostClassifier().load_model(str(path))
    loaded.predict(frame())
    (window,) = rs.windows()
    assert window.key.version == sha256_start(path)
    assert window.output.classes == ("cold", "warm")


def test_what_the_user_says_is_the_version(rs, classifier):
    """A tag wins; what the model's own metadata say is next."""
    model = classifier.copy()
    model.get_metadata()["version"] = "2.2"
    model.predict(frame())
    rs.tag(classifier, version="tagged")
    classifier.predict(frame())
    assert {window.key.version for window in rs.windows()} == {"2.2", "tagged"}


def test_equal_models_have_equal_versions(rs):
    """The digest is of the parameters: not of when they were fitted, and a copy has the same."""
    for _ in range(2):
        model = catboost.CatBoostRegressor(**SMALL).fit(ROWS, ROWS[:, 0])
        model.predict(ROWS)
        model.copy().predict(ROWS)
    catboost.CatBoostRegressor(**SMALL).fit(ROWS, ROWS[:, 1]).predict(ROWS)
    calls = {window.key.version: window.calls for window in rs.windows()}
    assert sorted(calls.values()) == [1, 4]
    assert all(version.startswith("params-") for version in calls)


def test_models_are_copied_and_pickled(rs, classifier):
    """A pickled model contains nothing of Radiosonde."""
    assert survives_copying(classifier, frame())


def test_undoing_puts_everything_back():
    """Every attribute is the very object that was there, again and again."""
    owners = [catboost.CatBoost, catboost.CatBoostClassifier, catboost.CatBoostRegressor, catboost.Pool]
    assert undone_exactly(owners, CatBoostInstrumentor())


SERVE = """
import hashlib, catboost, numpy, pandas, multiprocessing
rows = pandas.DataFrame(numpy.random.default_rng(1).normal(size=(1200, 3)), columns=["wind", "haze", "rain"])
model = catboost.CatBoostClassifier().load_model("../delays.cbm")
if __name__ == "__main__":
    said = [model.predict(rows), model.predict_proba(catboost.Pool(rows))]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        said += pool.map(model.predict_proba, [rows])
    print([hashlib.sha256(each.astype(str).tobytes()).hexdigest() for each in said])
"""


@pytest.mark.slow
def test_user_code_is_observed_as_it_is(classifier, tmp_path):
    """Code that has never heard of us answers bit for bit the same, and the store knows its model."""
    path = tmp_path / "delays.cbm"
    classifier.save_model(str(path))
    bare, _ = run_user_code(SERVE, tmp_path / "bare", under=False)
    observed, windows = run_user_code(SERVE, tmp_path / "observed", under=True)
    assert observed == bare
    (told,) = [window for window in windows if window["version"] == sha256_start(path) and window["sure"] >= 1200]
    assert told["calls"] in (2, 3)  # the pool's process loads the file as well, and is ended before or after it reports
    assert told["features"] == NAMES
    assert set(told["classes"]) == {"cold", "warm"}
    assert told["cells"] == [told["rows"]] * 3
