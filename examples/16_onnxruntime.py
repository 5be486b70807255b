"""ONNX Runtime observed by one line: a model that was exported, with what its file says of itself."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.sources import open_source

irises = load_iris()
rows = irises.data.astype(np.float32)
names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

folder = Path(tempfile.mkdtemp())
reference = rs.Reference.fit(dict(zip(names, rows.T, strict=True)), model="irises")
reference.save(folder / "irises.reference.json")
rs.start(store=folder / "store.db", references={"irises": folder / "irises.reference.json"}, prometheus=False)
rs.instrument("onnxruntime")  # the one line; under `opentelemetry-instrument python serve.py` not even that

graph = to_onnx(LogisticRegression(max_iter=500).fit(rows, irises.target_names[irises.target]), rows[:1])
onnx.helper.set_model_props(graph, {"model_version": "7", "feature_names": json.dumps(names)})
onnx.save(graph, folder / "irises.onnx")
session = onnxruntime.InferenceSession(folder / "irises.onnx", providers=["CPUExecutionProvider"])
labels, _ = session.run(None, {"X": rows})
large, _ = session.run(None, {"X": rows[:50] * 25.4})  # inches, says the one; millimetres, the other

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers = Counter()
for window in windows:
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
(key,) = {(window.key.model, window.key.version) for window in windows}
print(f"{key[0]} {key[1]}: {sum(window.calls for window in windows)} calls, answers {dict(answers)}")
cells = sum(window.features.cells for window in windows)
for name, row in zip(windows[0].features.names, cells.tolist(), strict=True):
    print(f"{name:12} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert key == ("irises", "7")
assert answers == Counter([*labels, *large])
assert windows[0].features.names == tuple(names)
assert cells[0].tolist()[-4:] == [0, 50, 0, 0]
