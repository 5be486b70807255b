"""XGBoost observed by one line: a classifier from a file, whose digest is its version, and a sensor that falls silent.

XGBoost accepts missing values, so the fault is silent. The cell `null` shows it.
"""

import hashlib
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from xgboost import XGBClassifier

import radiosonde as rs
from radiosonde.sources import open_source

tumours = load_breast_cancer(as_frame=True)
known, new = tumours.data[:400], tumours.data[400:].copy()
new.loc[new.index[100:], "worst texture"] = np.nan  # what comes later lacks a measurement

folder = Path(tempfile.mkdtemp())
rs.Reference.fit(known, model="XGBClassifier").save(folder / "tumours.reference.json")
rs.start(store=folder / "store.db", references={"*": folder / "tumours.reference.json"}, prometheus=False)
rs.instrument("xgboost")  # the one line; under `opentelemetry-instrument python serve.py` not even that

XGBClassifier(n_estimators=20, n_jobs=1).fit(known, tumours.target[:400]).save_model(folder / "tumours.json")
model = XGBClassifier(n_jobs=1)
model.load_model(folder / "tumours.json")
said = model.predict_proba(new)

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers, sure = Counter(), 0
for window in windows:
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    sure += window.output.confidence[:, -1].sum()  # the last of twenty bins
(key,) = {(window.key.model, window.key.version) for window in windows}
print(f"{key[0]} {key[1]}: answers {dict(answers)}, {sure} of them with a confidence over 0.95")
names, cells = windows[0].features.names, sum(window.features.cells for window in windows)
for name in ("mean texture", "worst texture"):
    row = cells[names.index(name)].tolist()
    print(f"{name:13} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert answers == Counter(str(row.argmax()) for row in said)
assert key[1] == f"file-{hashlib.sha256((folder / 'tumours.json').read_bytes()).hexdigest()[:12]}"
assert cells[names.index("worst texture")][-2] == 69
