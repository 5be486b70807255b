"""KServe's Python server: an unmodified model class."""

from __future__ import annotations

import pytest

from tests.e2e.serving._serving import (
    check_labels,
    check_outcomes,
    check_predictions,
    check_requests,
    post_all,
    server,
    winds,
)

pytest.importorskip("kserve")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_every_request_is_one_prediction_with_its_id_and_its_route(tmp_path):
    """Of protocol version 1: predictions, ids, route, errors and phases, all from an untouched server."""
    with server(tmp_path, "25_kserve", ["python", "25_kserve.py"], "/v2/health/ready") as served:
        place = f"{served.url}/v1/models/delays:predict"
        asked = post_all(place, [{"instances": [[wind, 0.0, 0.0]]} for wind in winds()])
        (refused,) = post_all(place, [{"instances": [["fast"]]}])
        check_labels(tmp_path, served, asked)
    assert {one.answer.json()["predictions"][0] for one in asked} == {"late", "early"}
    assert refused.answer.status_code == 500
    check_predictions(tmp_path, {"ValueError": 1})
    route = "POST /v1/models/{model_name}:predict"
    check_requests(tmp_path, route, {"ValueError": 1}, {"parse", "feature_fetch", "predict", "serialise"})
    check_outcomes(tmp_path)
