"""MLflow observed by one line: a registered model keeps its name and version, for any library inside."""

import logging
import os
import tempfile
from collections import Counter
from pathlib import Path

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # read at import; runs and registry in a folder are enough here

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.sources import open_source

folder = Path(tempfile.mkdtemp())
irises = load_iris(as_frame=True)
rows, kinds = irises.data, irises.target_names[irises.target]
rs.Reference.fit(rows, model="irises").save(folder / "irises.reference.json")
rs.start(store=folder / "store.db", references={"irises": folder / "irises.reference.json"}, prometheus=False)
rs.instrument("mlflow")  # the one line; under `opentelemetry-instrument python serve.py` not even that

logging.getLogger("mlflow").setLevel("ERROR")  # it would warn of pickles, and of what the environment lacks
mlflow.set_tracking_uri((folder / "runs").as_uri())
mlflow.set_registry_uri((folder / "runs").as_uri())
client = mlflow.MlflowClient()
client.create_registered_model("irises")
said = []
for version, strength in (("1", 0.001), ("2", 1.0)):
    model = LogisticRegression(C=strength, max_iter=500).fit(rows, kinds)
    mlflow.sklearn.save_model(model, folder / version, serialization_format="cloudpickle", pip_requirements=[])
    client.create_model_version("irises", str(folder / version))
    loaded = mlflow.pyfunc.load_model(f"models:/irises/{version}")
    said += [loaded.predict(rows), loaded.predict(rows[:50] / 2.54)]  # centimetres, and then inches

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers = {"1": Counter(), "2": Counter()}
for window in windows:
    counted = zip(window.output.classes, window.output.class_counts.tolist(), strict=True)
    answers[window.key.version].update(dict(counted))
for version, counts in answers.items():
    print(f"irises {version}: answers {dict(counts)}")
cells = sum(window.features.cells for window in windows)
for name, row in zip(windows[0].features.names, cells.tolist(), strict=True):
    print(f"{name:17} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert {window.key.model for window in windows} == {"irises"}
assert cells[0].tolist()[-4:] == [100, 0, 0, 0]
assert answers == {"1": Counter([*said[0], *said[1]]), "2": Counter([*said[2], *said[3]])}
