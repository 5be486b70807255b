"""ONNX Runtime's sessions, with models that scikit-learn's converter and `onnx.helper` made."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tests.unit.integrations.networks import attributes, flying, only, run, stored, told

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("skl2onnx")
pytest.importorskip("opentelemetry.instrumentation")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # older scikit-learn on newer SciPy

from onnx import TensorProto, helper  # noqa: E402 - after the question whether there is one
from skl2onnx import to_onnx  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402

from radiosonde_integrations.onnxruntime import OnnxruntimeInstrumentor  # noqa: E402

IRIS = load_iris()
ROWS = np.tile(IRIS.data.astype(np.float32), (8, 1))
"""Enough rows for cells of their own."""
NAMES = np.tile(IRIS.target_names[IRIS.target], 8)
COUNTS = {"setosa": 400, "versicolor": 392, "virginica": 408}
"""Predictions of the logistic regression for its own training rows."""
FOUR = tuple(f"X_{position}" for position in range(4))
OPSETS = {"": 17, "ai.onnx.ml": 3}
"""Versions that the oldest runtime reads."""
CPU = {"providers": ["CPUExecutionProvider"]}


@pytest.fixture
def rs(monkeypatch):
    """Return a flight with ONNX Runtime observed."""
    with flying(monkeypatch, OnnxruntimeInstrumentor()) as flight:
        yield flight


@pytest.fixture(scope="module")
def classifier():
    """Return a classifier of irises by name, fitted."""
    return LogisticRegression(max_iter=1000).fit(ROWS, NAMES)


def converted(model, *, zipmap, **metadata):
    """Return a model as ONNX, with metadata."""
    made = to_onnx(model, ROWS[:1], options={id(model): {"zipmap": zipmap}}, target_opset=OPSETS)
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    return made.SerializeToString()


def graph(nodes, inputs, outputs, initializers=()):
    """Return a session for a graph made by hand."""
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info(*each) for each in inputs],
            [helper.make_tensor_value_info(*each) for each in outputs],
            list(initializers),
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return ort.InferenceSession(made.SerializeToString(), **CPU)


def softmax_net(kind):
    """Return a session that answers with its input, or its softmax."""
    return graph(
        [helper.make_node(kind, ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [None, 3])],
        [("y", TensorProto.FLOAT, [None, 3])],
    )


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("asked", [None, ["probabilities", "label"]])
def test_a_converted_classifier(rs, classifier, zipmap, asked):
    """Labels are classes by name, with confidences, as a list of dictionaries and as a matrix, in any order."""
    names = {True: "output_probability", False: "probabilities"}
    session = ort.InferenceSession(converted(classifier, zipmap=zipmap), **CPU)
    wanted = asked and [
        names[zipmap] if name == "probabilities" else f"{'output_' if zipmap else ''}label" for name in asked
    ]
    session.run(wanted, {"X": ROWS})
    for row in (0, 50, 100):
        session.run(wanted, {"X": ROWS[row : row + 1]})
    assert only(rs) | {"model": ""} == {
        "model": "", "calls": 4, "rows": 1203, "sure": 1203, "values": 0, "features": FOUR,
        "classes": {name: count + 1 for name, count in COUNTS.items()},
    }  # fmt: skip
    (window,) = rs.windows()
    assert window.features.cells.sum(axis=1).tolist() == [1203] * 4


def test_probabilities_alone_are_classes_by_column(rs, classifier):
    """Who asks for no labels gets the columns' numbers."""
    ort.InferenceSession(converted(classifier, zipmap=False), **CPU).run(["probabilities"], {"X": ROWS})
    assert only(rs)["classes"] == dict(zip("012", COUNTS.values(), strict=True))


def test_a_converted_regression(rs):
    """One column is a value."""
    model = LinearRegression().fit(ROWS[:, :3], ROWS[:, 3])
    session = ort.InferenceSession(to_onnx(model, ROWS[:1, :3], target_opset=OPSETS).SerializeToString(), **CPU)
    session.run(None, {"X": ROWS[:, :3]})
    session.run(None, {"X": ROWS[:1, :3]})
    assert {key: only(rs)[key] for key in ("calls", "rows", "values", "classes")} == {
        "calls": 2, "rows": 1201, "values": 1201, "classes": {},
    }  # fmt: skip


def test_inputs_of_one_column_are_features(rs):
    """A model with an input per column has features by their names, text among them."""
    nodes = [helper.make_node("Identity", ["wind"], ["y"]), helper.make_node("Identity", ["place"], ["z"])]
    session = graph(
        nodes,
        [("wind", TensorProto.FLOAT, [None, 1]), ("place", TensorProto.STRING, [None, 1])],
        [("y", TensorProto.FLOAT, [None, 1]), ("z", TensorProto.STRING, [None, 1])],
    )
    wind, place = ROWS[:, :1], np.array([["a"], ["b"]] * 600, object)
    session.run(["y"], {"place": place, "wind": wind})
    session.run(["y"], {"place": place[:1], "wind": wind[:1]})
    said = only(rs)
    assert (said["features"], said["rows"], said["values"]) == (("wind", "place"), 1201, 1201)


def test_images_count_with_their_batch(rs):
    """Other inputs than rows of features are not read; batch size and classes are still counted."""
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("Softmax", ["f"], ["y"])]  # fmt: skip
    session = graph(nodes, [("x", TensorProto.FLOAT, [None, 3, 8, 8])], [("y", TensorProto.FLOAT, [None, 3])])
    images = np.zeros((5, 3, 8, 8), np.float32)
    images[:2, 1], images[2:, 2] = 1.0, 1.0
    session.run(None, {"x": images})
    session.run(None, {"x": images[:1]})
    assert only(rs) == {
        "model": "net", "calls": 2, "rows": 6, "sure": 6, "values": 0, "features": None,
        "classes": {"0": 0, "1": 3, "2": 3},
    }  # fmt: skip


def test_scores_are_no_classes_until_told(rs):
    """Rows that do not sum to one say nothing, and go on saying nothing; a tag makes them logits."""
    session, told_session = softmax_net("Identity"), softmax_net("Identity")
    rs.tag(told_session, name="told", task="classification", classes=["a", "b", "c"])
    scores = np.array([[2.0, -1.0, 0.0], [0.0, 0.0, 3.0]], np.float32)
    for each in (session, told_session):
        each.run(None, {"x": scores})
        each.run(None, {"x": np.array([[0.5, 0.25, 0.25]], np.float32)})
    assert rs.losses() == {}
    by_model = {window.key.model: told(window) for window in rs.windows()}
    assert (by_model["net"]["classes"], by_model["net"]["rows"]) == ({}, 3)
    assert (by_model["told"]["classes"], by_model["told"]["sure"]) == ({"a": 2, "b": 0, "c": 1}, 3)


def test_softmax_is_classes(rs):
    """A single row and a batch whose rows sum to one are classes by column."""
    session = softmax_net("Softmax")
    session.run(None, {"x": np.eye(3, dtype=np.float32)})
    session.run(None, input_feed={"x": np.eye(3, dtype=np.float32)[:1]})
    assert only(rs)["classes"] == {"0": 2, "1": 1, "2": 1}


def test_values_and_bindings(rs):
    """Values of the runtime are read where they are on the CPU; of a binding only the call counts."""
    session = softmax_net("Softmax")
    rows = np.eye(3, dtype=np.float32)
    (answer,) = session.run_with_ort_values(None, {"x": ort.OrtValue.ortvalue_from_numpy(rows)})
    assert answer.numpy().argmax(axis=1).tolist() == [0, 1, 2]
    binding = session.io_binding()
    binding.bind_cpu_input("x", rows)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    assert rs.losses() == {}
    assert [(each.calls, each.rows) for each in rs.windows()] == [(2, 4)]


def test_names_and_versions_of_metadata(rs, classifier, tmp_path):
    """Metadata win over the file; a file's name and digest over nothing."""
    path = tmp_path / "irises.onnx"
    content = converted(classifier, zipmap=False, feature_names='["a", "b", "c", "d"]')
    path.write_bytes(content)
    said = converted(classifier, zipmap=False, model_name="named", version="7", features="a, b, c, d")
    numbered = onnx.load_from_string(content)
    numbered.model_version = 3
    numbered.graph.name = "numbered"
    for source in (str(path), path, content, said, numbered.SerializeToString()):
        ort.InferenceSession(source, **CPU).run(None, {"X": ROWS})
    rs.flush()
    digest = f"file-{hashlib.sha256(content).hexdigest()[:12]}"
    found = {(each.key.model, each.key.version) for each in rs.windows()}
    assert {("irises", digest), ("named", "7"), ("numbered", "3")} < found
    assert [version for name, version in found if name not in ("irises", "named", "numbered")] == [digest]
    assert {each.features.names for each in rs.windows()} == {("a", "b", "c", "d")}


def test_a_file_that_was_replaced_is_not_digested(rs, classifier, tmp_path, monkeypatch):
    """A session is what its file was when it was made; the file's name still names it, from another folder too."""
    path, digests = tmp_path / "irises.onnx", []
    monkeypatch.chdir(tmp_path)
    sessions = []
    for version in ("one", "two"):
        path.write_bytes(converted(classifier, zipmap=False, comment=version))
        digests.append(f"file-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}")
        sessions.append(ort.InferenceSession("irises.onnx", **CPU))
    monkeypatch.chdir("/")
    for session in sessions:
        session.run(None, {"X": ROWS})
    rs.flush()
    assert {window.key[:2] for window in rs.windows()} == {("irises", ""), ("irises", digests[1])}


def test_an_error_is_the_runtimes(rs):
    """The same exception comes out, and counts."""
    with pytest.raises(Exception, match="x"):
        softmax_net("Softmax").run(None, {"x": np.zeros((2, 5), np.float32)})
    (window,) = rs.windows()
    assert sum(window.errors.values()) == 1


def test_undoing():
    """Every attribute is the very object that was there."""
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession, Session

    before = attributes(Session, InferenceSession)
    plugin = OnnxruntimeInstrumentor()
    plugin.instrument()
    assert vars(Session)["run"] is not before[0]["run"]
    plugin.uninstrument()
    for one, other in zip(before, attributes(Session, InferenceSession), strict=True):
        assert one.keys() == other.keys()
        assert all(one[name] is other[name] for name in one)


SERVE = """
import sys
import numpy as np
import onnxruntime as ort

session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
rows = np.load(sys.argv[2])
for part in (rows, rows[:1], rows[70:71]):
    label, probabilities = session.run(None, {"X": part})
    print(label.tolist(), probabilities.tobytes().hex())
"""


def test_a_server_that_nobody_edited(classifier, tmp_path):
    """The same answers to the bit with and without us, and the store knows the model."""
    model, rows = tmp_path / "irises.onnx", tmp_path / "rows.npy"
    model.write_bytes(converted(classifier, zipmap=False))
    np.save(rows, ROWS)
    outputs = [run(SERVE, tmp_path, model, rows, instrumented=each) for each in (False, True)]
    assert outputs[0] == outputs[1]
    (window,) = stored(tmp_path)
    assert told(window) == {
        "model": "irises", "calls": 3, "rows": 1202, "sure": 1202, "values": 0, "features": FOUR,
        "classes": {"setosa": 401, "versicolor": 392, "virginica": 409},
    }  # fmt: skip
    assert window.key.version == f"file-{hashlib.sha256(model.read_bytes()).hexdigest()[:12]}"
    assert window.features.cells.sum(axis=1).tolist() == [1202] * 4
