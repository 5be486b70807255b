"""PyTorch's modules: a small network that was really trained, and what people do with modules."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import weakref

import numpy as np
import pytest

from tests.unit.integrations.networks import attributes, flying, only, run, stored, told

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # or some versions start processes that never end
torch = pytest.importorskip("torch")
pytest.importorskip("opentelemetry.instrumentation")

from radiosonde_integrations.torch import TorchInstrumentor  # noqa: E402 - after the question whether there is one

nn = torch.nn
ROWS = torch.from_numpy(np.random.default_rng(7).normal(size=(1200, 3)).astype(np.float32))
"""Enough rows for cells of their own."""
WARM = (ROWS[:, 0] > 0).long()


class Net(nn.Module):
    """A classifier of rows; answers with logits, or with probabilities."""

    def __init__(self, last=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        self.last = last or nn.Identity()

    def forward(self, rows):
        return self.last(self.body(rows))


class Pool(nn.Module):
    """A classifier of images."""

    def forward(self, images, *, scale=1.0):
        return torch.softmax(images.mean(dim=(2, 3)) * scale, dim=1)


def trained(last=None):
    """Return a network that distinguishes warm rows from cold ones, in eval mode."""
    torch.manual_seed(7)
    net = Net()
    steps = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(60):
        steps.zero_grad()
        nn.functional.cross_entropy(net(ROWS), WARM).backward()
        steps.step()
    net.last = last or nn.Identity()
    return net.eval()


@pytest.fixture
def rs(monkeypatch):
    """Return a flight with PyTorch observed."""
    with flying(monkeypatch, TorchInstrumentor()) as flight:
        yield flight


def agreeing(classes):
    """Return whether class counts are those of the trained network, give or take the rows on the border."""
    return abs(classes["1"] - int(WARM.sum())) <= 24


def test_a_classifier_is_counted_once_a_call(rs):
    """Training does not count, nor do the layers; probabilities are classes by column."""
    net = trained(nn.Softmax(dim=1))
    with torch.inference_mode():
        net(ROWS)
        for row in range(5):
            net(ROWS[row : row + 1])
    said = only(rs)
    assert agreeing(said["classes"])
    assert said | {"classes": {}} == {
        "model": "Net", "calls": 6, "rows": 1205, "sure": 1205, "values": 0, "features": ("f0", "f1", "f2"),
        "classes": {},
    }  # fmt: skip
    (window,) = rs.windows()
    assert window.features.cells.sum(axis=1).tolist() == [1205] * 3


def test_a_tag_tells_what_logits_are(rs):
    """Logits are nothing by themselves; a tag names their classes and the features."""
    plain, tagged = trained(), trained()
    rs.tag(tagged, name="warmth", version="3", task="classification", classes=["0", "1"], features=["t", "h", "p"])
    for net in (plain, tagged):
        net(ROWS)
    assert rs.losses() == {}
    by_model = {window.key.model: window for window in rs.windows()}
    assert told(by_model["Net"]) | {"features": ()} == {
        "model": "Net", "calls": 1, "rows": 1200, "sure": 0, "values": 0, "features": (), "classes": {},
    }  # fmt: skip
    said = told(by_model["warmth"])
    assert (said["features"], said["sure"], by_model["warmth"].key.version) == (("t", "h", "p"), 1200, "3")
    assert agreeing(said["classes"])


def test_a_single_column_is_a_value(rs):
    """A regression answers with a column, a vector or a number."""
    for net in (
        nn.Linear(3, 1),
        nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)),
        nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)),
    ):
        net.eval()(ROWS)
        net(ROWS[0])
    assert rs.losses() == {}
    assert sum(told(window)["values"] for window in rs.windows()) == 3 * 1201


def test_images_and_keywords_count_with_their_batch(rs):
    """Other inputs than rows of features are not read; classes are."""
    images = torch.zeros(5, 3, 8, 8)
    images[:2, 1], images[2:, 2] = 1.0, 1.0
    net = Pool().eval()
    net(images, scale=9.0)
    net(images=images[:1])
    assert only(rs) == {
        "model": "Pool", "calls": 2, "rows": 6, "sure": 6, "values": 0, "features": None,
        "classes": {"0": 0, "1": 3, "2": 3},
    }  # fmt: skip


@pytest.mark.parametrize("pack", [lambda rows: {"rows": rows}, lambda rows: [rows], lambda rows: (3, rows)])
def test_a_batch_in_a_dictionary_or_list_counts_its_rows(rs, pack):
    """Rows and classes are those of the tensors inside; features are not read."""

    class Packed(nn.Module):
        def forward(self, batch):
            return torch.softmax((batch["rows"] if isinstance(batch, dict) else batch[-1])[:, :2], dim=1)

    Packed().eval()(pack(ROWS))
    classes = torch.softmax(ROWS[:, :2], dim=1).argmax(dim=1).bincount().tolist()
    assert only(rs) == {
        "model": "Packed", "calls": 1, "rows": 1200, "sure": 1200, "values": 0, "features": None,
        "classes": {"0": classes[0], "1": classes[1]},
    }  # fmt: skip


def test_frozen_parts_of_what_is_trained_do_not_predict(rs):
    """A backbone in eval mode inside a network in training mode is not a prediction; alone it is one."""
    net = trained().train()
    net.body.eval()
    for _ in range(3):
        net(ROWS).sum().backward()
    torch.compile(net, backend="eager", fullgraph=True)(ROWS).sum().backward()
    with pytest.raises(RuntimeError, match="shapes"):
        net(ROWS[:, :2])
    assert rs.windows() == ()
    net.body(ROWS)
    assert only(rs)["calls"] == 1


def test_half_precision(rs):
    """bfloat16, which numpy does not have, is read as single precision."""
    net = nn.Softmax(dim=1).eval()
    net(ROWS.bfloat16())
    net(ROWS.half())
    assert only(rs)["sure"] == 2400


def test_what_is_on_a_device_is_not_read(rs):
    """A tensor without values at hand counts with its batch size."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1)).to("meta").eval()
    net(ROWS.to("meta"))
    rs.flush()
    assert only(rs) == {
        "model": "Sequential", "calls": 1, "rows": 1200, "sure": 0, "values": 0, "features": None, "classes": {},
    }  # fmt: skip
    (window,) = rs.windows()
    assert window.key.version == ""


def test_gradients_are_the_users(rs):
    """Evaluation with gradients works as before, and nothing of its graph is kept."""
    net = trained(nn.Softmax(dim=1))
    rows = ROWS.clone().requires_grad_()
    answer = net(rows)
    answer.sum().backward()
    assert rows.grad is not None
    gone = weakref.ref(answer), weakref.ref(rows)
    del answer, rows
    gc.collect()
    assert [each() for each in gone] == [None, None]
    assert only(rs)["sure"] == 1200


def test_only_named_modules(monkeypatch):
    """Named objects and classes count wherever they are called, and nothing else does."""
    first, second = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), trained(nn.Softmax(dim=1))
    whole = nn.Sequential(first, nn.Linear(2, 3), second).eval()
    with flying(monkeypatch, TorchInstrumentor(), modules=[first, Net]) as rs:
        rs.tag(first, name="first")
        whole(ROWS)
        whole.train()(ROWS)
        assert {each.key.model: each.calls for each in rs.windows()} == {"first": 1, "Net": 1}
    identities = TorchInstrumentor()._named
    assert first in identities
    place = id(first)
    del whole, first
    gc.collect()
    assert place not in identities._known


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning")
def test_compiled_scripted_and_traced_modules(rs):
    """Compiling captures whole graphs as before, tracing is not a prediction, and compiled and traced modules are observed."""
    net = trained(nn.Softmax(dim=1))
    expected = trained(nn.Softmax(dim=1)).train()(ROWS)
    made = {
        "compiled": torch.compile(net, backend="eager", fullgraph=True),
        "traced": torch.jit.trace(net, ROWS[:2]),
        "scripted": torch.jit.script(net),
    }
    made["frozen"] = torch.jit.freeze(made["scripted"])
    kept = io.BytesIO()
    torch.jit.save(made["scripted"], kept)
    kept.seek(0)
    made["loaded"] = torch.jit.load(kept).eval()
    for name, module in made.items():
        rs.tag(module, name=name)
        for _ in range(3):
            assert torch.equal(module(ROWS), expected), name
    assert {each.key.model: (each.calls, each.rows) for each in rs.windows()} == dict.fromkeys(made, (3, 3600))
    assert torch.jit.script(trained()).original_name == "Net"


def test_each_module_is_compiled_for_itself(rs):
    """Many compiled modules do not share, and overflow, one function's room for compiled versions."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    kinds = [
        type(f"Net{number}", (nn.Module,), {"forward": eval(f"lambda self, rows: rows * {number}")})
        for number in range(12)
    ]
    for kind in kinds:
        torch.compile(kind().eval(), backend=backend, fullgraph=True)(ROWS)
    assert len(graphs) == 12
    assert sum(window.calls for window in rs.windows()) == 12


def test_a_compiled_module_has_the_name_of_what_was_compiled(rs):
    """A wrapper is not a model; a tag of the wrapped module is used."""
    for net in (trained(), trained()):
        torch.compile(net, backend="eager")(ROWS)
        rs.tag(net, name="never", version="too late")
    tagged = trained()
    rs.tag(tagged, name="inside", version="5")
    nn.DataParallel(tagged)(ROWS) if not torch.cuda.is_available() else torch.compile(tagged, backend="eager")(ROWS)
    rs.flush()
    assert {each.key.model for each in rs.windows()} == {"Net", "inside"}


def test_exporting_is_no_prediction(rs):
    """A program is captured without a graph break or a count."""
    program = torch.export.export(trained(), (ROWS,))
    assert rs.windows() == ()
    assert program.module()(ROWS).shape == (1200, 2)


def test_versions(rs):
    """A version attribute wins over the digest of the weights, which training changes and copying does not."""
    net, other, said = trained(), trained(), trained()
    with torch.no_grad():
        other.body[0].weight[0, 0] += 1.0
    said.version = "7"
    for each in (net, copy.deepcopy(net), other, said):
        each(ROWS)
        rs.flush()
    versions = {window.key.version for window in rs.windows()}
    assert len(versions) == 3
    assert "7" in versions
    assert sum(version.startswith("params-") and len(version) == 19 for version in versions) == 2


def test_modules_are_copied_and_pickled(rs):
    """Instances store nothing of Radiosonde."""
    net = trained()
    net(ROWS)
    twin = pickle.loads(pickle.dumps(net.body))
    assert torch.equal(twin(ROWS), net.body(ROWS))
    assert vars(copy.deepcopy(net)).keys() == vars(net).keys()
    assert pickle.loads(pickle.dumps(nn.Module.__call__)) is nn.Module.__call__


def test_undoing():
    """Every attribute is the very object that was there."""
    before = attributes(nn.Module, torch.jit, torch.export)
    plugin = TorchInstrumentor()
    plugin.instrument()
    assert vars(nn.Module)["__call__"] is not before[0]["__call__"]
    plugin.uninstrument()
    for one, other in zip(before, attributes(nn.Module, torch.jit, torch.export), strict=True):
        assert one.keys() == other.keys()
        assert all(one[name] is other[name] for name in one)


SERVE = """
import sys
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2), torch.nn.Softmax(dim=1))

    def forward(self, rows):
        return self.body(rows)

torch.manual_seed(7)
net = Net()
net.load_state_dict(torch.load(sys.argv[1], weights_only=True), strict=False)
net.eval()
rows = torch.load(sys.argv[2], weights_only=True)
with torch.inference_mode():
    for part in (rows, rows[:1], rows[70:71]):
        print(net(part).numpy().tobytes().hex())
"""


def test_a_server_that_nobody_edited(tmp_path):
    """The same answers to the bit with and without us, and the store knows the model."""
    weights, rows = tmp_path / "net.pt", tmp_path / "rows.pt"
    torch.save(trained().state_dict(), weights)
    torch.save(ROWS, rows)
    outputs = [run(SERVE, tmp_path, weights, rows, instrumented=each) for each in (False, True)]
    assert outputs[0] == outputs[1]
    (window,) = stored(tmp_path)
    said = told(window)
    assert agreeing(said["classes"])
    assert said | {"classes": {}} == {
        "model": "Net", "calls": 3, "rows": 1202, "sure": 1202, "values": 0, "features": ("f0", "f1", "f2"),
        "classes": {},
    }  # fmt: skip
    assert window.key.version.startswith("params-")
    assert window.features.cells.sum(axis=1).tolist() == [1202] * 3
