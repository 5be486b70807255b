"""A model server for tests: run as a script under uvicorn. Every way to write an endpoint, and one to ask for statistics."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import radiosonde as rs

pool = ThreadPoolExecutor(4)


@rs.observe("plain", version="1")
def plain(features: dict[str, float]) -> str:
    """Answer by the wind."""
    with rs.stage("fetch"):
        wind = features["wind"]
    with rs.stage("score"):
        return "late" if wind > 10 else "early"


@rs.observe("async", version="1")
async def awaited(features: dict[str, float]) -> dict[str, object]:
    """Answer with a confidence after giving way to others."""
    with rs.stage("fetch"):
        await asyncio.sleep(0.001)
    if features["wind"] < 0:
        raise ValueError("no such wind")
    return {"label": "late", "confidence": 0.75}


@rs.observe("pooled", version="1")
def pooled(rows: np.ndarray) -> np.ndarray:
    """Answer a batch with probabilities."""
    with rs.stage("score"):
        return np.tile([0.25, 0.75], (len(rows), 1))


@rs.observe("streamed", version="1")
async def streamed(features: dict[str, float]) -> AsyncIterator[str]:
    """Answer word by word; the last word is the answer."""
    for word in ("it", "is", "late" if features["wind"] > 10 else "early"):
        await asyncio.sleep(0)
        yield word


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start before the first request, flush after the last."""
    rs.start(cohorts={"carrier": ["UA", "AA"]}, prometheus_port=int(sys.argv[2]), otlp=True, export_interval_s=3600)
    yield
    rs.shutdown()


app = FastAPI(lifespan=lifespan)


@app.get("/plain")
def get_plain(wind: float, carrier: str) -> dict[str, str]:
    """Predict in the thread pool of the framework, and label at once."""
    with rs.cohort(carrier=carrier):
        answer = plain({"wind": wind})
    made = rs.current().id
    rs.label(made, "late")
    return {"answer": answer, "id": made}


@app.get("/async")
async def get_awaited(wind: float, carrier: str) -> dict[str, str]:
    """Predict on the event loop; an error is answered, not raised."""
    with rs.cohort(carrier=carrier):
        try:
            await awaited({"wind": wind})
        except ValueError as error:
            return {"error": str(error)}
    return {"id": rs.current().id}


@app.get("/pooled")
async def get_pooled(rows: int, carrier: str) -> dict[str, int]:
    """Predict in a pool of one's own, which has to be handed the context."""
    with rs.cohort(carrier=carrier):
        context = copy_context()
        found = await asyncio.get_running_loop().run_in_executor(pool, context.run, pooled, np.ones((rows, 3)))
    return {"rows": len(found)}


@app.get("/streamed")
async def get_streamed(wind: float, carrier: str) -> StreamingResponse:
    """Stream the words of a prediction; the cohort is in force when the stream begins."""

    async def words() -> AsyncIterator[str]:
        with rs.cohort(carrier=carrier):
            async for word in streamed({"wind": wind}):
                yield word + " "

    return StreamingResponse(words())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
