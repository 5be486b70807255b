"""The model server of the demo: two versions of one model behind FastAPI, observed by Radiosonde.

This is the file to read as an example. What Radiosonde needs of a server: one decorator per version, and as much
context as you want to find again later: stages, cohorts, the event time. Everything else is the server's own business.
"""

from __future__ import annotations

import math
import zlib
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import prometheus_client
from fastapi import FastAPI, Response
from pydantic import BaseModel

import radiosonde as rs
from radiosonde_demo.features import FeatureStore
from radiosonde_demo.incidents import Incidents
from radiosonde_demo.model import DelayModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CANARY_PERCENT = 10
"""Share of the aircraft that the new version answers for; by registration, so an aircraft never changes sides."""


class FlightRequest(BaseModel):
    """The fields of a flight known before departure."""

    carrier: str
    flight: int
    tailnum: str
    origin: str
    dest: str
    distance: float
    scheduled: datetime


class LabelRequest(BaseModel):
    """The outcome of a flight, known when it has landed."""

    prediction_id: str
    value: str
    time: datetime


def create_app(folder: Path) -> FastAPI:
    """Return the server of the models, the reference and the scenario in *folder*; the telemetry goes there too."""
    v1, v2 = DelayModel.load(folder / "v1.pickle"), DelayModel.load(folder / "v2.pickle")
    incidents = Incidents.load(folder / "incidents.json")
    features = FeatureStore(incidents)
    reference = rs.Reference.load(folder / "delays.reference.json")

    @rs.observe("delays", version=v1.version, variant="stable", input=False, reference=reference)
    async def predict_stable(flight: FlightRequest) -> dict[str, str | float]:
        with rs.stage("feature_fetch"):
            row = await features.fetch(flight)
        rs.current().features(row)
        with rs.stage("predict"):
            return v1.predict(row)

    @rs.observe("delays", version=v2.version, variant="canary", input=False, reference=reference)
    async def predict_canary(flight: FlightRequest) -> dict[str, str | float]:
        with rs.stage("feature_fetch"):
            row = await features.fetch(flight)
        rs.current().features(row)
        with rs.stage("predict"):
            return v2.predict(row, incidents.carriers(v2.carriers, flight.scheduled.timestamp()))

    @asynccontextmanager
    async def observed(_app: FastAPI) -> AsyncIterator[None]:
        carriers = {"carrier": list(v1.carriers)}
        # Weeks go by in a minute: what a server of flights would see in a second is not what this one sees.
        rs.start(store=folder / "store.db", window_s=3600, cohorts=carriers, service_name="delays", cpu_budget=math.inf)
        yield
        rs.shutdown(timeout_s=60)  # a disk that is busy with something else must not cost the last windows

    app = FastAPI(title="Flight delays", lifespan=observed)
    app.mount("/metrics", prometheus_client.make_asgi_app())

    @app.post("/predictions")
    async def predict(flight: FlightRequest, response: Response) -> dict[str, str | float]:
        is_canary = zlib.crc32(flight.tailnum.encode()) % 100 < CANARY_PERCENT
        version = predict_canary if is_canary else predict_stable
        with rs.at(flight.scheduled), rs.cohort(carrier=flight.carrier):
            answer = await version(flight)
        response.headers["X-Prediction-Id"] = rs.current().id
        return answer

    @app.post("/labels", status_code=202)
    async def label(label: LabelRequest) -> None:
        rs.label(label.prediction_id, label.value, time=label.time)

    return app
