"""A Ray Serve application that has never heard of Radiosonde. How it is started observes it.

    export RADIOSONDE_SPOOL=spool RADIOSONDE_AGENT=1
    radiosonde agent --spool spool --store delays.sqlite &
    opentelemetry-instrument python 24_ray.py
    curl localhost:8000/predict -H 'content-type: application/json' -d '{"row": [3.0, 0.0, 0.0]}' -i
    radiosonde diagnose delays.sqlite

Ray ends its workers as it likes; what they counted is in the spool by then, and the agent takes it from there.
"""

import os
from pathlib import Path
from typing import Annotated

import fastapi
import joblib
import numpy as np
import ray
from ray import serve
from sklearn.linear_model import LogisticRegression

api = fastapi.FastAPI()
place = Path("model.joblib").absolute()  # replicas may run elsewhere
if not place.exists():  # yours was trained elsewhere
    rows = np.random.default_rng(7).standard_normal((200, 3))
    joblib.dump(LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), place)


@serve.deployment(num_replicas=2)
@serve.ingress(api)
class Delays:
    def __init__(self):
        self.model = joblib.load(place)

    @api.post("/predict")
    def predict(self, row: Annotated[list[float], fastapi.Body(embed=True)]):
        return {"label": str(self.model.predict(np.array([row]))[0])}


ray.init(include_dashboard=False, num_cpus=3, _node_ip_address="127.0.0.1", _temp_dir=os.environ.get("RAY_FOLDER"))
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ.get("PORT", "8000"))})
serve.run(Delays.bind(), blocking=True)
