"""scikit-learn observed by one line: a pipeline that diagnoses tumours, and one measurement that changes its unit.

Name, version, classes and features are the model's own. The training data's profile gives the features their cells.
"""

import tempfile
from collections import Counter
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import radiosonde as rs
from radiosonde.sources import open_source

tumours = load_breast_cancer(as_frame=True)
known, new = tumours.data[:400], tumours.data[400:].copy()
new["mean area"] /= 100  # square centimetres, where the model learnt square millimetres

folder = Path(tempfile.mkdtemp())
rs.Reference.fit(known, model="LogisticRegression").save(folder / "tumours.reference.json")
rs.start(store=folder / "store.db", references={"*": folder / "tumours.reference.json"}, prometheus=False)
rs.instrument("sklearn")  # the one line; under `opentelemetry-instrument python serve.py` not even that

model = make_pipeline(StandardScaler(), LogisticRegression())
model.fit(known, tumours.target_names[tumours.target[:400]])
said = [model.predict(new[at : at + 1])[0] for at in range(len(new))]

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers = Counter()
for window in windows:
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
(key,) = {(window.key.model, window.key.version) for window in windows}
print(f"{key[0]} {key[1]}: {sum(window.calls for window in windows)} calls, answers {dict(answers)}")
names, cells = windows[0].features.names, sum(window.features.cells for window in windows)
for name in ("mean radius", "mean area"):
    row = cells[names.index(name)].tolist()
    print(f"{name:12} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert answers == Counter(said)
assert cells[names.index("mean area")][-4] == len(new)  # every one of them below all that was learnt
