"""The demo's server as its own process: its responses, its pages, and the error when it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import urllib.error
import urllib.request
from datetime import datetime

import pytest

from radiosonde.errors import RadiosondeError
from radiosonde_demo._server_process import ServerProcess
from radiosonde_demo.flight import fly_against, prepare
from radiosonde_demo.flights import NEW_YORK, departures
from radiosonde_demo.incidents import Incidents
from radiosonde_demo.progress_reporter import PlainReporter

SOUTHWEST = {
    "carrier": "WN",
    "flight": 1,
    "origin": "LGA",
    "dest": "MDW",
    "distance": 725.0,
    "scheduled": "2013-03-01T08:00:00-05:00",
}
# By the checksum of the registration: N3 is one of the ten percent, N1 is not.
STABLE, CANARY = {**SOUTHWEST, "tailnum": "N1"}, {**SOUTHWEST, "tailnum": "N3"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the files of a server, with a carrier that is lost from the beginning."""
    made = tmp_path_factory.mktemp("flight")
    prepare(made, Incidents(carrier_s=0))
    return made


def post(server, path, body):
    """Return the status, headers and JSON of the answer to a request."""
    url = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, None


def test_the_server_predicts_takes_labels_and_shows_its_metrics(folder):
    """A prediction has an id that its label is taken for; the new version fails for a lost carrier; /metrics answers."""
    with ServerProcess(folder) as server:
        status, headers, answer = post(server, "/predictions", STABLE)
        assert (status, answer["label"]) == (200, "on_time")
        assert len(headers["X-Prediction-Id"]) == 32
        label = {"prediction_id": headers["X-Prediction-Id"], "value": "late", "time": "2013-03-01T11:00:00-05:00"}
        assert post(server, "/labels", label)[0] == 202
        assert post(server, "/predictions", CANARY)[0] == 500
        assert post(server, "/predictions", {"carrier": "WN"})[0] == 422
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics/", timeout=60) as page:
            assert "radiosonde" in page.read().decode()
    assert "KeyError: 'WN'" in server.log.read_text()
    assert "records=2" in server.log.read_text().splitlines()[-1]


def test_a_server_that_is_killed_in_mid_flight_is_told_with_its_log(folder):
    """The replay ends with one sentence and the place of the log, and the context has nothing left to end."""

    class Saboteur(PlainReporter):
        def progress(self, tally, total):
            if tally.predictions == 20:
                os.kill(server.pid, signal.SIGKILL)

    flights = departures(datetime(2013, 3, 1, tzinfo=NEW_YORK), datetime(2013, 3, 2, tzinfo=NEW_YORK))
    with ServerProcess(folder) as server, pytest.raises(RadiosondeError, match=r"stopped answering .*server\.log"):
        fly_against(server, flights, Saboteur(io.StringIO()))
