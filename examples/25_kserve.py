"""A server on KServe's Python classes that has never heard of Radiosonde. How it is started observes it.

    RADIOSONDE_STORE=delays.sqlite opentelemetry-instrument python 25_kserve.py
    curl localhost:8080/v1/models/delays:predict -H 'content-type: application/json' -d '{"instances": [[3.0, 0.0, 0.0]]}' -i
    radiosonde diagnose delays.sqlite

The answer has a header `x-prediction-id`, by which `radiosonde.label` takes what the flight really was.
"""

import os
from pathlib import Path

import joblib
import kserve
import numpy as np
from sklearn.linear_model import LogisticRegression


class Delays(kserve.Model):
    def load(self):
        self.model = joblib.load("model.joblib")
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": self.model.predict(np.array(payload["instances"])).tolist()}


if __name__ == "__main__":
    if not Path("model.joblib").exists():  # yours was trained elsewhere
        rows = np.random.default_rng(7).standard_normal((200, 3))
        joblib.dump(LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), "model.joblib")
    delays = Delays("delays")
    delays.load()
    kserve.ModelServer(http_port=int(os.environ.get("PORT", "8080")), enable_grpc=False, workers=1).start([delays])
