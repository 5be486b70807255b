"""MLServer with its scikit-learn runtime: no code of the user's at all, two files of settings."""

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

pytest.importorskip("mlserver_sklearn")

READY = "/v2/models/delays/ready"


def request(wind):
    """Return a request of the open inference protocol."""
    return {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [wind, 0.0, 0.0]}]}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_every_request_is_one_prediction_with_its_id_and_its_route(tmp_path):
    """In the server's process: predictions, ids, route, errors and phases."""
    variables = {"NO_CODE": "yes", "WORKERS": "0"}
    with server(tmp_path, "22_mlserver", ["mlserver", "start", "."], READY, **variables) as served:
        place = f"{served.url}/v2/models/delays/infer"
        asked = post_all(place, [request(wind) for wind in winds()])
        check_labels(tmp_path, served, asked)
    assert {one.answer.json()["outputs"][0]["data"][0] for one in asked} == {"late", "early"}
    check_predictions(tmp_path, {})
    route = "POST /v2/models/{model_name}/infer"
    check_requests(tmp_path, route, {}, {"parse", "feature_fetch", "predict", "serialise"})
    check_outcomes(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_predictions_of_parallel_workers_count_once_each(tmp_path):
    """Workers are forked, and deliver when the server ends them; their ids are not in the header."""
    variables = {"NO_CODE": "yes", "WORKERS": "2"}
    with server(tmp_path, "22_mlserver", ["mlserver", "start", "."], READY, **variables) as served:
        asked = post_all(f"{served.url}/v2/models/delays/infer", [request(wind) for wind in winds()])
    assert {one.answer.json()["outputs"][0]["data"][0] for one in asked} == {"late", "early"}
    assert {len(one.ids) for one in asked} == {0}
    check_predictions(tmp_path, {})
    check_requests(tmp_path, "POST /v2/models/{model_name}/infer", {}, {"parse"})
