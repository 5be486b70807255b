"""A FastAPI server for tests, run by uvicorn and gunicorn: each kind of endpoint that a model server has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import fastapi
from fastapi.responses import StreamingResponse

import radiosonde as rs
from tests.e2e._provider import instrument_after, instrument_before, of_mounted, set_provider

set_provider()
pool = ThreadPoolExecutor(4)
app, mounted, router = fastapi.FastAPI(), fastapi.FastAPI(**of_mounted()), fastapi.APIRouter()


@rs.observe("delays", version="2", classes=["early", "late"])
def predict(features: dict[str, float]) -> str:
    """Answer by the wind."""
    return "late" if features["wind"] > 10 else "early"


@app.get("/sync/{carrier}")
def synchronous(carrier: str, wind: float) -> str:
    """Predict in the framework's thread pool."""
    return predict({"wind": wind})


@app.get("/async/{carrier}")
async def asynchronous(carrier: str, wind: float) -> list[str]:
    """Predict twice on the event loop, and let others in between."""
    first = predict({"wind": wind})
    await asyncio.sleep(0.001)
    return [first, predict({"wind": wind})]


@app.get("/pooled/{carrier}")
async def pooled(carrier: str, wind: float) -> str:
    """Predict in a pool of one's own."""
    return await asyncio.get_running_loop().run_in_executor(pool, predict, {"wind": wind})


@app.get("/background/{carrier}")
async def background(carrier: str, wind: float, tasks: fastapi.BackgroundTasks) -> str:
    """Predict now, and again when the response has been sent."""

    async def again() -> None:
        await asyncio.sleep(0.2)
        predict({"wind": wind})

    tasks.add_task(again)
    return predict({"wind": wind})


@app.get("/streamed/{carrier}")
async def streamed(carrier: str, wind: float) -> StreamingResponse:
    """Predict before the first word, and stream many more."""
    first = predict({"wind": wind})

    async def words() -> AsyncIterator[str]:
        yield first
        for _ in range(int(os.environ.get("WORDS", "3"))):
            await asyncio.sleep(0.01)
            yield " later"

    return StreamingResponse(words())


@app.get("/broken/{carrier}")
def broken(carrier: str) -> None:
    """Fail before any prediction."""
    raise KeyError("features")


@app.websocket("/socket")
async def socket(connection: fastapi.WebSocket) -> None:
    """Answer one message."""
    await connection.accept()
    await connection.send_text(predict({"wind": float(await connection.receive_text())}))
    await connection.close()


@router.get("/routed/{carrier}")
def routed(carrier: str, wind: float) -> str:
    """Predict in a router with a prefix."""
    return predict({"wind": wind})


@mounted.get("/mounted/{carrier}")
def in_mounted(carrier: str, wind: float) -> str:
    """Predict in an application that is mounted."""
    return predict({"wind": wind})


if os.environ.get("MIDDLEWARE"):

    @app.middleware("http")
    async def pass_through(request: fastapi.Request, call_next):
        """Run the endpoint in a task of its own, as this kind of middleware does."""
        return await call_next(request)


app.include_router(router, prefix="/v1")
app.mount("/sub", mounted)
instrument_before(app, "fastapi")
rs.instrument_app(app, cohorts={"carrier": "path:carrier", "plan": "header:x-plan"}, labels_token="secret")
instrument_after(app, "fastapi")
