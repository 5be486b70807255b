from __future__ import annotations

import asyncio
import json

import pytest

from radiosonde_demo.flights import Departure
from radiosonde_demo.replay import replay


class Server:
    """A server of few words on a free port: answers each request with what *answer* returns, and keeps what came."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                path = head.split(" ")[1]
                self.requests.append((path, body))
                status = self.answer(path, body)
                if status is None:
                    break
                headers = f"X-Prediction-Id: id-{body['flight']}\r\n" if path == "/predictions" else ""
                writer.write(f"HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: 2\r\n\r\n{{}}".encode())
                if status >= 500:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def answer(path, body):
    """Answer as the demo's server does when all is well."""
    return 200 if path == "/predictions" else 202


def departure(number, scheduled_s, landed_s=None):
    """Return a flight to replay."""
    label = None if landed_s is None else "late"
    return Departure(scheduled_s, landed_s, label, "UA", number, "N1", "JFK", "LAX", 2475.0)


async def test_flights_and_labels_go_out_in_event_order():
    """The first flight lands before the second departs, so its label is sent in between, with the id it was given."""
    flights = [departure(1, 1_362_132_000, 1_362_139_200), departure(2, 1_362_142_800, 1_362_146_400)]
    async with Server(answer) as server:
        tally = await replay(server.port, flights, lambda tally: None)
    bodies = sorted((body.get("scheduled") or body["time"], path, body) for path, body in server.requests)
    assert (tally.predictions, tally.labels, tally.failures) == (2, 2, 0)
    assert {(path, body.get("prediction_id")) for path, body in server.requests} == {
        ("/predictions", None),
        ("/labels", "id-1"),
        ("/labels", "id-2"),
    }
    assert bodies[0][2]["scheduled"] == "2013-03-01T05:00:00-05:00"
    label = next(body for path, body in server.requests if body.get("prediction_id") == "id-1")
    assert label == {"prediction_id": "id-1", "value": "late", "time": "2013-03-01T12:00:00+00:00"}


async def test_many_flights_are_sent_in_order():
    """Three hundred flights over eight connections arrive at the server at most eight places out of order."""
    flights = [departure(number, 1_362_132_000 + 60 * number) for number in range(300)]
    async with Server(answer) as server:
        await replay(server.port, flights, lambda tally: None)
    arrived = [body["flight"] for _, body in server.requests]
    assert sorted(arrived) == list(range(300))
    assert max(abs(place - number) for place, number in enumerate(arrived)) < 8


async def test_a_flight_without_a_label_gets_none():
    """A cancelled flight is predicted, and nothing more is heard of it."""
    async with Server(answer) as server:
        tally = await replay(server.port, [departure(1, 1_362_132_000)], lambda tally: None)
    assert [path for path, _ in server.requests] == ["/predictions"]
    assert (tally.predictions, tally.labels) == (1, 0)


async def test_a_failed_prediction_is_counted_and_gets_no_label():
    """An error closes the connection; the next flight goes over a new one, and the failed one has nothing to label."""
    flights = [departure(number, 1_362_132_000 + number, 1_362_142_800 + number) for number in range(20)]
    async with Server(lambda path, body: 500 if body.get("flight") == 3 else answer(path, body)) as server:
        tally = await replay(server.port, flights, lambda tally: None)
    assert (tally.predictions, tally.failures, tally.labels) == (19, 1, 19)
    assert "id-3" not in {body.get("prediction_id") for _, body in server.requests}


async def test_a_server_that_goes_away_is_an_error_at_once():
    """A connection that ends before the answer is an OSError, not a replay that waits for ever."""
    async with Server(lambda path, body: None) as server:
        with pytest.raises(ExceptionGroup) as raised:
            await replay(server.port, [departure(1, 1_362_132_000, 1_362_142_800)], lambda tally: None)
    assert raised.group_contains(ConnectionResetError)


async def test_a_label_that_is_refused_is_an_error():
    """The demo promises its labels; a server that refuses one has a fault that must not pass in silence."""
    async with Server(lambda path, body: 404 if path == "/labels" else answer(path, body)) as server:
        with pytest.raises(ExceptionGroup) as raised:
            await replay(server.port, [departure(1, 1_362_132_000, 1_362_142_800)], lambda tally: None)
    assert raised.group_contains(OSError, match="404")


async def test_progress_hears_of_every_answer():
    """The callback is called once for each flight and each label."""
    calls = []
    async with Server(answer) as server:
        flights = [departure(1, 1_362_132_000, 1_362_142_800), departure(2, 1_362_132_060)]
        await replay(server.port, flights, lambda tally: calls.append(tally.event_s))
    assert len(calls) == 3
    assert calls[-1] == 1_362_132_060
