"""What ``radiosonde doctor`` advises for the start command of each server is run as it is: it serves, ends and has counted every answer."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._receivers import free_port

pytestmark = pytest.mark.slow

REQUESTS = 20

SERVER = """
import numpy as np
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(7).standard_normal((50, 3))
model = LogisticRegression().fit(rows, rows[:, 0] > 0)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    model.predict(rows[:1])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    model.predict(rows[:1])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
FLASK = """
import flask
from server import model, rows
app = flask.Flask(__name__)

@app.get("/")
def score():
    model.predict(rows[:1])
    return "ok"
"""
FASTAPI = FLASK.replace("flask.Flask(__name__)", "fastapi.FastAPI()").replace("flask", "fastapi")

COMMANDS = {
    "python -m uvicorn server:app --port {port}": "uvicorn",
    "flask --app web run --port {port}": "flask",
    "gunicorn -k gevent --preload -b 127.0.0.1:{port} server:wsgi": "gevent",
    "hypercorn server:app -b 127.0.0.1:{port}": "hypercorn",
    "waitress-serve --listen 127.0.0.1:{port} server:wsgi": "waitress",
    "daphne -p {port} server:app": "daphne",
    "granian --interface asgi --port {port} server:app": "granian",
    "granian --interface wsgi --port {port} server:wsgi": "granian",
    "fastapi run --port {port} api.py": "fastapi_cli",
    "fastapi dev --port {port} api.py": "fastapi_cli",
    "sh -c 'exec python -u server_main.py {port}'": "uvicorn",
}
MAIN = "import sys, uvicorn\nfrom server import app\nuvicorn.run(app, port=int(sys.argv[1]))\n"


def answers(port: int, server: subprocess.Popen[bytes]) -> int:
    """Ask until all requests are answered; return how many were."""
    answered, until_s = 0, time.monotonic() + 120
    while answered < REQUESTS and time.monotonic() < until_s and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=120) as answer:
                answered += answer.status == 200
        except urllib.error.URLError:
            time.sleep(0.1)  # not up yet
    return answered


@pytest.mark.parametrize("command", COMMANDS)
def test_what_it_advises_works(tmp_path, command):
    """No problems are found, and the next command observes a scikit-learn model in a server that was not edited."""
    for library in (COMMANDS[command], "sklearn", "opentelemetry.instrumentation"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"needs {library}")
    port, store = free_port(), tmp_path / "store.sqlite"
    for name, text in {"server": SERVER, "web": FLASK, "api": FASTAPI, "server_main": MAIN}.items():
        (tmp_path / f"{name}.py").write_text(text)
    scripts = Path(sys.executable).parent
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RADIOSONDE_", "OTEL_"))}
    environment = kept | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "RADIOSONDE_STORE": str(store),
        "RADIOSONDE_OTLP": "false",
    }
    words = shlex.split(command.format(port=port))
    asked = subprocess.run(
        [sys.executable, "-m", "radiosonde.cli", "doctor", "--json", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    advice = json.loads(asked.stdout)
    assert (asked.returncode, advice["healthy"]) == (0, True), advice["lines"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            f"exec {advice['next']}", shell=True, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    try:
        assert answers(port, server) == REQUESTS, (tmp_path / "log").read_text()
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    calls = [
        window.calls
        for _, window in StoreReader(store, sketches=False).parts(Interval())
        if window.key.model == "LogisticRegression"
    ]
    assert sum(calls) == REQUESTS, (tmp_path / "log").read_text()
