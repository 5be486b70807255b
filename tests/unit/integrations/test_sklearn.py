"""Scikit-learn's estimators, pipelines, searches and ensembles, trained for real and predicting in this process."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

from radiosonde.testing import fly
from radiosonde_integrations import _observing

sklearn = pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    AdaBoostClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: E402, F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer  # noqa: E402
from sklearn.impute import IterativeImputer  # noqa: E402
from sklearn.inspection import partial_dependence, permutation_importance  # noqa: E402
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression, SGDClassifier  # noqa: E402
from sklearn.model_selection import (  # noqa: E402
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier  # noqa: E402
from sklearn.naive_bayes import GaussianNB  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC, LinearSVC  # noqa: E402
from sklearn.utils.metaestimators import available_if  # noqa: E402

from radiosonde_integrations.sklearn import SklearnInstrumentor  # noqa: E402
from tests.unit.integrations.standing_in import stand_in  # noqa: E402

X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names[Y]
BINARY_X, BINARY_Y = load_breast_cancer(return_X_y=True)
BINARY_X = StandardScaler().fit_transform(BINARY_X)
NUMBERS_X, NUMBERS_Y = load_diabetes(return_X_y=True)


@pytest.fixture
def rs(monkeypatch):
    """Return a Radiosonde that the plug-in reports to."""
    with fly() as flight:
        stand_in(monkeypatch, flight)
        plugin = SklearnInstrumentor()
        plugin.instrument()
        try:
            yield flight
        finally:
            plugin.uninstrument()


def calls(rs):
    """Return (calls, rows) by model."""
    found = {}
    for window in rs.windows():
        before = found.get(window.key.model, (0, 0))
        found[window.key.model] = (before[0] + window.calls, before[1] + window.rows)
    return found


def counts(rs):
    """Return rows by predicted class, those without any left out."""
    (window,) = rs.windows()
    pairs = zip(window.output.classes, window.output.class_counts.tolist(), strict=True)
    return {name: count for name, count in pairs if count}


def logistic():
    """Return a classifier that is quickly fitted."""
    return LogisticRegression(max_iter=500)


def pair():
    """Return named parts of an ensemble."""
    return [("logistic", logistic()), ("bayes", GaussianNB())]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (logistic(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), GaussianNB()), "GaussianNB"),
        (GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1]}, cv=2), "SVC"),
        (Pipeline([("search", RandomizedSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, n_iter=1))]), "GaussianNB"),
        (RandomForestClassifier(8, n_jobs=2, random_state=0), "RandomForestClassifier"),
        (VotingClassifier(pair()), "VotingClassifier"),
        (StackingClassifier(pair(), cv=2), "StackingClassifier"),
        (CalibratedClassifierCV(LinearSVC(dual=False), cv=2), "CalibratedClassifierCV"),
        (AdaBoostClassifier(n_estimators=5, random_state=0), "AdaBoostClassifier"),
        (HistGradientBoostingClassifier(max_iter=5, early_stopping=True), "HistGradientBoostingClassifier"),
        (KMeans(3, n_init=1, random_state=0), "KMeans"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_the_outermost_call_is_a_prediction(rs, model, name):
    """Fitting counts nothing; then one call is one, with the rows and the classes that the user gets."""
    answers = model.fit(X, NAMES).predict(X[::3])
    assert calls(rs) == {name: (1, 50)}
    found, rows = np.unique(answers, return_counts=True)
    assert counts(rs) == dict(zip(found.astype(str).tolist(), rows.tolist(), strict=True))
    assert rs.losses() == {}


def test_probabilities_have_a_class_and_a_confidence(rs):
    """Columns are named by the model's classes, whole numbers as whole numbers; logarithms read as what they are of."""
    for classes in (NAMES, Y, Y.astype(float)):
        rs.tag(model := GaussianNB().fit(X, classes), version=str(classes.dtype))
        model.predict_proba(X)
        model.predict_log_proba(X[:1])
    named, whole = {}, {}
    for window in rs.windows():
        target = named if "setosa" in window.output.classes else whole
        for name, confidence in zip(window.output.classes, window.output.confidence.sum(axis=1), strict=True):
            target[name] = target.get(name, 0) + int(confidence)
    best = model.predict(X).astype(int)
    expected = np.bincount(best) + np.bincount(best[:1], minlength=3)
    assert list(named.values()) == expected.tolist()
    assert whole == dict(zip("012", (2 * expected).tolist(), strict=True))


def test_a_class_that_is_a_number_is_no_value(rs):
    """A classifier trained on 0.0, 1.0 and 2.0 answers with classes, and one trained on a single class with that."""
    GaussianNB().fit(X, Y.astype(float)).predict(X[:60])
    assert sum(counts(rs).values()) == 60
    assert set(counts(rs)) <= {"0", "1", "2"}


def test_margins_are_values_or_the_class_of_the_largest(rs):
    """Two classes have one margin, a value; more have one each; one-against-one margins are not classes."""
    binary = logistic().fit(BINARY_X, BINARY_Y)
    margins = binary.decision_function(BINARY_X)
    rs.tag(several := LinearSVC(dual=False).fit(X, NAMES), name="several")
    several.decision_function(X)
    rs.tag(duels := SVC(decision_function_shape="ovo").fit(X, NAMES), name="duels")
    duels.decision_function(X)
    rs.flush()
    outputs = {window.key.model: window.output for window in rs.windows()}
    assert outputs["LogisticRegression"].value_sum == pytest.approx(margins.sum())
    best = np.unique(several.classes_[np.argmax(X @ several.coef_.T + several.intercept_, axis=1)], return_counts=True)
    found = zip(outputs["several"].classes, outputs["several"].class_counts.tolist(), strict=True)
    assert {name: count for name, count in found if count} == dict(zip(*(each.tolist() for each in best), strict=True))
    assert outputs["duels"].class_counts.sum() == 0
    assert rs.losses() == {}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (LinearRegression(), {}),
        (RandomForestRegressor(5, n_jobs=2, random_state=0), {}),
        (BayesianRidge(), {"return_std": True}),
        (make_pipeline(StandardScaler(), BaggingRegressor(LinearRegression(), random_state=0)), {}),
    ],
)
def test_a_regressor_answers_with_values(rs, model, options):
    """The values are counted; a mean that comes with its deviation is the value."""
    answers = model.fit(NUMBERS_X, NUMBERS_Y).predict(NUMBERS_X, **options)
    rs.flush()
    (window,) = rs.windows()
    assert window.output.value_sum == pytest.approx((answers[0] if options else answers).sum())
    assert window.output.classes == ()


def test_outliers_are_classes_and_their_scores_values(rs):
    """1 and -1 are classes."""
    model = IsolationForest(n_estimators=10, random_state=0).fit(X)
    answers, scores = model.predict(X), model.decision_function(X)
    rs.flush()
    assert counts(rs) == {"-1": int((answers == -1).sum()), "1": int((answers == 1).sum())}
    assert rs.windows()[0].output.value_sum == pytest.approx(scores.sum())


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (RandomForestRegressor(3), np.stack([NUMBERS_Y, NUMBERS_Y], axis=1)),
        (RandomForestClassifier(3), np.stack([NUMBERS_Y > 100, NUMBERS_Y > 200], axis=1).astype(int)),
        (MultiOutputClassifier(GaussianNB()), np.stack([NUMBERS_Y > 100, NUMBERS_Y > 200], axis=1).astype(int)),
        (ClassifierChain(GaussianNB()), np.stack([NUMBERS_Y > 100, NUMBERS_Y > 200], axis=1).astype(int)),
        (MLPClassifier((3,), max_iter=5), np.stack([NUMBERS_Y > 100, NUMBERS_Y > 200], axis=1).astype(int)),
    ],
    ids=["regressor", "forest", "one each", "chain", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_several_answers_a_row_are_a_prediction_without_output(rs, model, targets):
    """Calls, rows and features count; no answer is made up, for one row or many, and nothing is lost."""
    model.fit(NUMBERS_X, targets)
    for name in ("predict", "predict_proba"):
        if hasattr(model, name):
            getattr(model, name)(NUMBERS_X)
            getattr(model, name)(NUMBERS_X[:1])
    rs.flush()
    for window in rs.windows():
        assert window.output.class_counts.sum() == 0
        assert (window.output.value_sum, window.output.unreadable) == (0, 0)
    methods = 1 + hasattr(model, "predict_proba")
    assert calls(rs) == {type(model).__name__: (2 * methods, 443 * methods)}
    assert rs.losses() == {}


def hits(model, rows, truth):
    """Score a model with a function that asks it, which is none of scikit-learn's scorers."""
    return float((model.predict(rows) == truth).mean())


def test_what_is_no_prediction_counts_nothing(rs):
    """Scoring, validating, explaining, transforming and learning on predict inside, and are not what a user asked for."""
    model = make_pipeline(StandardScaler(), logistic()).fit(X, Y)
    model.score(X, Y)
    cross_validate(model, X, Y, cv=2, scoring=["accuracy", "roc_auc_ovr"])
    cross_validate(model, X, Y, cv=2, scoring=hits)
    cross_val_predict(model, X, Y, cv=2, method="predict_proba")
    permutation_importance(model, X, Y, scoring="accuracy", n_repeats=2)
    permutation_importance(model, X, Y, scoring=hits, n_repeats=2)
    permutation_test_score(model, X, Y, scoring=hits, cv=2, n_permutations=2)
    learning_curve(model, X, Y, scoring=hits, cv=2, train_sizes=[0.9], shuffle=True, random_state=0)
    partial_dependence(RandomForestRegressor(2).fit(X, Y), X, [0], method="brute")
    StackingClassifier(pair(), cv=2).fit(X, Y).transform(X)
    GaussianNB().partial_fit(X, Y, classes=[0, 1, 2])
    KMeans(2, n_init=1).fit_predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        holed = X.copy()
        holed[::7, 1] = np.nan
        IterativeImputer(max_iter=2).fit(holed).transform(holed)
    assert calls(rs) == {}


def test_inputs_that_are_no_matrix_have_a_defined_result(rs):
    """Narrow sparse matrices are features; wide ones, texts and their frames are rows without features."""
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rs.tag(narrow := logistic().fit(X, Y), name="narrow")
    for rows in (X, X[:1]):
        narrow.predict(scipy_sparse.csr_matrix(rows))
    words = ["late again", "on time", "early bird", "late bird"]
    rs.tag(text := make_pipeline(CountVectorizer(), GaussianOfSparse()).fit(words, [1, 0, 0, 1]), name="text")
    text.predict(words)
    text.predict(np.array(words, dtype=object))
    text.predict(words[:1])
    wide = scipy_sparse.random(6, 5000, density=0.01, format="csr", random_state=0)
    rs.tag(broad := logistic().fit(wide, [0, 1, 0, 1, 0, 1]), name="broad")
    broad.predict(wide)
    rs.flush()
    assert calls(rs) == {"narrow": (2, 151), "text": (3, 9), "broad": (1, 6)}
    outputs = {window.key.model: window for window in rs.windows()}
    assert outputs["text"].output.class_counts.sum() == 9
    assert outputs["text"].features is None
    assert outputs["broad"].features is None
    assert outputs["narrow"].output.class_counts.sum() == 151
    assert rs.losses() == {}


@pytest.mark.parametrize(
    ("model", "targets"), [(logistic(), [1, 0]), (LinearRegression(), [0.6, 0.4])], ids=["classes", "values"]
)
def test_the_answers_count_what_cannot_be_counted_beforehand(rs, model, targets):
    """An iterator of texts stays whole for the model; the answers say how many rows it had, whose features are lost by name."""
    texts = ["good day", "bad day", "so good", "so bad"] * 5
    fitted = make_pipeline(HashingVectorizer(n_features=16), model).fit(texts, targets * 10)
    answers = fitted.predict(text for text in texts).tolist()
    (window,) = rs.windows()
    assert (window.calls, window.rows) == (1, 20)
    if targets == [1, 0]:
        assert counts(rs) == {str(answer): answers.count(answer) for answer in answers}
    else:
        assert (counts(rs), window.output.value_sum) == ({}, pytest.approx(sum(answers)))
    assert rs.losses() == {"features_unreadable": 20}


class GaussianOfSparse(ClassifierMixin, BaseEstimator):
    """A user's estimator, defined before the plug-in is on, that holds another."""

    def fit(self, X, y):
        """Fit the other."""
        self.classes_ = np.unique(y)
        self.inner_ = GaussianNB().fit(X.toarray(), y)
        return self

    def predict(self, X):
        """Ask the other."""
        return self.inner_.predict(X.toarray())


def test_users_estimators_are_observed_whenever_they_are_defined(rs):
    """A class defined while the plug-in is active is observed too, including its mixin's method, with its version."""

    class Threshold:
        def predict(self, X):
            return np.asarray(X)[:, 0] > self.at_

    class Mine(Threshold, RegressorMixin, BaseEstimator):
        version = "3.1"

        def fit(self, X, y):
            self.at_ = self.predict_nothing(X)
            return self

        def predict_nothing(self, X):
            return float(np.mean(X))

    assert Mine().fit(X, Y).predict(X[:5]).dtype == bool
    (window,) = rs.windows()
    assert window.key[:2] == ("Mine", "3.1")
    assert (window.calls, window.rows) == (1, 5)


def test_estimators_with_a_plug_in_of_their_own_are_left_to_it(rs):
    """Subclasses of libraries with their own plug-in are not patched."""

    class Booster(ClassifierMixin, BaseEstimator):
        __module__ = "xgboost.sklearn"

        def predict(self, X):
            return np.zeros(len(X))

    Booster().predict(X)
    assert not hasattr(vars(Booster)["predict"], "__wrapped__")
    assert calls(rs) == {}


def test_conditional_methods_stay_conditional(rs):
    """`hasattr` answers as before, on objects and classes, and the message is the library's."""
    without = make_pipeline(StandardScaler(), LinearSVC(dual=False)).fit(X, Y)
    assert not hasattr(without, "predict_proba")
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        without.predict_proba(X)
    assert hasattr(without, "decision_function")
    assert not hasattr(GridSearchCV(LinearSVC(dual=False), {}), "predict_proba")
    assert hasattr(Pipeline, "predict_proba")
    assert Pipeline.predict.__name__ == "predict"
    assert Pipeline.predict(without, X[:2]).tolist() == [0, 0]
    assert calls(rs) == {"LinearSVC": (1, 2)}


def test_a_model_that_is_fitted_again_is_described_again(rs):
    """Its name, features and version are those of the new fit; learning on keeps them."""
    pandas = pytest.importorskip("pandas")
    model = make_pipeline(StandardScaler(), SGDClassifier(random_state=0))
    for columns in (["a", "b", "c", "d"], ["e", "f", "g", "h"]):
        model.fit(pandas.DataFrame(X, columns=columns), Y)
        model.predict(pandas.DataFrame(X, columns=columns))
    model[-1].partial_fit(X, Y)
    model.predict(pandas.DataFrame(X, columns=columns))
    rs.flush()
    assert [window.calls for window in rs.windows()] in ([1, 2], [2, 1])
    assert len({window.key.version for window in rs.windows()}) == 2
    assert rs.losses() == {}


def test_models_are_copied_and_pickled_as_ever(rs):
    """Clones, deep copies, pickles of models and of their methods work, and answer the same."""
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(X, Y)
    answers = model.predict(X)
    assert "radiosonde" not in str(vars(model))
    others = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), clone(model).fit(X, Y)]
    for other in others:
        assert (other.predict(X) == answers).all()
    method = pickle.loads(pickle.dumps(model.predict))
    assert (method(X) == answers).all()
    assert pickle.loads(pickle.dumps(LogisticRegression.predict_proba)) is LogisticRegression.predict_proba
    digests = {window.key.version for window in rs.windows()}
    assert len(digests) == 1  # equal parameters, equal versions
    assert digests.pop().startswith("params-")


def test_a_class_that_is_pickled_whole_is_pickled_without_us(rs):
    """An artifact with a user's class in it loads where we are not; where we are, the class is observed when it arrives."""
    cloudpickle = pytest.importorskip("cloudpickle")

    class Mine(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.repeat(self.classes_[:1], len(X))

        @available_if(lambda self: hasattr(self, "classes_"))
        def predict_proba(self, X):
            return np.eye(len(self.classes_))[np.zeros(len(X), dtype=int)]

    model = Mine().fit(X, NAMES)
    carried = cloudpickle.dumps(model)
    assert b"radiosonde_integrations" not in carried
    model.predict(X)
    for _ in range(2):  # the same class is filled again
        cloudpickle.loads(carried).predict(X[:1])
    assert calls(rs) == {"Mine": (3, 152)}
    SklearnInstrumentor().uninstrument()
    cloudpickle.loads(carried).predict(X)
    assert not hasattr(Mine.predict, "__wrapped__")
    assert calls(rs) == {"Mine": (3, 152)}
    SklearnInstrumentor().instrument()


def test_transformers_and_their_output_are_not_touched(rs):
    """`set_output` works for classes that are defined while the plug-in is on, and after it."""
    pandas = pytest.importorskip("pandas")

    class Twice(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X * 2

        def get_feature_names_out(self, names=None):
            return ["a"]

    held = dict(vars(Twice))
    frame = Twice().set_output(transform="pandas").fit_transform(np.ones((2, 1)))
    assert isinstance(frame, pandas.DataFrame)
    assert dict(vars(Twice)) == held
    assert not hasattr(vars(StandardScaler)["transform"], "radiosonde")


def test_undoing_puts_every_attribute_back():
    """After it, every attribute of every class of scikit-learn is the object it was, and joblib's and pickle's too."""
    import joblib

    owners = {owner for kind in _subclasses(BaseEstimator) for owner in kind.__mro__}
    owners |= {
        joblib.Parallel,
        joblib,
        pickle,
        *(sys.modules[name] for name in SklearnInstrumentor.modules if name in sys.modules),
    }
    owners |= {sys.modules["sklearn.metrics._scorer"]._BaseScorer}
    before = {owner: dict(vars(owner)) for owner in owners}
    plugin = SklearnInstrumentor()
    plugin.instrument()
    changed = [
        owner for owner in owners if any(vars(owner)[name] is not value for name, value in before[owner].items())
    ]
    plugin.uninstrument()
    assert {LogisticRegression, Pipeline, ClassifierMixin, joblib.Parallel, joblib, pickle} <= {*changed}
    for owner, held in before.items():
        now = vars(owner)
        assert held.keys() - {"__annotations__", "__warningregistry__"} <= now.keys()
        assert [name for name in held if name in now and now[name] is not held[name]] == [], owner


def _subclasses(kind):
    for each in type.__subclasses__(kind):
        yield each
        yield from _subclasses(each)


def test_models_without_end_share_rings(rs, monkeypatch):
    """A model fitted per request does not get a ring per request; every call still counts under the model's name."""
    monkeypatch.setattr(_observing, "MAX_RECORDERS", 2)
    for _ in range(6):
        LinearRegression().fit(X, Y).predict(X)
    assert calls(rs) == {"LinearRegression": (6, 900)}
    assert len(rs.pipeline()._ring_consumers) == 3


def test_an_error_is_the_librarys(rs):
    """An unfitted model raises its usual exception, and the call counts as an error."""
    with pytest.raises(sklearn.exceptions.NotFittedError):
        logistic().predict(X)
    (window,) = rs.windows()
    assert dict(window.errors) == {"sklearn.exceptions.NotFittedError": 1}
