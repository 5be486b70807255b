"""CatBoost observed by one line: texts are features, and a category that the model never learnt is counted as such.

CatBoost accepts it like any other, so the fault is silent. The cell `unseen` shows it.
"""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from catboost import CatBoostClassifier
from sklearn.datasets import load_diabetes

import radiosonde as rs
from radiosonde.sources import open_source

patients = load_diabetes(as_frame=True, scaled=False)
features = patients.data[["age", "bmi", "bp"]].assign(sex=np.where(patients.data["sex"] == 1, "female", "male"))
grows = np.where(patients.target > 140, "fast", "slowly")
known, new = features[:300], features[300:].copy()
new.loc[new.index[::2], "sex"] = "F"  # another clinic has words of its own

folder = Path(tempfile.mkdtemp())
rs.Reference.fit(known, model="CatBoostClassifier").save(folder / "diabetes.reference.json")
rs.start(store=folder / "store.db", references={"*": folder / "diabetes.reference.json"}, prometheus=False)
rs.instrument("catboost")  # the one line; under `opentelemetry-instrument python serve.py` not even that

model = CatBoostClassifier(
    iterations=30, cat_features=["sex"], thread_count=1, verbose=False, allow_writing_files=False
)
model.fit(known, grows[:300])
said = model.predict(new)

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers = Counter()
for window in windows:
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
(key,) = {(window.key.model, window.key.version) for window in windows}
print(f"{key[0]} {key[1]}: {sum(window.rows for window in windows)} rows, answers {dict(answers)}")
names, cells = windows[0].features.names, sum(window.features.cells for window in windows)
for name in ("bmi", "sex"):
    row = cells[names.index(name)].tolist()
    print(f"{name} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert answers == Counter(said.ravel().tolist())
assert cells[names.index("sex")][-1] == 71
