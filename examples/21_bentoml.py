"""A BentoML service that has never heard of Radiosonde. How it is started observes it.

    RADIOSONDE_STORE=delays.sqlite opentelemetry-instrument bentoml serve 21_bentoml:Delays
    curl localhost:3000/predict -H 'content-type: application/json' -d '{"row": [3.0, 0.0, 0.0]}' -i
    radiosonde diagnose delays.sqlite

The answer has a header `x-prediction-id`, by which `radiosonde.label` takes what the flight really was.
"""

from pathlib import Path

import bentoml
import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

if not Path("model.joblib").exists():  # yours was trained elsewhere
    rows = np.random.default_rng(7).standard_normal((200, 3))
    joblib.dump(LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), "model.joblib")


@bentoml.service(workers=2)
class Delays:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, row: list[float]) -> dict:
        return {"label": str(self.model.predict(np.array([row]))[0])}
