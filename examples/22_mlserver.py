"""MLServer needs no code: a model and two files of settings, which this writes.

    RADIOSONDE_STORE=delays.sqlite opentelemetry-instrument mlserver start .
    curl localhost:8080/v2/models/delays/infer -H 'content-type: application/json' -i \
        -d '{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [3.0, 0.0, 0.0]}]}'
    radiosonde diagnose delays.sqlite

The answer has a header `x-prediction-id`, by which `radiosonde.label` takes what the flight really was. It has none with
`parallel_workers`, which predict in another process than the one that answers; they count all the same.
"""

import json
import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

if not Path("model.joblib").exists():  # yours was trained elsewhere
    rows = np.random.default_rng(7).standard_normal((200, 3))
    joblib.dump(LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), "model.joblib")

port = int(os.environ.get("PORT", "8080"))
Path("settings.json").write_text(
    json.dumps(
        {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": int(os.environ.get("GRPC_PORT", port + 1)),
            "metrics_port": int(os.environ.get("METRICS_PORT", port + 2)),
            "parallel_workers": int(os.environ.get("WORKERS", "0")),
        }
    )
)
Path("model-settings.json").write_text(
    json.dumps(
        {
            "name": "delays",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib", "version": "v3"},
        }
    )
)
