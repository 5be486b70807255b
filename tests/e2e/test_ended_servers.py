"""Real servers that SIGTERM ends, with nothing but `observe` in them: each answered request is stored."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import pytest

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._receivers import free_port

PREDICT = """
import numpy as np
import radiosonde as rs

@rs.observe("delays")
def predict(rows):
    return np.array([[0.3, 0.7]] * len(rows))
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    predict(np.zeros((1, 3)))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

THREADED = ASGI.replace("    predict(", "    import asyncio\n    await asyncio.to_thread(predict, ").replace(
    "))\n", "))\n", 1
)

WSGI = """
def app(environ, start_response):
    predict(np.zeros((1, 3)))
    start_response("200 OK", [])
    return [b"ok"]
"""

FLASK = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def score():
    predict(np.zeros((1, 3)))
    return "ok"
"""

LAZY = """
predict = None

def app(environ, start_response):
    global predict
    if predict is None:
        import radiosonde as rs
        predict = rs.observe("delays")(lambda rows: np.array([[0.3, 0.7]] * len(rows)))
    predict(np.zeros((1, 3)))
    start_response("200 OK", [])
    return [b"ok"]
"""

THREADS = """
import socketserver, wsgiref.simple_server
class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
wsgiref.simple_server.make_server("127.0.0.1", {port}, app, Server).serve_forever()
"""

SERVERS = {
    # library, application, command, and the status at SIGTERM without us
    "flask's own": ("flask", FLASK, ["-m", "flask", "--app", "served", "run", "--port", "{port}"], -signal.SIGTERM),
    "werkzeug's run": ("flask", FLASK + "app.run(port={port})", ["served.py"], -signal.SIGTERM),
    "uvicorn": ("uvicorn", ASGI, ["-m", "uvicorn", "served:app", "--port", "{port}"], -signal.SIGTERM),
    "uvicorn, predictions in threads": (
        "uvicorn", THREADED, ["-m", "uvicorn", "served:app", "--port", "{port}"], -signal.SIGTERM,
    ),
    "uvicorn in a program": ("uvicorn", ASGI + "import uvicorn; uvicorn.run(app, port={port})", ["served.py"], -signal.SIGTERM),
    "uvicorn, no lifespan": (
        "uvicorn", ASGI, ["-m", "uvicorn", "served:app", "--lifespan", "off", "--port", "{port}"], -signal.SIGTERM,
    ),
    "uvicorn's workers": ("uvicorn", ASGI, ["-m", "uvicorn", "served:app", "--workers", "2", "--port", "{port}"], 0),
    "hypercorn": ("hypercorn", ASGI, ["-m", "hypercorn", "served:app", "--bind", "127.0.0.1:{port}"], 0),
    "waitress": ("waitress", WSGI, ["-m", "waitress", "--listen", "127.0.0.1:{port}", "served:app"], -signal.SIGTERM),
    "waitress, a model loaded by a thread": (
        "waitress", LAZY, ["-m", "waitress", "--listen", "127.0.0.1:{port}", "served:app"], -signal.SIGTERM,
    ),
    "wsgiref, a model loaded by a thread": (
        "wsgiref", LAZY + THREADS, ["served.py"], -signal.SIGTERM,
    ),
    "gunicorn": ("gunicorn", WSGI, ["-m", "gunicorn", "--no-control-socket", "-w", "2", "-b", "127.0.0.1:{port}", "served:app"], 0),
    "gunicorn, preloaded": (
        "gunicorn", WSGI, ["-m", "gunicorn", "--no-control-socket", "-w", "2", "--preload", "-b", "127.0.0.1:{port}", "served:app"], 0,
    ),
    "wsgiref": (
        "wsgiref", WSGI + "from wsgiref.simple_server import make_server\nmake_server('127.0.0.1', {port}, app).serve_forever()",
        ["served.py"], -signal.SIGTERM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_each_answered_request_is_stored(tmp_path, name):
    """A server gets 60 requests and SIGTERM; its status is the one it has without us."""
    library, source, arguments, status = SERVERS[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    store, port = tmp_path / "store.sqlite", str(free_port())
    (tmp_path / "served.py").write_text(textwrap.dedent(PREDICT) + source.replace("{port}", port))
    command = [sys.executable, *(each.replace("{port}", port) for each in arguments)]
    environment = {**os.environ, "RADIOSONDE_STORE": str(store)}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        answered = 0
        until_s = time.monotonic() + 60
        while answered < 60:
            assert server.poll() is None and time.monotonic() < until_s, (tmp_path / "log").read_text()  # noqa: PT018
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    answered += answer.read() == b"ok"
            except urllib.error.URLError:
                time.sleep(0.1)  # not up yet
        server.terminate()
        assert server.wait(60) == status, (tmp_path / "log").read_text()
    finally:
        server.kill()
        server.wait()
    assert sum(window.calls for _, window in StoreReader(store, sketches=False).parts(Interval())) == 60
