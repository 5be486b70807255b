"""A whole application observed by one call: ids in headers, requests by route with their phases, cohorts, a label route."""

import asyncio
import tempfile
from pathlib import Path

import httpx
from fastapi import FastAPI

import radiosonde as rs
from radiosonde.sources import open_source


@rs.observe("delays", version="2.3.1", classes=["early", "late"])
def predict(features: dict[str, float]) -> str:
    return "late" if features["wind"] > 20 else "early"


app = FastAPI()


@app.get("/delays/{carrier}")
def delay(carrier: str, wind: float) -> str:
    return f"{carrier} is {predict({'wind': wind})}"  # the model knows nothing of the request


store = Path(tempfile.mkdtemp()) / "store.db"
rs.start(store=store, cohorts={"carrier": ["AA", "UA"], "plan": ["free", "pro"]}, prometheus=False)
rs.instrument_app(app, cohorts={"carrier": "path:carrier", "plan": "header:x-plan"}, labels_token="secret")


async def main() -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        for carrier, wind in (("UA", 31.0), ("AA", 5.0), ("ZZ", 25.0)):
            answer = await client.get(f"/delays/{carrier}", params={"wind": wind}, headers={"x-plan": "pro"})
            label = {"id": answer.headers["x-prediction-id"], "label": "late"}
            taken = await client.post("/radiosonde/labels", json=label, headers={"Authorization": "Bearer secret"})
            print(carrier, answer.json(), label["id"], taken.status_code)
        refused = await client.get("/delays/UA", params={"wind": "strong"})
        print("refused before any prediction:", refused.status_code)


asyncio.run(main())
rs.shutdown()
print(f"labels joined: {rs.statistics().labels['joined']}")
for window in open_source([store]).windows():
    print(f"{window.key.model:22} {window.key.cohort:22} calls {window.calls} errors {dict(window.errors)}", end=" ")
    print(*window.latency.phases)
