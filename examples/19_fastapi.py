"""FastAPI observed by one line: a server that predicts with scikit-learn and knows nothing of Radiosonde.

Each request is counted under its route, beside the model it asked; the response says which prediction it was. What can be
wished for besides, cohorts and a label route, takes `rs.instrument_app`: see 11_web_app.py.
"""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import httpx
from fastapi import FastAPI
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.sources import open_source

store = Path(tempfile.mkdtemp()) / "store.db"
rs.start(store=store, prometheus=False)
rs.instrument("fastapi", "sklearn")  # the one line; under `opentelemetry-instrument uvicorn server:app` not even that

irises = load_iris()
model = LogisticRegression(max_iter=500).fit(irises.data, irises.target_names[irises.target])
app = FastAPI()


@app.post("/irises/{garden}")
def classify(garden: str, measured: list[float]) -> dict[str, str]:
    return {"garden": garden, "kind": str(model.predict([measured])[0])}


async def main() -> tuple[list[str], list[int]]:
    said = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        for row in irises.data[::10].tolist():
            answer = await client.post("/irises/kew", json=row)
            said.append(answer.json()["kind"])
        print(f"{answer.json()} is prediction {answer.headers['x-prediction-id']}")
        wrong = [await client.post("/irises/kew", json=body) for body in ("long", [None])]
    return said, [answer.status_code for answer in wrong]


said, statuses = asyncio.run(main())
rs.shutdown()
calls, answers, errors = Counter(), Counter(), Counter()
for window in open_source([store]).windows():
    calls[window.key.model] += window.calls
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
    errors.update(window.errors)
print(f"calls {dict(calls)}, answers {dict(answers)}, errors {dict(errors)}")

assert calls == {"LogisticRegression": 15, "POST /irises/{garden}": 17}
assert answers == Counter(said)
assert (statuses, errors) == ([422, 422], {"422": 2})
