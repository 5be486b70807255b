"""MLflow's pyfunc models, saved, logged and registered in a folder, with scikit-learn, XGBoost and user code inside."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

from tests.unit.integrations.networks import attributes, flying, only, run, stored, told

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mlflow = pytest.importorskip("mlflow")
    pyfunc = pytest.importorskip("mlflow.pyfunc")
    flavour = pytest.importorskip("mlflow.sklearn")
pytest.importorskip("opentelemetry.instrumentation")
pd = pytest.importorskip("pandas")

from sklearn.datasets import load_iris  # noqa: E402 - after the question whether there is one
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from radiosonde_integrations._methods import Description, Method  # noqa: E402
from radiosonde_integrations._observing import observed_method  # noqa: E402
from radiosonde_integrations._patching import Patches  # noqa: E402
from radiosonde_integrations.mlflow import MlflowInstrumentor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, about pydantic, types and folders as registries

FRAME = pd.concat([load_iris(as_frame=True).data] * 8, ignore_index=True)
FRAME.columns = ["sepal", "sepal_width", "petal", "petal_width"]
NAMES = np.tile(load_iris().target_names[load_iris().target], 8)
FEATURES = tuple(FRAME.columns)
EACH = {"setosa": 400, "versicolor": 400, "virginica": 400}
"""Predictions of a forest for its own training rows."""


@pytest.fixture
def rs(monkeypatch):
    """Return a flight with MLflow observed."""
    with flying(monkeypatch, MlflowInstrumentor()) as flight:
        yield flight


@pytest.fixture(scope="module")
def forest():
    """Return a forest of irises, fitted."""
    return RandomForestClassifier(n_estimators=5, bootstrap=False, random_state=7, n_jobs=2).fit(FRAME, NAMES)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Let MLflow make its folder where the test's files are."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Keep runs and registered models in a folder of this test's."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "runs").as_uri()
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield mlflow.MlflowClient(uri, uri)
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def saved(model, path, **signature):
    """Save a model of scikit-learn's; return where."""
    flavour.save_model(model, str(path), pip_requirements=[], serialization_format="pickle", **signature)
    return str(path)


def signed(forest):
    """Return the signature of the irises."""
    return mlflow.models.infer_signature(FRAME, forest.predict(FRAME))


def test_a_saved_model(rs, forest, tmp_path):
    """A model without a run has its class's name and its saved self's id; labels are classes, frames name features."""
    model = pyfunc.load_model(saved(forest, tmp_path / "model"))
    assert (model.predict(FRAME) == NAMES).all()
    for row in range(0, 1200, 300):
        model.predict(FRAME.iloc[[row]])
    assert only(rs) | {"classes": {}} == {
        "model": "RandomForestClassifier", "calls": 5, "rows": 1204, "sure": 0, "values": 0, "features": FEATURES,
        "classes": {},
    }  # fmt: skip
    rs.flush()
    (window,) = rs.windows()
    assert window.key.version == model.metadata.model_uuid
    assert window.output.class_counts.sum() == 1204


def test_a_signature_names_the_features(rs, forest, tmp_path):
    """Arrays and dictionaries of columns have the signature's names."""
    plain = pyfunc.load_model(saved(forest, tmp_path / "signed", signature=signed(forest)))
    plain.predict(FRAME)
    assert plain.predict({name: FRAME[name].to_numpy()[:3] for name in FEATURES}).tolist() == ["setosa"] * 3
    assert {key: only(rs)[key] for key in ("rows", "features")} == {"rows": 1203, "features": FEATURES}


def test_what_is_inside_does_not_count(rs, forest, tmp_path):
    """The estimator that MLflow calls, observed by a plug-in of its own, is part of the prediction."""
    patches = Patches()
    described = Method("predict", lambda model: Description("inner"))
    patches.replace(forest_base(), "predict", observed_method(described))
    try:
        pyfunc.load_model(saved(forest, tmp_path / "model")).predict(FRAME)
        assert [(each.key.model, each.calls) for each in rs.windows()] == [("RandomForestClassifier", 1)]
        forest.predict(FRAME)
        assert {each.key.model: each.calls for each in rs.windows()} == {"RandomForestClassifier": 1, "inner": 1}
    finally:
        patches.restore()


def forest_base():
    """Return the class that holds a forest's `predict`."""
    return next(each for each in RandomForestClassifier.__mro__ if "predict" in vars(each))


def logged(forest, **options):
    """Log a model under a run; return the run's id and the model's address."""
    first = {"name": "irises"} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": "irises"}
    with mlflow.start_run() as started:
        said = flavour.log_model(forest, **first, pip_requirements=[], serialization_format="pickle", **options)
    return started.info.run_id, said.model_uri


def test_a_run_is_the_version(rs, forest, registry):
    """A logged model has the run's id."""
    run_id, address = logged(forest)
    pyfunc.load_model(address).predict(FRAME)
    rs.flush()
    (window,) = rs.windows()
    assert window.key.version == run_id


def test_a_registered_model_has_name_and_version(rs, forest, registry):
    """By number, and by an alias as it stood when the model was loaded; a tag wins."""
    for _ in range(2):
        logged(forest, registered_model_name="flowers", signature=signed(forest))
    registry.set_registered_model_alias("flowers", "champion", "2")
    for address, version in (
        ("models:/flowers/1", None),
        ("models:/flowers@champion", None),
        ("models:/flowers/1", "told"),
    ):
        model = pyfunc.load_model(address)
        rs.tag(model, version=version)
        model.predict(FRAME)
    rs.flush()
    assert {(each.key.model, each.key.version) for each in rs.windows()} == {
        ("flowers", "1"), ("flowers", "2"), ("flowers", "told"),
    }  # fmt: skip


def test_xgboost_inside(rs, registry, tmp_path):
    """Another flavour: a booster's probabilities are values until tagged."""
    xgboost = pytest.importorskip("xgboost")
    module = pytest.importorskip("mlflow.xgboost")
    model = xgboost.XGBRegressor(n_estimators=3).fit(FRAME, FRAME["petal"])
    module.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    loaded = pyfunc.load_model(str(tmp_path / "model"))
    assert np.array_equal(loaded.predict(FRAME), model.predict(FRAME))
    assert {key: only(rs)[key] for key in ("model", "rows", "values", "features")} == {
        "model": "XGBRegressor", "rows": 1200, "values": 1200, "features": FEATURES,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [str, float])
def test_classes_have_the_names_that_the_model_inside_gave_them(rs, tmp_path, kind):
    """By column of its probabilities, and where labels come as floats; a pipeline is called what it ends with."""
    truth = NAMES if kind is str else load_iris().target[np.arange(1200) % 150].astype(float)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(FRAME, truth)
    for method in ("predict", "predict_proba"):
        path = saved(model, tmp_path / method, pyfunc_predict_fn=method)
        assert np.array_equal(pyfunc.load_model(path).predict(FRAME), getattr(model, method)(FRAME))
    labels, counts = np.unique(model.predict(FRAME), return_counts=True)
    names = labels.tolist() if kind is str else [str(int(label)) for label in labels]
    for window in rs.windows():
        assert told(window)["classes"] == dict(zip(names, counts.tolist(), strict=True))
    assert [(each.key.model, each.rows) for each in rs.windows()] == [("LogisticRegression", 1200)] * 2


def test_a_registry_in_a_database(rs, forest, tmp_path, monkeypatch):
    """Name and version come from it as from a folder."""
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    address = f"sqlite:///{tmp_path}/registry.db"
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    try:
        logged(forest, registered_model_name="flowers")
        mlflow.MlflowClient(address, address).set_registered_model_alias("flowers", "champion", "1")
        for said in ("models:/flowers/1", "models:/flowers@champion", "models:/flowers/latest"):
            pyfunc.load_model(said).predict(FRAME)
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    rs.flush()
    assert {each.key[:2] for each in rs.windows()} == {("flowers", "1")}
    assert sum(each.calls for each in rs.windows()) == 3


class Doubles(pyfunc.PythonModel):
    """User code."""

    def predict(self, context, model_input, params=None):
        """Return a probability a class and row."""
        return np.stack([np.full(len(model_input), 0.25), np.full(len(model_input), 0.75)], axis=1)


def test_user_code_inside(rs, tmp_path):
    """A matrix of probabilities is classes by column, of a model with the user's class's name."""
    pyfunc.save_model(str(tmp_path / "model"), python_model=Doubles(), pip_requirements=[])
    pyfunc.load_model(str(tmp_path / "model")).predict(FRAME)
    assert {key: only(rs)[key] for key in ("model", "classes", "sure")} == {
        "model": "Doubles", "classes": {"0": 0, "1": 1200}, "sure": 1200,
    }  # fmt: skip


def test_models_are_copied(rs, tmp_path):
    """A loaded model is copied as before, and contains nothing of Radiosonde."""
    model = pyfunc.load_model(saved(LogisticRegression().fit(FRAME[:150], NAMES[:150]), tmp_path / "model"))
    expected = model.predict(FRAME)
    twin = copy.deepcopy(model)
    assert (twin.predict(FRAME) == expected).all()
    assert not any("radiosonde" in str(value) for value in vars(twin).values())
    assert sum(each.calls for each in rs.windows()) == 2


def test_undoing():
    """Every attribute is the very object that was there."""
    before = attributes(pyfunc, pyfunc.PyFuncModel)
    plugin = MlflowInstrumentor()
    plugin.instrument()
    assert pyfunc.load_model is not before[0]["load_model"]
    plugin.uninstrument()
    for one, other in zip(before, attributes(pyfunc, pyfunc.PyFuncModel), strict=True):
        assert one.keys() == other.keys()
        assert all(one[name] is other[name] for name in one)


SERVE = """
import sys
import mlflow.pyfunc
import pandas as pd

model = mlflow.pyfunc.load_model(sys.argv[1])
frame = pd.read_csv(sys.argv[2])
for part in (frame, frame[:1], frame[70:71]):
    print(model.predict(part).tolist())
"""


def test_a_server_that_nobody_edited(forest, tmp_path):
    """The same answers with and without Radiosonde, and the store has the model once, for any library inside."""
    path = saved(forest, tmp_path / "model", signature=signed(forest))
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    outputs = [run(SERVE, tmp_path, path, tmp_path / "rows.csv", instrumented=each) for each in (False, True)]
    assert outputs[0] == outputs[1]
    (window,) = stored(tmp_path)
    assert told(window) == {
        "model": "RandomForestClassifier", "calls": 3, "rows": 1202, "sure": 0, "values": 0, "features": FEATURES,
        "classes": EACH | {"setosa": 401, "versicolor": 401},
    }  # fmt: skip
    assert window.key.version == pyfunc.load_model(path).metadata.model_uuid
    assert window.features.cells.sum(axis=1).tolist() == [1202] * 4
