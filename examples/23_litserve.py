"""A LitServe server that has never heard of Radiosonde. How it is started observes it.

    RADIOSONDE_STORE=delays.sqlite opentelemetry-instrument python 23_litserve.py
    curl localhost:8000/predict -H 'content-type: application/json' -d '{"row": [3.0, 0.0, 0.0]}' -i
    radiosonde diagnose delays.sqlite

LitServe answers in one process and predicts in another. The header `x-prediction-id` names the prediction all the same:
`radiosonde.label` takes it, from any process that shares the store.
"""

import os
from pathlib import Path

import joblib
import litserve
import numpy as np
from sklearn.linear_model import LogisticRegression


class Delays(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load("model.joblib")

    def decode_request(self, request):
        return np.array([request["row"]])

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, answer):
        return {"label": str(answer[0])}


if __name__ == "__main__":
    if not Path("model.joblib").exists():  # yours was trained elsewhere
        rows = np.random.default_rng(7).standard_normal((200, 3))
        joblib.dump(LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), "model.joblib")
    server = litserve.LitServer(Delays(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), generate_client_file=False)
