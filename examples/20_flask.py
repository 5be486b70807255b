"""Flask observed by one line: requests with their phases, and the cohort that each request's header names.

The header is the cohort of the request and of its predictions, so two plans are distinguishable in both.
"""

import tempfile
from collections import Counter
from pathlib import Path

from flask import Flask, request
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.sources import open_source

store = Path(tempfile.mkdtemp()) / "store.db"
rs.start(store=store, cohorts={"plan": ["free", "pro"]}, prometheus=False)
rs.instrument("flask", "sklearn", cohorts={"plan": "header:x-plan"})  # the one line; no code, no cohorts

irises = load_iris()
model = LogisticRegression(max_iter=500).fit(irises.data, irises.target_names[irises.target])
app = Flask(__name__)


@app.post("/irises")
def classify():
    return {"kind": str(model.predict([request.json])[0])}


said = Counter()
with app.test_client() as client:
    for number, row in enumerate(irises.data[::10].tolist()):
        plan = "pro" if number % 3 == 0 else "free"
        answer = client.post("/irises", json=row, headers={"x-plan": plan})
        said[f"plan={plan}", answer.json["kind"]] += 1
    print(f"{answer.json} is prediction {answer.headers['x-prediction-id']}")

rs.shutdown()
calls, answers, phases = Counter(), Counter(), set()
for window in open_source([store]).windows():
    calls[window.key.model, window.key.cohort] += window.calls
    for kind, count in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
        answers[window.key.cohort, kind] += count
    phases.update(window.latency.phases)
for (name, cohort), count in sorted(calls.items()):
    print(f"{name:18} {cohort}: {count} calls")
print("phases of the requests:", *sorted(phases))

names = ("LogisticRegression", "POST /irises")
assert calls == {(name, f"plan={plan}"): count for name in names for plan, count in (("free", 10), ("pro", 5))}
assert +answers == said
