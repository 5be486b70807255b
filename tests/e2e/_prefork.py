"""Prefork servers for tests: an app that writes down every prediction it makes, servers that run it, load, agents."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tests.e2e._receivers import free_port, wait_for

APP = """
import os
import time
import radiosonde as rs

work_s = float(os.environ.get("WORK_S", 0))

if os.environ.get("START"):
    rs.start()  # OpenTelemetry cannot be loaded once a process exits: one that may live a moment only loads it first

rows = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

@rs.observe("delays", version="1", classes=["even", "odd"])
def observed(features):
    if work_s:
        time.sleep(work_s)
    return "odd" if features["number"] % 2 else "even"

def predict(number):
    os.write(rows, f"begun {number} {os.getpid()}\\n".encode())
    with rs.cohort(lot=number % 20):
        answer = observed({"number": float(number)})
    os.write(rows, f"returned {number} {os.getpid()}\\n".encode())
    return f"{answer} {os.getpid()}".encode()

predict(0)  # many servers warm up their model at import: in the parent, when the app is preloaded

def app(environ, start_response):
    body = predict(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

if os.environ.get("ASGI"):
    import contextlib
    import fastapi

    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield
        rs.shutdown()  # uvicorn ends by the signal it was sent: nothing that waits for the exit runs

    api = fastapi.FastAPI(lifespan=lifespan)

    @api.get("/")
    def get(request: fastapi.Request):
        return fastapi.Response(predict(int(request.url.query)))
"""

PROGRAMS = Path(sys.executable).parent


class Predictions:
    """Log of the app: numbers of the predictions that began and that returned, and their processes."""

    def __init__(self, log: Path) -> None:
        lines = [line.split() for line in log.read_text().splitlines()]
        self.begun = Counter(int(number) for what, number, _ in lines if what == "begun")
        self.returned = Counter(int(number) for what, number, _ in lines if what == "returned")
        self.pids = {int(pid) for what, _, pid in lines if what == "returned"}


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process by its handle: terminate, wait, kill."""
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> int:
    """Terminate a process and return its return code; kill it when it takes too long, which fails the test."""
    process.terminate()
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def serving(
    folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server of the app in *folder*, its port in place of ``PORT``; yield it and its port."""
    (folder / "app.py").write_text(APP)
    port = free_port()
    log: IO[str]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAMS / command[0], *(part.replace("PORT", str(port)) for part in command[1:])],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "LOG": str(folder / "predictions.log"), **environment},
        )  # fmt: skip
    with ended(process):
        wait_for(lambda: process.poll() is not None or ask(port, 0), "the server to answer")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield process, port


def agent(spool: Path, *options: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Start an agent; return it and the line it says once it drains."""
    process = subprocess.Popen(
        [PROGRAMS / "radiosonde", "agent", "--spool", spool, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline()


def ask(port: int, number: int) -> str:
    """Return the server's answer, ``""`` when there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with suppress(OSError, http.client.HTTPException):
        try:
            connection.request("GET", f"/?{number}", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                return body.decode()
        finally:
            connection.close()
    return ""


def load(port: int, numbers: Iterator[int] | Sequence[int], threads: int = 4) -> set[int]:
    """Ask for all numbers from several threads at once; return those that were answered."""
    answered: set[int] = set()
    waiting, lock = iter(numbers), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            if ask(port, number):
                answered.add(number)

    clients = [threading.Thread(target=client) for _ in range(threads)]
    for each in clients:
        each.start()
    for each in clients:
        each.join(90)
    return answered


def children(pid: int) -> list[int]:
    """Return the ids of the living children of a process (Linux)."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in listing.read_text().split()]
    return found
