"""Running real model servers that have never heard of Radiosonde, under `opentelemetry-instrument`, and asking them much.

The servers are the examples of their frameworks. What a test adds is the command, and the path that answers once the
model can predict.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e._prefork import PROGRAMS
from tests.e2e._receivers import free_port, wait_for
from tests.e2e._web import CLIENTS, Asked, environment, label_elsewhere, outcomes, windows

REQUESTS = 60
PATIENCE_S = 300
"""For a start and an end: some of these servers are several processes, each of which imports hundreds of modules."""

EXAMPLES = Path(__file__).parents[3] / "examples"
NO_EXPORT = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
MODEL = "LogisticRegression"


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        url: where.
        variables: its environment, which whoever labels its predictions shares.
    """

    url: str
    variables: Mapping[str, str]


@contextmanager
def server(
    folder: Path,
    example: str,
    command: Sequence[str],
    ready: str,
    *,
    end: signal.Signals = signal.SIGTERM,
    **variables: str,
) -> Iterator[Server]:
    """Run *command* on an example and a trained model; end it by *end*, and see that nothing of its group is left.

    Args:
        folder: where it runs.
        example: which of the examples is put there.
        command: of the environment's programs; PORT in it is the port.
        ready: path that answers with 200 once the model can predict.
        end: what its operator sends.
        variables: for its environment.
    """
    train(folder)
    (folder / f"{example}.py").write_text((EXAMPLES / f"{example}.py").read_text())
    port, grpc_port, metrics_port = (str(free_port()) for _ in range(3))
    told = environment(folder, **NO_EXPORT, **variables)
    told |= {"PORT": port, "GRPC_PORT": grpc_port, "METRICS_PORT": metrics_port}
    told["PATH"] = os.pathsep.join([str(PROGRAMS), told["PATH"]])
    if "NO_CODE" in variables:  # the example is no server, and writes what there is to serve
        subprocess.run([PROGRAMS / "python", f"{example}.py"], cwd=folder, env=told, check=True, timeout=PATIENCE_S)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAMS / "opentelemetry-instrument", *(part.replace("PORT", port) for part in command)], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=told, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: process.poll() is not None or _answers(url + ready), f"{command[0]} to be ready", PATIENCE_S)
        assert process.poll() is None, (folder / "server.log").read_text()
        yield Server(url, told)
        # Ctrl-C in a terminal reaches every process in the foreground.
        (os.killpg if end is signal.SIGINT else os.kill)(process.pid, end)
        process.wait(PATIENCE_S)
        wait_for(lambda: not _lives(process.pid), "the server's processes to end", PATIENCE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def train(folder: Path) -> None:
    """Put a classifier of three numbers into ``model.joblib``: the sign of the first says late or early."""
    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    rows = np.random.default_rng(7).standard_normal((200, 3))
    joblib.dump(
        linear.LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "late", "early")), folder / "model.joblib"
    )


def post_all(url: str, bodies: Sequence[object]) -> list[Asked]:
    """Post all *bodies* over `CLIENTS` connections at once."""

    async def post() -> list[Asked]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(limits=limits, timeout=120) as client:
            answers = await asyncio.gather(*(client.post(url, json=body) for body in bodies))
        return [Asked(url, answer, "", "") for answer in answers]

    return asyncio.run(post())


def winds() -> list[float]:
    """Return the first feature of each request: late and early by turns."""
    return [(-1) ** number * 3.0 for number in range(REQUESTS)]


def check_predictions(folder: Path, errors: Mapping[str, int]) -> None:
    """Every request was one prediction: counted once, under name and version of the file, with class and cells.

    Args:
        folder: of the server.
        errors: of predictions beyond the `REQUESTS`, by type.
    """
    found = [window for window in windows(folder) if window.key.model == MODEL]
    calls, classes, failed, cells = 0, Counter[str](), Counter[str](), Counter[str]()
    for window in found:
        calls += window.calls
        failed.update(dict(window.errors))
        if window.output is not None:
            classes.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
        if window.features is not None:
            cells.update(dict(zip(window.features.names, window.features.cells.sum(axis=1).tolist(), strict=True)))
    assert (calls, failed) == (REQUESTS + sum(errors.values()), Counter(errors)), (calls, failed)
    assert classes == {"late": REQUESTS // 2, "early": REQUESTS // 2}, classes
    assert {name: cells[name] for name in sorted(cells)} == dict.fromkeys(("f0", "f1", "f2"), REQUESTS), cells
    digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
    assert {window.key.version for window in found} == {f"file-{digest[:12]}"}


def check_requests(folder: Path, route: str, errors: Mapping[str, int], phases: set[str]) -> None:
    """Every request is in the series of its route, with its errors, and its time is in *phases*."""
    found = [window for window in windows(folder) if window.key.model == route]
    failed = Counter[str]()
    for window in found:
        failed.update(dict(window.errors))
    calls = sum(window.calls for window in found)
    assert (calls, failed) == (REQUESTS + sum(errors.values()), Counter(errors)), (calls, failed)
    assert phases == {phase for window in found for phase in window.latency.phases}


def check_labels(folder: Path, served: Server, asked: Sequence[Asked]) -> None:
    """Each answer's header holds one id, by which another process labels the prediction; half of them were right."""
    ids = [one.ids for one in asked]
    assert [len(each) for each in ids] == [1] * REQUESTS
    assert len({each[0] for each in ids}) == REQUESTS
    label_elsewhere(served.variables, {each[0]: "late" for each in ids})


def check_outcomes(folder: Path) -> None:
    """The labels of `check_labels` met their predictions."""
    found = outcomes(folder)
    assert found == {"correct": REQUESTS // 2, "incorrect": REQUESTS // 2}, found


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=20).status_code == 200
    except httpx.TransportError:
        return False


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
