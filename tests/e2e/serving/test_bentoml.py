"""BentoML: an unmodified service, in two worker processes."""

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

pytest.importorskip("bentoml")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_every_request_is_one_prediction_with_its_id_and_its_route(tmp_path):
    """Workers count for themselves and the sum is exact; ids are in headers; what could not be parsed is an error."""
    command = ["bentoml", "serve", "21_bentoml:Delays", "--host", "127.0.0.1", "--port", "PORT"]
    home = {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    with server(tmp_path, "21_bentoml", command, "/readyz", **home) as served:
        asked = post_all(f"{served.url}/predict", [{"row": [wind, 0.0, 0.0]} for wind in winds()])
        (refused,) = post_all(f"{served.url}/predict", [{"row": ["fast"]}])
        check_labels(tmp_path, served, asked)
    assert {one.answer.json()["label"] for one in asked} == {"late", "early"}
    assert refused.answer.status_code == 400
    check_predictions(tmp_path, {})
    check_requests(tmp_path, "POST /predict", {"400": 1}, {"feature_fetch", "predict", "serialise"})
    check_outcomes(tmp_path)
