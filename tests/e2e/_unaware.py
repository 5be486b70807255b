"""Servers that have never heard of Radiosonde, on a scikit-learn model; for `opentelemetry-instrument`."""

from __future__ import annotations

import fastapi
import flask
import numpy as np
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(7).standard_normal((200, 3))
model = LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early"))
api, web = fastapi.FastAPI(), flask.Flask(__name__)


@api.get("/delays/{carrier}")
def delay(carrier: str, wind: float) -> str:
    """Predict in the thread pool."""
    return str(model.predict(np.array([[wind, 0.0, 0.0]]))[0])


@web.get("/delays/<carrier>")
def delay_too(carrier: str) -> str:
    """Predict in the worker's thread."""
    return str(model.predict(np.array([[float(flask.request.args["wind"]), 0.0, 0.0]]))[0])
