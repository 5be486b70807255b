"""A model server and its client: the decorator on the endpoint's model, the id in a header, labels on a route of their own."""

import threading
import time

import httpx
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

import radiosonde as rs


class Flight(BaseModel):
    """Request of a client."""

    carrier: str
    wind: float


@rs.observe("delays", version="1.0.0")
async def predict(flight: Flight) -> dict[str, str | float]:
    return {"label": "late" if flight.wind > 20 else "on time", "confidence": 0.8}


app = FastAPI()


@app.post("/predictions")
async def predictions(flight: Flight, response: Response) -> dict[str, str | float]:
    with rs.cohort(carrier=flight.carrier):
        answer = await predict(flight)
    response.headers["X-Prediction-Id"] = rs.current().id
    return answer


@app.post("/labels/{prediction_id}", status_code=202)
async def labels(prediction_id: str, value: str) -> None:
    rs.label(prediction_id, value)


rs.start(cohorts={"carrier": ["AA", "DL", "UA"]}, service_name="delays", prometheus=False)
server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started and thread.is_alive():
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]

with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
    for carrier, wind in (("UA", 5.0), ("AA", 25.0), ("UA", 31.0)):
        answer = client.post("/predictions", json={"carrier": carrier, "wind": wind})
        prediction_id = answer.headers["X-Prediction-Id"]
        print(answer.json(), prediction_id, client.post(f"/labels/{prediction_id}", params={"value": "late"}))

server.should_exit = True
thread.join()
rs.shutdown()
print(f"recorded {rs.statistics().records}, labels {dict(rs.statistics().labels)}")
