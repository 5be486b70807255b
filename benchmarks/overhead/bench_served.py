"""Overhead of a served model: FastAPI and a logistic regression on 30 features, one client in a closed loop.

Four servers, one each arm (`_served_app`), run at the same time; one client with one connection asks them in turns, some
hundred requests a lap. Only one of them works at any moment: a client that waits for its answer sends no other request. An arm's
throughput is the inverse of the mean time of a request in the median lap of a round, and its tail the p99 of all requests
of the round; a round says what an arm is beside the bare one, and the figure is the median of the rounds.

Each round restarts its servers. Two processes that run the same server differ by up to 3 % for as long as they live
(where the interpreter's objects lie in the caches), which more laps would measure ever more exactly.

The client is a socket and two lines of HTTP: one that parses headers would take longer than the server, and hide it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._measure import Figure
from benchmarks.workloads import matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ARMS = ("bare", "floor", "ours", "opentelemetry")
REQUESTS = 100
"""Requests an arm and lap: short, so that what neighbours do hits all arms."""

LAPS = 12
WARM_UP = {"bare": 300, "floor": 300, "ours": 2_000, "opentelemetry": 300}
"""Requests before the first that counts. Until then our consumer has opened the store, loaded the exporters and, at a thousand
rows, made the provisional reference: a fifth of a second of its own, once in a server's life."""

PATIENCE_S = 60.0
NOISE_RATIO = 1.15
"""When the quartiles of the bare server's mean are this far apart, this run cannot resolve three percent."""


def measure(rounds: int) -> Iterator[Figure]:
    """Yield what Radiosonde, OpenTelemetry by hand, and layers that do nothing cost of throughput and at p99."""
    seconds = [_round(number) for number in range(rounds)]
    mean = {arm: [float(np.median(each[arm].mean(axis=1))) for each in seconds] for arm in ARMS}
    tail = {arm: [float(np.quantile(each[arm], 0.99)) for each in seconds] for arm in ARMS}
    low, high = np.quantile(mean["bare"], [0.25, 0.75])
    doubt = "neighbours" if high / low > NOISE_RATIO else ""
    for arm, suffix, who in (
        ("ours", "", "Radiosonde"),
        ("floor", "-floor", "layers of Python that do nothing"),
        ("opentelemetry", "-opentelemetry", "OpenTelemetry by hand"),
    ):
        loss = [100 * (1 - bare / observed) for bare, observed in zip(mean["bare"], mean[arm], strict=True)]
        yield Figure(
            f"served-throughput{suffix}", f"throughput a served model loses to {who}, one client in a closed loop", loss,
            unit="%", absolute=_told(mean, arm), raw={"bare_s": mean["bare"], f"{arm}_s": mean[arm]}, doubt=doubt,
        )  # fmt: skip
        ratio = [observed / bare for bare, observed in zip(tail["bare"], tail[arm], strict=True)]
        yield Figure(
            f"served-p99{suffix}", f"p99 of a request to a served model, with {who}", ratio, unit="x bare",
            absolute=_told(tail, arm), raw={"bare_s": tail["bare"], f"{arm}_s": tail[arm]}, doubt=doubt,
        )  # fmt: skip


def _told(seconds: dict[str, list[float]], arm: str) -> str:
    return f"{1e6 * np.median(seconds['bare']):.0f} to {1e6 * np.median(seconds[arm]):.0f} us"


def _round(number: int) -> dict[str, NDArray[Any]]:
    """Return the time of every request by arm, shape (laps, requests), of servers of this round's own."""
    with tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as folder, ExitStack() as stack:
        clients = {arm: stack.enter_context(_server(arm, Path(folder))) for arm in ARMS}
        for arm, client in clients.items():
            _lap(client, WARM_UP[arm])
        return _laps(clients, number)


def _laps(clients: dict[str, Client], number: int) -> dict[str, NDArray[Any]]:
    """Ask all arms in turns; each lap begins with another arm, and the next round the other way about."""
    order = ARMS if number % 2 else ARMS[::-1]
    laps: dict[str, list[NDArray[Any]]] = {arm: [] for arm in ARMS}
    for lap in range(LAPS):
        turn = lap % len(order)
        for arm in order[turn:] + order[:turn]:
            laps[arm].append(_lap(clients[arm], REQUESTS))
    return {arm: np.stack(found) for arm, found in laps.items()}


class Client:
    """One connection to one server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = [_request(row) for row in matrix(REQUESTS)]

    def ask(self, request: bytes) -> bytes:
        """Return an answer; it is short and comes in one piece, or in two: head and body."""
        self.socket.sendall(request)
        answer = self.socket.recv(65_536)
        while not answer.endswith(b"}"):
            more = self.socket.recv(65_536)
            if not more:
                raise ConnectionError(f"the server said {answer!r} and closed the connection")
            answer += more
        return answer


def _request(row: Sequence[float]) -> bytes:
    body = json.dumps({"features": list(row)}).encode()
    head = (
        "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
        f"Connection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _lap(client: Client, requests: int) -> NDArray[Any]:
    now_ns = time.perf_counter_ns
    durations_ns = np.empty(requests)
    for number in range(requests):
        request = client.requests[number % REQUESTS]
        began_ns = now_ns()
        answer = client.ask(request)
        durations_ns[number] = now_ns() - began_ns
        assert answer.startswith(b"HTTP/1.1 200"), answer
    return durations_ns / 1e9


@contextmanager
def _server(arm: str, folder: Path) -> Iterator[Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = ("OTEL_", "RADIOSONDE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.overhead._served_app", arm, str(port)],
        cwd=Path(__file__).parents[2], env={**environment, "RADIOSONDE_STORE": str(folder / f"{arm}.sqlite")},
    ) as server:  # fmt: skip
        try:
            client = _connected(port, server)
            answer = client.ask(client.requests[0])
            assert (b"x-prediction-id" in answer) == (arm in ("floor", "ours")), answer
            yield client
            client.socket.close()
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _connected(port: int, server: subprocess.Popen[bytes]) -> Client:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return Client(port)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start; its return code is {server.returncode}")
