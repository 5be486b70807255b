"""LitServe: requests in one process, predictions in another that it spawns and terminates."""

from __future__ import annotations

import signal

import pytest

from radiosonde_integrations.litserve import LitServeInstrumentor
from tests.e2e._prefork import agent, ended
from tests.e2e.serving._serving import (
    check_labels,
    check_outcomes,
    check_predictions,
    check_requests,
    post_all,
    server,
    winds,
)

pytest.importorskip("litserve")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_predictions_of_workers_are_named_by_the_answers_of_their_requests(tmp_path):
    """Each prediction of the spawned workers counts; the id in the header is the one its label is taken by.

    Through an agent: LitServe kills a worker that takes more than 5 s to end, and on a busy machine it may. What a
    worker does that is given the time stands in `tests/stress/test_fork.py`.
    """
    spool = tmp_path / "spool"
    drain, _ = agent(spool, "--store", str(tmp_path / "store.sqlite"))
    variables = {"RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "1"}
    # Ctrl-C: at SIGTERM LitServe itself leaves its workers behind.
    command = ["python", "23_litserve.py"]
    told = {"end": signal.SIGINT, **variables}
    with ended(drain), server(tmp_path, "23_litserve", command, "/health", **told) as served:
        asked = post_all(f"{served.url}/predict", [{"row": [wind, 0.0, 0.0]} for wind in winds()])
        (refused,) = post_all(f"{served.url}/predict", [{"row": ["fast"]}])
        check_labels(tmp_path, served, asked)
    assert {one.answer.json()["label"] for one in asked} == {"late", "early"}
    assert refused.answer.status_code == 500
    check_predictions(tmp_path, {"ValueError": 1})
    check_requests(tmp_path, "POST /predict", {"500": 1}, {"parse"})
    check_outcomes(tmp_path)


def test_undoing_puts_back_the_very_functions():
    """After `uninstrument` LitServe's classes hold what they held before, and again is nothing."""
    from litserve.loops.base import LitLoop
    from litserve.server import BaseRequestHandler

    held = LitLoop.put_response, BaseRequestHandler._submit_request
    plugin = LitServeInstrumentor()
    plugin.instrument()
    assert (LitLoop.put_response, BaseRequestHandler._submit_request) != held
    plugin.uninstrument()
    plugin.uninstrument()
    assert (LitLoop.put_response, BaseRequestHandler._submit_request) == held
