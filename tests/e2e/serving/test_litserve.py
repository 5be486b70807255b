"""LitServe: requests in one process, predictions in another that it spawns and terminates."""

from __future__ import annotations

import signal

import pytest

from radiosonde_integrations.litserve import LitServeInstrumentor
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

SERVE = """
import joblib
import litserve
import numpy as np

class Delays(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load("model.joblib")

    def decode_request(self, request):
        return np.array([request["row"]])

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, answer):
        return {"label": str(answer[0])}

if __name__ == "__main__":
    server = litserve.LitServer(Delays(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False)
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_predictions_of_workers_are_named_by_the_answers_of_their_requests(tmp_path):
    """What a worker made until it was terminated counts; the id in the header is the one its label is taken by."""
    # Ctrl-C: at SIGTERM LitServe itself leaves its workers behind.
    command = ["python", "serve.py"]
    with server(tmp_path, {"serve.py": SERVE}, command, "/health", end=signal.SIGINT) as served:
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
