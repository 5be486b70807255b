"""Which file a model came from, and its digest."""

from __future__ import annotations

import gc
import gzip
import io
import pickle
import weakref
from hashlib import sha256

import pytest

from radiosonde_integrations._artifacts import ARTIFACTS, artifact_version
from radiosonde_integrations._versions import version_of


class Model:
    """Something that predicts."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def predict(self, rows):
        """Return the weight a row."""
        return [self.weight for _ in rows]


@pytest.fixture
def watching():
    """Watch loads."""
    ARTIFACTS.watch()
    yield
    ARTIFACTS.unwatch()


def digest(path):
    """Return the version of a file."""
    return f"file-{sha256(path.read_bytes()).hexdigest()[:12]}"


@pytest.fixture
def file(tmp_path):
    """Return a file with a model in it."""
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Model()))
    return path


def load(path):
    """Load a file in the usual way."""
    with path.open("rb") as opened:
        return pickle.load(opened)


def test_a_model_knows_the_digest_of_its_file(watching, file):
    """The version is that of the file, for any model, and the model stores nothing of it."""
    model = load(file)
    assert artifact_version(model)() == digest(file)
    assert version_of(model)() == digest(file)
    assert vars(model) == {"weight": 1.0}


@pytest.mark.parametrize("wrap", [lambda model: {"model": model, "threshold": 0.5}, lambda model: (["a", "b"], model)])
def test_a_model_one_level_deep_is_found(watching, tmp_path, wrap):
    """In a dict or a tuple that was saved with other things."""
    path = tmp_path / "artifact.pkl"
    path.write_bytes(pickle.dumps(wrap(Model())))
    loaded = load(path)
    model = loaded["model"] if isinstance(loaded, dict) else loaded[1]
    assert artifact_version(model)() == digest(path)


def test_joblib_loads_are_seen(watching, tmp_path):
    """By path or open file, compressed or not."""
    joblib = pytest.importorskip("joblib")
    for name, options in {"plain": {}, "small": {"compress": 3}}.items():
        joblib.dump(Model(), tmp_path / name, **options)
        assert artifact_version(joblib.load(tmp_path / name))() == digest(tmp_path / name)
        model = joblib.load(filename=str(tmp_path / name))
        assert artifact_version(model)() == digest(tmp_path / name)
    with (tmp_path / "plain").open("rb") as opened:
        model = joblib.load(opened)
    assert artifact_version(model)() == digest(tmp_path / "plain")


def test_a_compressed_file_is_digested_as_it_lies_there(watching, tmp_path):
    """Its bytes on disk count."""
    path = tmp_path / "model.pkl.gz"
    with gzip.open(path, "wb") as opened:
        pickle.dump(Model(), opened)
    with gzip.open(path, "rb") as opened:
        model = pickle.load(opened)
    assert artifact_version(model)() == digest(path)


def test_a_file_that_has_changed_since_says_nothing(watching, file):
    """The parameters are the version then; and when the file is gone."""
    changed, gone = load(file), load(file)
    file.write_bytes(file.read_bytes() + b" ")
    assert artifact_version(changed)() == ""
    assert version_of(changed)().startswith("params-")
    file.unlink()
    assert version_of(gone)().startswith("params-")


def test_what_is_no_file_or_no_model_is_left_alone(watching, file, tmp_path):
    """Bytes in memory have no file; a list of numbers has no version; errors are pickle's own."""
    assert artifact_version(pickle.load(io.BytesIO(pickle.dumps(Model())))) is None
    path = tmp_path / "numbers"
    path.write_bytes(pickle.dumps([1, 2]))
    before = dict(ARTIFACTS._known)
    assert load(path) == [1, 2]
    assert before == ARTIFACTS._known
    with pytest.raises(EOFError):
        pickle.load(io.BytesIO(b""))


def test_nothing_is_kept_of_a_model_that_is_gone(watching, file):
    """Neither the model, nor its description, nor its version function is kept."""
    model = load(file)
    place, tell = id(model), version_of(model)
    del model
    gc.collect()
    assert place not in ARTIFACTS._known
    assert tell() == digest(file)


def test_a_model_that_is_loaded_into_again_leaves_nothing_behind(watching, file):
    """What waits for its end does not grow with its loads."""
    model = load(file)
    for _ in range(5):
        ARTIFACTS.forget(model)
        ARTIFACTS.remember(model, str(file))
    assert artifact_version(model)() == digest(file)
    waiting = [each for each in weakref.finalize._registry if each.peek() and each.peek()[0] is model]
    assert len(waiting) == 1


def test_a_forgotten_model_is_known_by_its_parameters(watching, file):
    """It was fitted again."""
    model = load(file)
    ARTIFACTS.forget(model)
    assert version_of(model)().startswith("params-")


def test_the_functions_are_put_back_when_the_last_watcher_goes(watching):
    """In any order, the same objects; and meanwhile they are pickled by name."""
    joblib = pytest.importorskip("joblib")
    ARTIFACTS.unwatch()
    before = pickle.load, joblib.load
    ARTIFACTS.watch()
    ARTIFACTS.watch()
    assert pickle.loads(pickle.dumps(joblib.load)) is joblib.load
    assert pickle.loads(pickle.dumps(pickle.load)) is pickle.load
    ARTIFACTS.unwatch()
    assert pickle.load is not before[0]
    ARTIFACTS.unwatch()
    assert (pickle.load, joblib.load) == before
    ARTIFACTS.watch()


@pytest.mark.parametrize(("name", "value"), [("version", "2.1"), ("__version__", "2.1"), ("model_version", 7)])
def test_a_version_the_user_gave_the_object_is_the_version(name, value):
    """An attribute wins over the file and the parameters; of an inner model too."""
    model = Model()
    setattr(model, name, value)
    assert version_of(model) == str(value)
    assert version_of(Model(), model) == str(value)
