"""Two servers get requests in turns over kept connections; refusals are reported."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from radiosonde.bench.server import WARM_UP, ServerOrders, measure
from radiosonde.errors import ConfigurationError
from tests.http_server import Handler, http_server

BODIES = [{"wind": 1.0}, {"wind": -1.0}]


@contextmanager
def serving(status=200, *, closes=False):
    """Serve; yield the address, the bodies and the connections that came."""
    got, connections = [], set()

    class Model(Handler):
        def respond(self):
            got.append(json.loads(self.body()))
            connections.add(self.client_address)
            self.answer(status, b"{}")
            self.close_connection = closes and len(got) % 10 == 0

    with http_server(Model) as server:
        yield f"{server.url}/predict?v=1", got, connections


@pytest.fixture
def bodies(tmp_path):
    """Return a file of bodies."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(BODIES))
    return str(path)


@pytest.mark.parametrize("closes", [False, True])
def test_two_addresses_are_asked_in_turns(bodies, closes):
    """As often as is said, with the bodies in turns; a connection that the server ends is opened anew."""
    told = []
    with serving(closes=closes) as (bare, bare_got, _), serving(closes=closes) as (url, got, connections):
        results = measure(ServerOrders(url, bare, None, bodies, 0.5), lambda done, total: told.append((done, total)))
    assert results.made == len(got) == results.observed.calls + WARM_UP
    assert len(bare_got) == results.bare.calls + WARM_UP
    assert got[:2] == BODIES
    assert results.counted is None
    assert results.bare.cpu_us is None
    assert (len(connections) > 1) == closes
    assert results.rounds >= 3
    assert told[-1][0] <= told[-1][1]


@pytest.mark.parametrize(
    ("status", "said"), [(422, "was answered with 422"), (500, "was answered with 500"), (404, "was answered with 404")]
)
def test_what_a_server_refuses_is_said(bodies, status, said):
    """Before anything is measured, with what to pass."""
    with serving(status) as (bare, *_), serving() as (url, *_), pytest.raises(ConfigurationError, match=said):
        measure(ServerOrders(url, bare, None, bodies, 0.5), None)


@pytest.mark.parametrize("url", ["127.0.0.1:8000/predict", "ftp://x/y", "http://", "/predict"])
def test_an_address_that_is_none_is_said(bodies, url):
    """Where both run already."""
    with pytest.raises(ConfigurationError, match="is no address of a server"):
        measure(ServerOrders(url, url, None, bodies, 0.5), None)
