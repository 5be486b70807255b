"""The plug-in for lightgbm, on real models."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde_integrations.lightgbm import LightGBMInstrumentor
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

lightgbm = pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")
pytest.importorskip("pandas")
# lightgbm 4.0 calls what newer versions of scikit-learn and pandas have deprecated.
pytestmark = pytest.mark.filterwarnings("default::FutureWarning", "default::DeprecationWarning", "default::UserWarning")

SMALL = {"n_estimators": 5, "num_leaves": 7, "verbose": -1, "n_jobs": 2}
PARAMETERS = {"num_leaves": 7, "verbose": -1, "num_threads": 2}
WORDS = np.where(WARM == 1, "warm", "cold")
TOLD = {"model": "LGBMClassifier", "calls": 1, "rows": 1200, "values": 0, "features": NAMES, "cells": [1200] * 3}


@pytest.fixture(scope="module")
def classifier():
    """Return a classifier of words, fitted on named columns."""
    return lightgbm.LGBMClassifier(**SMALL).fit(frame(), WORDS)


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that hears of lightgbm's predictions."""
    with flying(monkeypatch, LightGBMInstrumentor()) as flight:
        yield flight


def trained(objective, answers, **parameters):
    """Return a booster fitted without names."""
    said = {**PARAMETERS, "objective": objective, **parameters}
    return lightgbm.train(said, lightgbm.Dataset(ROWS, answers), 3)


def counts(labels):
    """Return the recorded class counts."""
    return {str(label): int((np.asarray(labels) == label).sum()) for label in np.unique(labels)}


def test_labels_are_classes(rs, classifier):
    """A classifier's predict is one prediction although it asks predict_proba and the booster."""
    labels = classifier.predict(frame())
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


def test_probabilities_are_classes_with_confidence(rs, classifier):
    """A matrix of probabilities has the classes of the classifier."""
    matrix = classifier.predict_proba(frame())
    labels = np.array(["cold", "warm"])[matrix.argmax(axis=1)]
    assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 1200}


def test_labels_that_are_floats_are_no_probabilities(rs):
    """A classifier of 0.0 and 1.0 answers classes, not certain probabilities."""
    model = lightgbm.LGBMClassifier(**SMALL).fit(ROWS, WARM.astype(float))
    labels = model.predict(ROWS)
    told = only(rs)
    assert (told["classes"], told["sure"]) == (counts(labels.astype(int)), 0)


@pytest.mark.parametrize("order", [1, -1])
def test_two_plug_ins_count_once_and_the_boosters_own_describes(monkeypatch, classifier, order):
    """Whichever plug-in lies outermost, a call is one prediction, described by the library's own plug-in."""
    plugins = [LightGBMInstrumentor(), General(lightgbm.LGBMClassifier, lightgbm.LGBMModel)][::order]
    with flying(monkeypatch, *plugins) as rs:
        labels = classifier.predict(frame())
        assert only(rs) == {**TOLD, "classes": counts(labels), "sure": 0}


@pytest.mark.parametrize("kind", ["LGBMRegressor", "LGBMRanker"])
def test_regressors_and_rankers_answer_values(rs, kind):
    """Their numbers are values, and names that lightgbm made up are not taken for names."""
    groups = {"group": [600, 600]} if kind == "LGBMRanker" else {}
    model = getattr(lightgbm, kind)(**SMALL).fit(ROWS, WARM, **groups)
    model.predict(ROWS)
    told = only(rs)
    assert (told["model"], told["values"], told["features"]) == (kind, 1200, ("f0", "f1", "f2"))


@pytest.mark.parametrize(
    ("objective", "answers", "parameters", "classes"),
    [
        ("binary", WARM, {}, {"0", "1"}),
        ("multiclass", BANDS, {"num_class": 3}, {"0", "1", "2"}),
        ("multiclassova", BANDS, {"num_class": 3}, {"0", "1", "2"}),
        ("regression", ROWS[:, 2], {}, set()),
        ("quantile", ROWS[:, 2], {}, set()),
        ("cross_entropy", WARM, {}, set()),
    ],
)
def test_the_objective_says_what_a_booster_answers(rs, objective, answers, parameters, classes):
    """Probabilities where the objective makes them, else values."""
    booster = trained(objective, answers, **parameters)
    booster.predict(ROWS)
    told = only(rs)
    assert (told["model"], set(told["classes"])) == ("lightgbm.Booster", classes)
    assert (told["sure"], told["values"]) == ((1200, 0) if classes else (0, 1200))


def test_a_boosters_names_name_the_columns_of_arrays(rs, classifier):
    """An array has the names that the booster was trained with."""
    classifier.booster_.predict(ROWS)
    assert only(rs)["features"] == NAMES


def test_sparse_rows_are_read(rs):
    """A sparse matrix's absent cells are zeros."""
    sparse = pytest.importorskip("scipy.sparse")
    trained("binary", WARM).predict(sparse.csr_matrix(ROWS))
    assert only(rs)["cells"] == [1200] * 3


def test_raw_scores_are_values(rs, classifier):
    """Raw scores say no class: they count as values, from both APIs."""
    classifier.predict(frame(), raw_score=True)
    classifier.booster_.predict(frame(), raw_score=True)
    windows = {window.key.model: (window.calls, int(window.output.value_counts.sum())) for window in rs.windows()}
    assert windows == {"LGBMClassifier": (1, 1200), "lightgbm.Booster": (1, 1200)}


def test_training_and_explaining_are_no_predictions(rs, classifier, tmp_path):
    """Evaluation, refitting, leaves, contributions and whole files are not counted."""
    lightgbm.LGBMClassifier(**SMALL).fit(ROWS, WARM, eval_set=[(ROWS, WARM)], eval_metric=lambda y, p: ("z", 0.0, True))
    booster = trained("binary", WARM)
    booster.refit(ROWS, WARM)
    booster.predict(ROWS, pred_contrib=True)
    classifier.predict(frame(), pred_leaf=True)
    np.savetxt(tmp_path / "rows.csv", np.c_[WARM, ROWS], delimiter=",")
    assert len(booster.predict(str(tmp_path / "rows.csv"))) == 1200
    assert rs.windows() == ()


def test_a_loaded_model_has_its_files_digest(rs, classifier, tmp_path):
    """The file that a booster was made from makes the version; trained on, it is another."""
    path = tmp_path / "delays.txt"
    classifier.booster_.save_model(path)
    lightgbm.Booster(model_file=path).predict(ROWS)
    (window,) = rs.windows()
    assert window.key.version == sha256_start(path)


def test_equal_models_have_equal_versions(rs):
    """The digest is of the parameters, also for a model deleted before its use."""
    for _ in range(2):
        trained("binary", WARM).predict(ROWS)
    (window,) = rs.windows()
    assert window.calls == 2
    assert window.key.version.startswith("params-")


def test_what_the_user_says_is_the_version(rs, classifier):
    """A tag wins; an attribute of the object is next."""
    booster = trained("binary", WARM)
    booster.version = 4
    booster.predict(ROWS)
    rs.tag(classifier, version="tagged", name="delays")
    classifier.predict(frame())
    assert {window.key[:2] for window in rs.windows()} == {("lightgbm.Booster", "4"), ("delays", "tagged")}


def test_fitting_anew_describes_anew(rs):
    """A model that is fitted on other classes is another model."""
    model = lightgbm.LGBMClassifier(**SMALL).fit(ROWS, WARM)
    model.predict(ROWS)
    model.fit(frame(), WORDS)
    model.predict(frame())
    windows = rs.windows()
    assert len({window.key.version for window in windows}) == 2
    assert {window.output.classes for window in windows} == {("0", "1"), ("cold", "warm")}


def test_models_are_copied_pickled_and_cloned(rs, classifier):
    """A pickled model contains nothing of Radiosonde."""
    from sklearn.base import clone

    assert survives_copying(classifier, frame())
    assert clone(classifier).get_params() == classifier.get_params()


def test_undoing_puts_everything_back():
    """Every attribute is the very object that was there, again and again."""
    owners = [lightgbm.Booster, lightgbm.LGBMModel, lightgbm.LGBMClassifier]
    assert undone_exactly(owners, LightGBMInstrumentor())


SERVE = """
import hashlib, joblib, lightgbm, numpy, pandas
rows = pandas.DataFrame(numpy.random.default_rng(1).normal(size=(1200, 3)), columns=["wind", "haze", "rain"])
booster = lightgbm.Booster(model_file="../delays.txt")
model = joblib.load("../delays.joblib")
if __name__ == "__main__":
    said = [booster.predict(rows), model.predict_proba(rows)]
    said += joblib.Parallel(n_jobs=2)(joblib.delayed(booster.predict)(rows) for _ in range(2))
    print([hashlib.sha256(each.tobytes()).hexdigest() for each in said])
"""


@pytest.mark.slow
def test_user_code_is_observed_as_it_is(classifier, tmp_path):
    """Code that has never heard of us answers bit for bit the same, and the store knows its models."""
    import joblib

    path = tmp_path / "delays.txt"
    classifier.booster_.save_model(path)
    joblib.dump(classifier, tmp_path / "delays.joblib")
    bare, _ = run_user_code(SERVE, tmp_path / "bare", under=False)
    observed, windows = run_user_code(SERVE, tmp_path / "observed", under=True)
    assert observed == bare
    assert sum(window["calls"] for window in windows) == 4
    (loaded,) = [window for window in windows if window["version"] == sha256_start(path)]
    (pickled,) = [window for window in windows if window["model"] == "LGBMClassifier"]
    for told, classes in ((loaded, {"0", "1"}), (pickled, {"cold", "warm"})):
        assert (told["calls"], told["rows"], told["features"], told["cells"]) == (1, 1200, NAMES, [1200] * 3)
        assert (set(told["classes"]), sum(told["classes"].values()), told["sure"]) == (classes, 1200, 1200)
