"""Runs the peers in turns: each in its own environment and process, one burst each, then the next round from another one on.

A burst is 20 000 predictions, bare and then observed, and one flush: what a server of 333 predictions a second exports in a
minute. Exporters' own timers are set to an hour, so that every peer pays for exactly one export a burst and none disturbs
the one whose turn it is. Each process measures its own bare call, in the same minute on the same numpy.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.peers import _environments
from benchmarks.peers._catalogue import Peer
from benchmarks.peers._sink import Sink, sink

BURST = 20_000
ROUNDS = 5
IMPORTS = 7
"""Fresh interpreters for the import time, after one that writes the byte code."""

REPLY_TIMEOUT_S = 180


class PeerError(Exception):
    """A peer did not start, died or did not answer; the message says what it said last."""


@dataclass
class Run:
    """Measurements of one peer.

    Attributes:
        failure: why there are no figures; empty when there are.
        rounds: per round ``bare`` and ``observed``, each with ``median_us``, ``p99_us`` and ``cpu_us`` per prediction.
        imports: per fresh interpreter, CPU and wall seconds of the import and up to the first answer.
        counted: predictions its telemetry held at the end; *predictions* were made.
    """

    peer: Peer
    failure: str = ""
    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    imports: list[dict[str, float]] = field(default_factory=list)
    ready_kib: float = 0.0
    grown_kib: float = 0.0
    counted: int = 0
    predictions: int = 0
    installed_bytes: int = 0
    distributions: int = 0
    version: str = ""
    numpy: str = ""


class Child:
    """The process of one peer. Use as a context manager: it is ended at the exit of the block."""

    def __init__(self, python: Path, peer: str, endpoint: str, folder: Path) -> None:
        self._errors = (folder.parent / f"{peer}.stderr").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            _command(python, "_child", peer, endpoint, folder), cwd=_environments.ROOT, env=_variables(endpoint),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)
        self._errors.close()

    def ask(self, **order: int) -> dict[str, Any]:
        """Send an order and return the answer.

        Raises:
            PeerError: there is none.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        if not select.select([self._process.stdout], [], [], REPLY_TIMEOUT_S)[0]:
            raise PeerError(f"no answer within {REPLY_TIMEOUT_S} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().strip().splitlines() or ["it ended without a word"])[-1][-300:]


def fly(
    peers: Sequence[Peer], *, rounds: int = ROUNDS, burst: int = BURST, imports: int = IMPORTS, here: bool = False
) -> list[Run]:
    """Measure *peers* and return what each said, in their order.

    Args:
        here: in this environment instead of isolated ones (a smoke test); nothing is installed or weighed then.
    """
    runs = [Run(peer, predictions=rounds * burst + 1) for peer in peers]
    pythons: dict[str, Path] = {}
    for run in runs:
        _tell(f"{run.peer.name}: environment")
        try:
            pythons[run.peer.id] = Path(sys.executable) if here else _environments.environment(run.peer.id)
        except _environments.NoEnvironmentError as error:
            run.failure = f"cannot be installed: {error}"
            continue
        if not here:
            run.installed_bytes, run.distributions = _environments.weight(pythons[run.peer.id])
            run.version = _environments.version(pythons[run.peer.id], run.peer.distribution)
    with sink() as receiver, tempfile.TemporaryDirectory() as folder:
        _import(runs, pythons, receiver, Path(folder), imports)
        with ExitStack() as ends:
            _observe(runs, pythons, receiver, Path(folder), ends, rounds, burst)
    return runs


def _import(runs: Sequence[Run], pythons: dict[str, Path], receiver: Sink, folder: Path, times: int) -> None:
    for number in range(times + 1):
        for run in runs:
            if run.failure:
                continue
            _tell(f"{run.peer.name}: import {number} of {times}")
            own = folder / f"import-{run.peer.id}-{number}"
            own.mkdir()
            try:
                told = _first(pythons[run.peer.id], run.peer, receiver.endpoint("import"), own)
            except PeerError as error:
                run.failure = f"cannot be imported: {error}"
                continue
            if number:
                run.imports.append(told)


def _first(python: Path, peer: Peer, endpoint: str, folder: Path) -> dict[str, float]:
    command = [*_command(python, "_first", peer.id, endpoint, folder), *peer.modules]
    try:
        done = subprocess.run(
            command, cwd=_environments.ROOT, env=_variables(endpoint), capture_output=True, text=True,
            timeout=REPLY_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PeerError(f"no answer within {REPLY_TIMEOUT_S} s") from None
    if done.returncode:
        raise PeerError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1][-300:])
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _observe(
    runs: Sequence[Run],
    pythons: dict[str, Path],
    receiver: Sink,
    folder: Path,
    ends: ExitStack,
    rounds: int,
    burst: int,
) -> None:
    children: dict[str, Child] = {}

    def ask(run: Run, **order: int) -> dict[str, Any]:
        if not run.failure:
            try:
                return children[run.peer.id].ask(**order)
            except PeerError as error:
                run.failure = f"stopped: {error}"
        return {}

    for run in runs:
        if not run.failure:
            own = folder / run.peer.id
            own.mkdir()
            endpoint = receiver.endpoint(run.peer.id)
            children[run.peer.id] = ends.enter_context(Child(pythons[run.peer.id], run.peer.id, endpoint, own))
            ask(run, most=burst)
    for number in range(rounds):
        turn = number % len(runs)
        for run in [*runs[turn:], *runs[:turn]]:
            _tell(f"{run.peer.name}: round {number + 1} of {rounds}")
            if told := ask(run, predictions=burst):
                run.rounds.append(told)
    for run in runs:
        if told := ask(run, predictions=0):
            run.ready_kib, run.grown_kib, run.numpy = told["ready_kib"], told["grown_kib"], told["numpy"]
            counted = told["counted"]
            run.counted = counted if isinstance(counted, int) else receiver.count(run.peer.id, counted)


def _command(python: Path, script: str, peer: str, endpoint: str, folder: Path) -> list[str]:
    return [str(python), "-m", f"benchmarks.peers.{script}", peer, endpoint, str(folder)]


def _variables(endpoint: str) -> dict[str, str]:
    """Return a peer's environment: the developer's settings for any of them aside, one thread for a tiny matrix product."""
    ours = ("OTEL_", "RADIOSONDE_", "LOGFIRE_", "WHYLABS_", "PYTHON", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return kept | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "OPENBLAS_NUM_THREADS": "1",
        "WHYLOGS_NO_ANALYTICS": "True",
    }


def _tell(step: str) -> None:
    print(f"\r\x1b[K{step} ...", end="", file=sys.stderr, flush=True)
