"""LightGBM observed by one line: a regression, whose answers are values, and a feature that is worked out wrongly.

Leaf indices and contributions are no predictions, so explaining an answer does not count it twice.
"""

import tempfile
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.datasets import load_diabetes

import radiosonde as rs
from radiosonde.sources import open_source

patients = load_diabetes(as_frame=True, scaled=False)
known, new = patients.data[:300], patients.data[300:].copy()
new["bmi"] = new["bmi"].where(new.index < 370, new["bmi"] / 703)  # pounds and inches, taken for kilograms and metres

folder = Path(tempfile.mkdtemp())
rs.Reference.fit(known, model="LGBMRegressor").save(folder / "diabetes.reference.json")
rs.start(store=folder / "store.db", references={"*": folder / "diabetes.reference.json"}, prometheus=False)
rs.instrument("lightgbm")  # the one line; under `opentelemetry-instrument python serve.py` not even that

model = lightgbm.LGBMRegressor(n_estimators=30, n_jobs=1, verbose=-1).fit(known, patients.target[:300])
said = model.predict(new)
model.predict(new, pred_contrib=True)

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
(key,) = {(window.key.model, window.key.version) for window in windows}
rows, total = sum(window.rows for window in windows), sum(window.output.value_sum for window in windows)
print(f"{key[0]} {key[1]}: {sum(window.calls for window in windows)} call, {rows} rows, mean answer {total / rows:.1f}")
names, cells = windows[0].features.names, sum(window.features.cells for window in windows)
for name in ("age", "bmi"):
    row = cells[names.index(name)].tolist()
    print(f"{name} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert rows == len(new)
assert np.isclose(total, said.sum())
assert cells[names.index("bmi")][-4] == 72  # below all that was learnt
