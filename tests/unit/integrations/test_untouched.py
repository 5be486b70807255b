"""User scripts of every library, in separate interpreters: counts are compared with those of numpy."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from radiosonde.sources.opening import open_source
from tests.factories import make_feature, make_reference

pytestmark = pytest.mark.timeout(600)  # three or four interpreters a test, each of which imports large libraries

NAMES = ("wind", "haze", "rain")
LOW, BOUNDS = -2.0, (-1.0, 0.0, 1.0)
ROWS = np.random.default_rng(5).normal(size=(1500, 3)).astype(np.float32).astype(float)
ROWS[0], ROWS[1], ROWS[2] = LOW, BOUNDS, np.nextafter(BOUNDS, np.inf).astype(np.float32)  # on the bounds, and beside
CALLS = 1 + 3 + 1 + 1 + 2
"""A batch, three rows, a deep copy's batch, an unpickled model's and two of a pool's."""


@dataclass(frozen=True)
class Library:
    """How a library's users train, load and ask.

    Attributes:
        needs: modules.
        train: makes the artifact *path* of ``rows``, ``names`` and ``truth`` (texts).
        load: binds ``model`` to the model in *path*.
        ask: expression of ``model`` and ``rows``: the answers, a row each.
        model: expected name.
        features: expected feature names.
        artifact: file name of the artifact; its digest is the version, if *version* is not said.
        version: expression for the version, of ``path``; ``params`` for a digest of parameters.
        twins: expressions for a copy and an unpickled ``model``.
        named: whether answers are texts, else numbers of columns.
    """

    needs: tuple[str, ...]
    train: str
    load: str
    ask: str
    model: str
    features: tuple[str, ...] = NAMES
    artifact: str = "model.bin"
    version: str = ""
    twins: tuple[str, str] = ("copy.deepcopy(model)", "pickle.loads(pickle.dumps(model))")
    named: bool = True


FRAME = "pandas.DataFrame(rows, columns=names)"
ONNX = "onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])"
LIBRARIES = {
    "sklearn": Library(
        ("sklearn", "pandas"),
        f"from sklearn.ensemble import RandomForestClassifier as F\nfrom sklearn.pipeline import make_pipeline as m\n"
        f"from sklearn.preprocessing import StandardScaler as S\njoblib.dump(m(S(), F(5, n_jobs=2)).fit({FRAME}, truth), path)",
        "model = joblib.load(path)",
        f"model.predict({FRAME})",
        "RandomForestClassifier",
    ),
    "xgboost": Library(
        ("xgboost", "sklearn", "pandas"),
        f"import xgboost\nxgboost.XGBClassifier(n_estimators=3).fit({FRAME}, truth == 'warm').save_model(path)",
        "import xgboost\nmodel = xgboost.XGBClassifier()\nmodel.load_model(path)",
        f"model.predict({FRAME})",
        "XGBClassifier",
        artifact="model.json",
        named=False,
    ),
    "lightgbm": Library(
        ("lightgbm", "sklearn", "pandas"),
        f"import lightgbm\nm = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=2)\njoblib.dump(m.fit({FRAME}, truth), path)",
        "model = joblib.load(path)",
        f"model.predict({FRAME})",
        "LGBMClassifier",
    ),
    "catboost": Library(
        ("catboost", "pandas", "joblib"),
        f"import catboost\nm = catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False)\n"
        f"m.fit({FRAME}, truth).save_model(path)",
        "import catboost\nmodel = catboost.CatBoostClassifier().load_model(path)",
        f"model.predict({FRAME})",
        "CatBoostClassifier",
    ),
    "onnxruntime": Library(
        ("onnxruntime", "onnx", "skl2onnx", "pandas"),
        "from skl2onnx import to_onnx\nfrom sklearn.linear_model import LogisticRegression as L\n"
        "m = to_onnx(L().fit(rows, truth), rows[:1].astype('f4'), target_opset={'': 17, 'ai.onnx.ml': 3})\n"
        "open(path, 'wb').write(m.SerializeToString())",
        f"import onnxruntime\nmodel = {ONNX}",
        "model.run(None, {'X': rows.astype('f4')})[0]",
        "warmth",
        ("X_0", "X_1", "X_2"),
        artifact="warmth.onnx",
        twins=(ONNX, ONNX),  # sessions are neither copied nor pickled
    ),
    "torch": Library(
        ("torch", "pandas", "joblib"),
        "import torch\nn = torch.nn\nm = n.Sequential(n.Linear(3, 4), n.Sequential(n.ReLU(), n.Linear(4, 2)), n.Softmax(1))\n"
        "torch.save(m, path)",
        "import torch\ntorch.set_num_threads(1)\nmodel = torch.load(path, weights_only=False).eval()",
        "model(torch.from_numpy(rows.astype('f4'))).detach().numpy().argmax(axis=1)",
        "Sequential",
        ("f0", "f1", "f2"),
        version="params",
        named=False,
    ),
    "mlflow": Library(
        ("mlflow", "sklearn", "pandas", "joblib"),
        f"import mlflow.sklearn\nfrom sklearn.ensemble import RandomForestClassifier as F\n"
        f"mlflow.sklearn.save_model(F(5).fit({FRAME}, truth), path, pip_requirements=[], serialization_format='pickle')",
        "import mlflow.pyfunc\nmodel = mlflow.pyfunc.load_model(path)",
        f"model.predict({FRAME})",
        "RandomForestClassifier",
        artifact="model",
        version="model.metadata.model_uuid",
    ),
}

SCRIPT = """
import copy, json, pickle, sys
import joblib, numpy, pandas
path, rows, names, truth = sys.argv[1], numpy.load(sys.argv[2]), {names}, numpy.load(sys.argv[3])
{body}
"""
SERVE = """
{load}
def ask(model, rows, path=path, names=names):
    {late}
    return {ask}
def tell(answers):
    print(json.dumps([str(answers.dtype), answers.reshape(-1).tolist()]))
if __name__ == "__main__":
    tell(ask(model, rows))
    if len(sys.argv) == 4:
        for at in range(3):
            tell(ask(model, rows[at : at + 1]))
        for twin in ({copied}, {unpickled}):
            tell(ask(twin, rows))
        for answers in joblib.Parallel(n_jobs=2)(joblib.delayed(ask)({carried}, rows) for _ in range(2)):
            tell(answers)
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
"""


def run(folder, body, *arguments, under=False, **environment):
    """Run a script in a fresh interpreter; return its output."""
    path = folder / "script.py"
    path.write_text(SCRIPT.format(names=list(NAMES), body=body))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "RADIOSONDE_"))}
    program = [str(Path(sys.executable).with_name("opentelemetry-instrument"))] if under else []
    settings = {"RADIOSONDE_CPU_BUDGET": "1000", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    exporters = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [*program, sys.executable, str(path), *map(str, arguments)],
        env=clean | settings | exporters | environment,
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "radiosonde" not in done.stderr.lower(), done.stderr
    return done.stdout


@pytest.fixture(params=LIBRARIES)
def served(request, tmp_path):
    """Return a library, its script, the arguments of it and the version of its artifact."""
    library = LIBRARIES[request.param]
    for module in library.needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed; make test-matrix M={request.param} has it")
    artifact, rows, truth = tmp_path / library.artifact, tmp_path / "rows.npy", tmp_path / "truth.npy"
    np.save(rows, ROWS)
    np.save(truth, np.where(ROWS[:, 0] > 0, "warm", "cold"))
    run(tmp_path, library.train, artifact, rows, truth)
    is_session = request.param == "onnxruntime"
    body = SERVE.format(
        load=library.load,
        ask=library.ask,
        late=f"import onnxruntime\n    model = model or {ONNX}"
        if is_session
        else "import torch" * (request.param == "torch"),
        copied=library.twins[0],
        unpickled=library.twins[1],
        carried="None" if is_session else "model",
    )
    return library, body, (artifact, rows, truth)


def version_of(library, folder, artifact):
    """Return the expected version."""
    if library.version == "params":
        return "params-"
    if library.version:
        return run(folder, f"{library.load}\nprint({library.version})", artifact, *arguments_of(folder)).strip()
    return f"file-{hashlib.sha256(artifact.read_bytes()).hexdigest()[:12]}"


def arguments_of(folder):
    """Return the files of rows and truth."""
    return folder / "rows.npy", folder / "truth.npy"


def cells_of(rows, low, bounds):
    """Return rows per cell of one feature, counted by comparisons: body cells, below, above."""
    inside = rows[(rows >= low) & (rows <= bounds[-1])]
    lower = (-np.inf, *bounds[:-1])
    body = [int(((inside > under) & (inside <= upper)).sum()) for under, upper in zip(lower, bounds, strict=True)]
    return [*body, int((rows < low).sum()), int((rows > bounds[-1]).sum())]


def class_counts(answers):
    """Return rows by class of what a script has printed."""
    counted = Counter()
    for line in answers:
        kind, values = json.loads(line)
        assert kind[:2] in ("<U", "ob", "in", "|O", "|b", "<i") or kind in ("int64", "int32", "object", "bool"), kind
        counted.update(map(str, values))
    return dict(counted)


def told(windows):
    """Return calls, rows, classes and cells of all windows together."""
    classes = Counter()
    for window in windows:
        classes.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    return (
        sum(window.calls for window in windows),
        sum(window.rows for window in windows),
        {name: count for name, count in classes.items() if count},
        sum(window.features.cells for window in windows if window.features is not None),
    )


@pytest.mark.slow
def test_a_script_is_observed_as_numpy_counts_it(served, tmp_path):
    """Bit for bit the same answers; name, version, calls, rows, classes and cells of every call, copies and pools included."""
    library, body, arguments = served
    features = [replace(make_feature(name, (9, 9, 9, 0, 0, 0, 0), bounds=BOUNDS), low=LOW) for name in library.features]
    replace(make_reference(features, model=""), task="unknown").save(tmp_path / "reference.json")
    plain = run(tmp_path, body, *arguments)
    store, reference = tmp_path / "flights.sqlite", tmp_path / "reference.json"
    observed = run(
        tmp_path, body, *arguments, under=True, RADIOSONDE_STORE=str(store), RADIOSONDE_REFERENCE=str(reference)
    )
    assert observed == plain
    windows = open_source(store).windows()
    assert {window.key.model for window in windows} == {library.model}
    calls, rows, classes, cells = told(windows)
    assert (calls, rows) == (CALLS, 5 * 1500 + 3)
    assert classes == class_counts(plain.splitlines())
    seen = np.concatenate([*[ROWS] * 5, ROWS[:3]])
    assert cells[:, :-2].tolist() == [cells_of(column, LOW, BOUNDS) for column in seen.T]
    assert cells[:, -2:].sum() == 0
    version = version_of(library, tmp_path, arguments[0])
    assert sum(window.calls for window in windows if window.key.version.startswith(version)) >= 4


@pytest.mark.slow
def test_without_a_reference_cells_are_the_deciles_of_what_came(served, tmp_path):
    """The grid of the first thousand rows and more, with the bounds that numpy finds in them."""
    library, body, arguments = served
    store = tmp_path / "flights.sqlite"
    run(tmp_path, body, *arguments, "once", under=True, RADIOSONDE_STORE=str(store))
    windows = open_source(store).windows()
    calls, rows, _, cells = told(windows)
    assert (calls, rows) == (1, 1500)
    deciles = np.quantile(ROWS, np.arange(1, 11) / 10, axis=0, method="inverted_cdf")
    assert cells[:, :-2].tolist() == [
        cells_of(column, column.min(), bounds.tolist()) for column, bounds in zip(ROWS.T, deciles.T, strict=True)
    ]
    assert {each.features.names for each in windows if each.features is not None} == {library.features}
