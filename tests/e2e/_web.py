"""Running web servers for tests, and asking them much at once; what they recorded is read from the store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from radiosonde.store.reader import Interval, StoreReader
from tests.e2e._prefork import PROGRAMS, ended
from tests.e2e._receivers import free_port, wait_for

HERE = Path(__file__).parent
CLIENTS = 8
"""Connections at once."""
START_S = 150
"""Patience with a server that starts: two workers that each import a framework, and telemetry, and scikit-learn, on a busy machine."""

ASK_COHORTS = "carrier=UA|AA,plan=pro"
# Connections are kept for longer than a busy machine lets a client wait with one: the next request on one that the server is just
# closing would fail.
GUNICORN = ("gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "error", "--no-control-socket", "--keep-alive", "60")
SERVERS = {
    "uvicorn": ("uvicorn", "--port", "PORT", "--log-level", "error", "--timeout-keep-alive", "60", "APP"),
    "gunicorn": (*GUNICORN, "-w", "2", "-k", "uvicorn.workers.UvicornWorker", "APP"),
    "gthread": (*GUNICORN, "-w", "2", "-k", "gthread", "--threads", "8", "APP"),
}


@dataclass
class Asked:
    """One request and its answer.

    Attributes:
        path: path and query.
        answer: what came back.
        trace_id: 32 hex digits sent in the request's ``traceparent``.
        parent_id: 16 hex digits, same.
    """

    path: str
    answer: httpx.Response
    trace_id: str
    parent_id: str
    ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        said = self.answer.headers.get("x-prediction-id")
        self.ids = said.split(", ") if said else []


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a server that writes a store in *folder*."""
    ours = ("OTEL_", "RADIOSONDE_", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    told = {
        "RADIOSONDE_STORE": str(folder / "store.sqlite"),
        "RADIOSONDE_COHORTS": ASK_COHORTS,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(folder)]),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }
    return {**inherited, **told, **more}


@contextmanager
def web_server(
    app: str, kind: str, folder: Path, variables: Mapping[str, str], *, by: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run *app* (``module:name``) in a server; yield the process and its URL. Ended by its handle.

    Args:
        app: what is served.
        kind: of `SERVERS`.
        folder: where it runs and logs.
        variables: its whole environment.
        by: a program that runs it, ``opentelemetry-instrument``.
    """
    port = free_port()
    command = [part.replace("PORT", str(port)).replace("APP", app) for part in SERVERS[kind]]
    program = [str(PROGRAMS / part) for part in (*by, command[0])]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            env=dict(variables),
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with ended(process):
        wait_for(lambda: process.poll() is not None or _answers(url), f"{kind} to answer", START_S)
        assert process.poll() is None, (folder / "server.log").read_text()
        yield process, url


def ask_all(url: str, paths: Sequence[str], headers: Mapping[str, str], flags: str = "01") -> list[Asked]:
    """Ask for all *paths* over `CLIENTS` connections at once, each with a trace of its own."""

    async def ask() -> list[Asked]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=240) as client:
            return await asyncio.gather(*(_ask(client, path, headers, flags) for path in paths))

    return asyncio.run(ask())


async def _ask(client: httpx.AsyncClient, path: str, headers: Mapping[str, str], flags: str) -> Asked:
    trace_id, parent_id = os.urandom(16).hex(), os.urandom(8).hex()
    traced = {**headers, "traceparent": f"00-{trace_id}-{parent_id}-{flags}"}
    if "broken" in path:
        traced["connection"] = "close"  # uvicorn closes it after an exception, and the next request could run into that
    return Asked(path, await client.get(path, headers=traced), trace_id, parent_id)


def label_elsewhere(variables: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """Label predictions from another process, which has nothing but the join store in common with the server."""
    script = (
        "import json, sys, radiosonde as rs\nfor pair in json.load(sys.stdin).items(): rs.label(*pair)\nrs.shutdown()"
    )
    import json

    subprocess.run(
        [sys.executable, "-c", script], env=dict(variables), input=json.dumps(dict(labels)), text=True, check=True,
        timeout=240,
    )  # fmt: skip


def windows(folder: Path) -> list[Any]:
    """Return the windows in the store."""
    return [window for _, window in StoreReader(folder / "store.sqlite").parts(Interval())]


def calls(folder: Path) -> Counter[tuple[str, str]]:
    """Return calls by model and cohort."""
    found: Counter[tuple[str, str]] = Counter()
    for window in windows(folder):
        found[window.key.model, window.key.cohort] += window.calls
    return +found


def outcomes(folder: Path) -> Counter[str]:
    """Return the number of labels by result."""
    found: Counter[str] = Counter()
    for window in windows(folder):
        for (result, _), count in (window.labels.outcomes if window.labels else {}).items():
            found[result] += count
    return found


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/no/such/page", timeout=60).status_code == 404
    except httpx.TransportError:
        return False
