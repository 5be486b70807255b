"""Users' scripts that have never heard of Radiosonde, in interpreters of their own, with and without it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde.sources.opening import open_source

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

TRAIN = """
import sys
import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y.map({0: "malignant", 1: "benign"}))
joblib.dump({"model": model, "threshold": 0.5}, sys.argv[1])
"""

SERVE = """
import copy, json, pickle, sys
import joblib
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

class Majority(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.parts_ = [DecisionTreeClassifier(max_depth=2, random_state=seed).fit(X, y) for seed in range(3)]
        return self

    def predict(self, X):
        return np.median([part.predict(X) for part in self.parts_], axis=0).astype(int)

def digest(array):
    return [str(array.dtype), array.shape, array.tolist()]

if __name__ == "__main__":
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    answers = []
    model = joblib.load(sys.argv[1])["model"]
    answers.append(digest(model.predict_proba(X)))
    for row in range(0, 50):
        answers.append(digest(model.predict(X.iloc[[row]])))

    forest = RandomForestClassifier(10, n_jobs=2, random_state=0).fit(X, y)
    answers.append(digest(forest.predict_proba(X[:100])))

    mine = Majority().fit(X, y)
    bag = BaggingClassifier(mine, n_estimators=4, n_jobs=2, random_state=0).fit(X, y)
    answers.append(digest(bag.predict(X[:200])))                        # in processes, for this prediction
    with joblib.parallel_config("loky", n_jobs=2):
        parts = joblib.Parallel()(joblib.delayed(mine.predict)(X[at : at + 100]) for at in (0, 100, 200, 300))
    answers.append(digest(np.concatenate(parts)))                       # in processes, each a prediction there
    for other in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine)), clone(mine).fit(X, y)):
        assert (other.predict(X[:3]) == mine.predict(X[:3])).all()
    print(json.dumps(answers))
"""


def run(script, *arguments, instrumented=False, **environment):
    """Run a script in a fresh interpreter and return its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "RADIOSONDE_"))}
    agent = [str(Path(sys.executable).with_name("opentelemetry-instrument"))] if instrumented else []
    result = subprocess.run(
        [*agent, sys.executable, str(script), *map(str, arguments)],
        env={**inherited, "PYTHONWARNINGS": "ignore", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "radiosonde" not in result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the scripts and a trained model."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "train.py").write_text(TRAIN)
    (folder / "serve.py").write_text(SERVE)
    run(folder / "train.py", folder / "model.joblib")
    return folder


@pytest.mark.slow  # five interpreters that import scikit-learn
def test_an_untouched_script_is_observed_and_answers_the_same(folder):
    """Bit for bit the same answers; calls, names, version, classes and cells of each model are in the store."""
    plain = run(folder / "serve.py", folder / "model.joblib")
    store = folder / "flights.sqlite"
    observed = run(folder / "serve.py", folder / "model.joblib", instrumented=True, RADIOSONDE_STORE=str(store))
    assert observed == plain
    windows = open_source(store).windows()
    calls, rows = {}, {}
    for window in windows:
        calls[window.key.model] = calls.get(window.key.model, 0) + window.calls
        rows[window.key.model] = rows.get(window.key.model, 0) + window.rows
    # Of `Majority`: six comparisons here, and four tasks in the workers, which the bag's parts are not among.
    assert calls == {"LogisticRegression": 51, "RandomForestClassifier": 1, "BaggingClassifier": 1, "Majority": 10}
    assert rows == {"LogisticRegression": 619, "RandomForestClassifier": 100, "BaggingClassifier": 200, "Majority": 418}

    answers = json.loads(plain)
    served = [window for window in windows if window.key.model == "LogisticRegression"]
    digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()[:12]
    assert {window.key.version for window in served} == {f"file-{digest}"}
    expected = {"benign": 0, "malignant": 0}
    for first, second in answers[0][2]:
        expected["benign" if first >= second else "malignant"] += 1
    for answer in answers[1:51]:
        expected[answer[2][0]] += 1
    found = {"benign": 0, "malignant": 0}
    for window in served:
        for name, count in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
            found[name] += count
    assert found == expected
    cells = [window.features for window in served if window.features is not None]
    assert {each.names[0] for each in cells} == {"mean radius"}
    assert {len(each.names) for each in cells} == {30}
    assert sum(each.cells.sum() for each in cells) == 619 * 30


def test_what_the_environment_says_of_the_model_wins(folder):
    """Name, version and variant can be set from outside."""
    (folder / "one.py").write_text(
        "import sys, joblib\nfrom sklearn.datasets import load_breast_cancer\n"
        "model = joblib.load(sys.argv[1])['model']\n"
        "print(model.predict(load_breast_cancer(as_frame=True).data[:3]).tolist())\n"
    )
    store = folder / "named.sqlite"
    tags = {"RADIOSONDE_MODEL_NAME": "cancer", "RADIOSONDE_MODEL_VERSION": "7", "RADIOSONDE_MODEL_VARIANT": "canary"}
    run(folder / "one.py", folder / "model.joblib", instrumented=True, RADIOSONDE_STORE=str(store), **tags)
    assert {window.key[:3] for window in open_source(store).windows()} == {("cancer", "7", "canary")}
