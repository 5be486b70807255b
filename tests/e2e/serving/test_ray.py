"""Ray Serve: replicas are workers of Ray, which ends them as it likes; a spool and an agent keep what they counted."""

from __future__ import annotations

import pytest

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

pytest.importorskip("ray.serve")

RAY = {
    # Ray's own patience with its processes is short for machines that do much else.
    "RAY_raylet_start_wait_time_s": "200",
    "RAY_worker_register_timeout_seconds": "200",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_every_request_is_one_prediction_with_its_id_and_its_route(tmp_path, tmp_path_factory):
    """An ingress of FastAPI in two replicas: predictions, ids, labels, route and errors, through the agent."""
    spool = tmp_path / "spool"
    # Ray's sockets lie there, and their paths have a short limit.
    temporary = tmp_path_factory.mktemp("r")
    drain, _ = agent(spool, "--store", str(tmp_path / "store.sqlite"), RADIOSONDE_COHORTS="plan=pro")
    variables = {**RAY, "RADIOSONDE_SPOOL": str(spool), "RADIOSONDE_AGENT": "1", "RAY_FOLDER": str(temporary)}
    command = ["python", "24_ray.py"]
    with ended(drain), server(tmp_path, "24_ray", command, "/openapi.json", **variables) as served:
        asked = post_all(f"{served.url}/predict", [{"row": [wind, 0.0, 0.0]} for wind in winds()])
        (refused,) = post_all(f"{served.url}/predict", [{"row": ["fast"]}])
        check_labels(tmp_path, served, asked)
    assert {one.answer.json()["label"] for one in asked} == {"late", "early"}
    assert refused.answer.status_code == 422
    check_predictions(tmp_path, {})
    check_requests(tmp_path, "POST /predict", {"422": 1}, {"parse", "feature_fetch", "predict", "serialise"})
    check_outcomes(tmp_path)
