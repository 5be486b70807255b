"""Sends the same requests to two servers in turns, one observed and one bare, over one connection each.

The servers are the user's: two addresses, or a command that is started twice, with and without ``RADIOSONDE_DISABLED``. Only of those
that are started here are CPU, memory and counts seen.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from radiosonde._settings import bench_environment
from radiosonde.bench.results import MeasuredArm, Results
from radiosonde.bench.rounds import BLOCK_S, LEAST_CALLS, Histogram, difference, typical_us
from radiosonde.bench.rows import read
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source

START_S: Final = 60.0
STOP_S: Final = 20.0
ANSWER_S: Final = 30.0
WARM_UP: Final = 50
LEAST_ROUNDS: Final = 3
_LOG_LINES: Final = 15


class ServerOrders(NamedTuple):
    """What to measure.

    Attributes:
        server: address that takes the rows as JSON, with Radiosonde; with *serve* its path is enough.
        bare: the same without.
        serve: command that starts the server at ``{port}``; None: both run already.
        input: path of a file of bodies.
        seconds: how long to measure.
    """

    server: str | None
    bare: str | None
    serve: str | None
    input: str | None
    seconds: float


class ServerConnection:
    """A kept-alive connection that posts bodies to one address, and what each answer took."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no address of a server; give one like http://127.0.0.1:8000/predict")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=ANSWER_S)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.url = url
        self.made = 0

    def post(self, body: bytes) -> int:
        """Post one body and return what its answer took, in nanoseconds.

        Raises:
            ConfigurationError: the server cannot be reached, or refuses the body.
        """
        began_ns = time.perf_counter_ns()
        try:
            status, said = self._answer(body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()  # the server ended an idle connection; one more time on a new one
            began_ns = time.perf_counter_ns()
            status, said = self._answer(body)
        took_ns = time.perf_counter_ns() - began_ns
        if status >= 400:
            raise ConfigurationError(
                f"POST {self.url} was answered with {status}: {said[:200]!r}; pass --input with bodies that it takes"
            )
        self.made += 1
        return took_ns

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            raise
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ConfigurationError(
                f"POST {self.url} failed: {error}; start the server, and check the address"
            ) from error

    def block(self, bodies: Sequence[bytes], first: int) -> NDArray[np.int64]:
        """Post for a block's time and return what each answer took."""
        until_ns = time.perf_counter_ns() + round(BLOCK_S * 1e9)
        took: list[int] = []
        while len(took) < LEAST_CALLS or time.perf_counter_ns() < until_ns:
            took.append(self.post(bodies[(first + len(took)) % len(bodies)]))
        return np.array(took, dtype=np.int64)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Served:
    """A server that was started here: a session of its own, so that all its workers are found and ended."""

    def __init__(self, command: str, environment: dict[str, str], log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = log
        self.address = f"http://127.0.0.1:{self.port}"
        with log.open("wb") as out:
            try:
                self._process = subprocess.Popen(
                    shlex.split(command.replace("{port}", str(self.port))), env=environment, stdin=subprocess.DEVNULL,
                    stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ConfigurationError(f"cannot start {command!r}: {error}") from error

    def wait(self) -> None:
        """Wait until the port answers.

        Raises:
            ConfigurationError: the process ended, or did not answer in time; with the end of its output.
        """
        until_s = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            time.sleep(0.05)
        tail = "\n    ".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
        raise ConfigurationError(
            f"the server does not answer at port {self.port}; give a command with {{port}} in it. Its output:\n    {tail}"
        )

    def usage(self) -> tuple[int, float] | None:
        """Return CPU in nanoseconds and resident MiB of all its processes; None where the system does not say."""
        try:
            return _usage(self._process.pid)
        except OSError:
            return None

    def stop(self) -> None:
        """End it in order, as Ctrl-C does and then as a supervisor does, then by force."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S / 2)
                break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _usage(session: int) -> tuple[int, float]:
    ticks = pages = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:  # of the session that the server began
                ticks += int(fields[11]) + int(fields[12])
                pages += int(fields[21])
    if not pages:
        raise OSError("no process of the server is seen")
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(orders: ServerOrders, progress: Callable[[int, int], None] | None) -> Results:
    """Measure a server.

    Raises:
        ConfigurationError: an address or the input is missing, or a server does not answer.
        KeyboardInterrupt: Ctrl-C came before a first round was measured; later it ends the measurement early.
    """
    if orders.input is None:
        raise ConfigurationError(
            "nothing says what to post; pass --input with bodies: a JSON list, JSON lines or Parquet"
        )
    bodies = [json.dumps(row, default=str).encode() for row in read(Path(orders.input))]
    with _servers(orders) as (urls, servers, store), ExitStack() as ends:
        connections = {name: ServerConnection(url) for name, url in urls.items()}
        for connection in connections.values():
            ends.callback(connection.close)
        results = _rounds(orders, connections, servers, bodies, progress)
        for server in servers.values():
            server.stop()
        if not servers:
            return results
        return replace(results, counted=_counted(store, results.made))


@contextmanager
def _servers(orders: ServerOrders) -> Iterator[tuple[dict[str, str], dict[str, Served], Path]]:
    with tempfile.TemporaryDirectory(prefix="radiosonde-bench-") as name, ExitStack() as ends:
        store = Path(name, "windows.sqlite")
        if orders.serve is None:
            if orders.server is None or orders.bare is None:
                raise ConfigurationError(
                    "a server is measured beside itself without Radiosonde: start it once more, with RADIOSONDE_DISABLED=true and at "
                    "another port, and pass both: --server URL --bare URL; or let both be started: --serve 'uvicorn server:app "
                    "--port {port}' --server /predict"
                )
            yield {"bare": orders.bare, "observed": orders.server}, {}, store
            return
        if "{port}" not in orders.serve:
            raise ConfigurationError(
                "--serve is a command with {port} where its port is given, as in 'uvicorn server:app --port {port}'"
            )
        servers: dict[str, Served] = {}
        for arm in ("bare", "observed"):
            environment = bench_environment(str(store), disabled=arm == "bare")
            servers[arm] = Served(orders.serve, environment, Path(name, f"{arm}.log"))
            ends.callback(servers[arm].stop)
        for server in servers.values():
            server.wait()
        parts = urlsplit(orders.server or "/predict")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        yield {arm: server.address + path for arm, server in servers.items()}, servers, store


def _rounds(
    orders: ServerOrders, connections: dict[str, ServerConnection], servers: dict[str, Served], bodies: Sequence[bytes],
    progress: Callable[[int, int], None] | None,
) -> Results:  # fmt: skip
    took: dict[str, list[NDArray[np.int64]]] = {"bare": [], "observed": []}
    cpu_ns: Counter[str] = Counter()
    histogram, histogram_us, was_interrupted = Histogram(), [], False
    for connection in connections.values():
        for place in range(WARM_UP):
            connection.post(bodies[place % len(bodies)])
    began_s = time.monotonic()
    try:
        while len(took["observed"]) < LEAST_ROUNDS or time.monotonic() - began_s < orders.seconds:
            order = ("bare", "observed") if len(took["observed"]) % 2 == 0 else ("observed", "bare")
            for arm in order:
                before = servers[arm].usage() if servers else None
                took[arm].append(connections[arm].block(bodies, sum(map(len, took[arm]))))
                after = servers[arm].usage() if servers else None
                cpu_ns[arm] += 0 if before is None or after is None else after[0] - before[0]
            histogram_us.append(histogram.once_us())
            if progress is not None:
                progress(round(1000 * min((time.monotonic() - began_s) / orders.seconds, 1.0)), 1000)
    except KeyboardInterrupt:
        if not histogram_us:
            raise
        was_interrupted = True
    rounds = len(histogram_us)
    arms = {name: _arm(blocks[:rounds], cpu_ns[name] if servers else None) for name, blocks in took.items()}
    added_us, noise_us = difference(took["bare"][:rounds], took["observed"][:rounds])
    memory = [each.usage() for each in servers.values()]
    held = None if not memory or None in memory else memory[1][1] - memory[0][1]  # type: ignore[index]
    cpu = (
        None
        if arms["bare"].cpu_us is None or arms["observed"].cpu_us is None
        else arms["observed"].cpu_us - arms["bare"].cpu_us
    )
    return Results(
        connections["observed"].url, arms["bare"], arms["observed"], added_us, cpu, noise_us, held,
        connections["observed"].made, None, {}, typical_us(histogram_us), rounds, was_interrupted,
    )  # fmt: skip


def _arm(blocks: Sequence[NDArray[np.int64]], cpu_ns: int | None) -> MeasuredArm:
    took_ns = np.concatenate(blocks)
    return MeasuredArm.of(took_ns, None if cpu_ns is None else float(cpu_ns), float(took_ns.sum()))


def _counted(store: Path, made: int) -> int:
    """Return the calls of the model or route that counts all requests; of the one that comes nearest if none does."""
    counts: Counter[str] = Counter()
    if store.exists():
        for window in open_source([str(store)]).windows():
            counts[window.key.model] += window.calls
    return min(counts.values(), key=lambda count: abs(count - made), default=0)
