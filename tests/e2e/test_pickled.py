"""What Ray, Dask, Spark, joblib and MLflow do with functions and objects of a script: an observed one observes where it arrives."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

import radiosonde
from radiosonde._api import reviving
from radiosonde._record.recorder import KNOWN
from radiosonde.testing import fly
from tests.e2e import _pickled

HERE = Path(_pickled.__file__).parent
KINDS = sorted(_pickled.made())
JOBLIB = """
from joblib import Parallel, delayed
import radiosonde as rs

@rs.observe("delays")
def predict(row):
    return "late"

def calls():
    from radiosonde._api.surface import SURFACE
    predict({"a": 1.0})
    return sum(window.calls for window in SURFACE.pipeline().snapshot().windows), len(SURFACE.pipeline()._recorders)

if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(predict)({"a": 1.0}) for _ in range(4)), Parallel(n_jobs=1)(delayed(calls)() for _ in range(2)))
    print(max(Parallel(n_jobs=2)(delayed(calls)() for _ in range(6))))
"""


def run(*arguments, **variables):
    """Run a script and return its output."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["cloudpickle", "dill"])
def test_what_is_pickled_by_value_observes_where_it_arrives(library, tmp_path):
    """Every kind of callable of a script, unpickled three times in a process that knows nothing of it, by one recorder each."""
    pytest.importorskip(library)
    run(HERE / "_pickled.py", library, tmp_path)
    counted = json.loads(run(HERE / "_unpickled.py", library, tmp_path))
    assert counted == {kind: [3, "7" if kind == "options" else "", 0, 1] for kind in KINDS}


def test_what_is_pickled_by_value_goes_through_where_radiosonde_is_off(tmp_path):
    """It is called as ever, nothing is counted, and it can be pickled again."""
    run(HERE / "_pickled.py", "cloudpickle", tmp_path)
    assert json.loads(run(HERE / "_unpickled.py", "cloudpickle", tmp_path, RADIOSONDE_DISABLED="true")) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_plain_pickle_takes_what_it_takes_without_us(kind):
    """By name what has one, which is then the very same; what has none comes back observed."""
    with fly() as rs:
        thing = _pickled.made()[kind]
        again = pickle.loads(pickle.dumps(thing))
        assert again.__class__ is thing.__class__
        assert rs is not None
    radiosonde.shutdown()


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda thing: cloudpickle.loads(cloudpickle.dumps(thing))]
)
def test_a_copy_in_the_same_process_is_counted_with_its_original(copied):
    """A model object is copied, deeply or by pickle: one recorder, and both count."""

    class Model:
        def __call__(self, row):
            return "late"

    with fly() as rs:
        predict = rs.observe("m")(Model())
        twin = copied(predict)
        assert [predict([1.0]), twin([1.0])] == ["late", "late"]
        assert sum(window.calls for window in rs.windows()) == 2
        assert len(rs.pipeline()._recorders) == 1


def test_joblib_runs_an_observed_function_of_a_script(tmp_path):
    """Its workers get the function by value, and count."""
    (tmp_path / "script.py").write_text(JOBLIB)
    first, second = run(tmp_path / "script.py").splitlines()
    assert first == "['late', 'late', 'late', 'late'] [(1, 1), (2, 1)]"
    calls, recorders = json.loads(second.replace("(", "[").replace(")", "]"))
    assert calls >= 2
    assert recorders == 1


def test_recorders_kept_for_the_next_task_are_bounded(monkeypatch):
    """The oldest goes, and comes back as a new one with its next task."""
    monkeypatch.setattr(reviving, "MOST_KEPT", 2)
    with fly() as rs:
        bodies = [cloudpickle.dumps(rs.observe(f"m{number}")(lambda row: "late")) for number in range(4)]
    KNOWN.clear()  # as in another process
    try:
        for body in bodies:
            assert cloudpickle.loads(body)([1.0]) == "late"
        assert len(reviving._kept) == 2
    finally:
        reviving._kept.clear()
        radiosonde.shutdown()
