"""Replay flights against the server in event order: a prediction when a flight is due, its label when it has landed.

The clock of the replay is the flights' own; three weeks pass in under two minutes. Several requests are in flight at
once, so that a slow answer (an incident adds 300 ms to one in fifty) holds up no other flight; order is kept in what is
sent, and a label always waits for the response with the id of its prediction.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from radiosonde_demo._http import Connection
from radiosonde_demo.flights import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radiosonde_demo.flights import Departure

CONNECTIONS = 8
"""Requests in flight. The server is busy from four on; the rest is room for the slow ones."""


@dataclass(slots=True)
class ReplayTally:
    """Requests sent and responses received so far.

    Attributes:
        predictions: flights answered with a prediction.
        failures: flights answered with an error.
        labels: landings reported.
        event_s: scheduled departure of the latest flight sent, seconds since the Unix epoch.
    """

    predictions: int = 0
    failures: int = 0
    labels: int = 0
    event_s: int = 0


@dataclass(eq=False, slots=True)
class _Flight:
    departure: Departure
    prediction_id: asyncio.Future[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.prediction_id = asyncio.get_running_loop().create_future()


async def replay(
    port: int,
    departures: Sequence[Departure],
    progress: Callable[[ReplayTally], None],
    labels_until_s: float = math.inf,
) -> ReplayTally:
    """Send *departures* and their labels to the server at *port* and return the tally.

    Args:
        port: port of the server on 127.0.0.1.
        departures: the flights in event order.
        progress: called after each answer, with the same tally every time.
        labels_until_s: landings from then on are not reported; seconds since the Unix epoch.

    Raises:
        OSError: the server cannot be reached or went away.
    """
    tally = ReplayTally()
    events = _events([_Flight(departure) for departure in departures], labels_until_s)

    async def fly() -> None:
        connection = Connection(port)
        try:
            for send, flight in events:  # one iterator for all: each takes the next event when it is free
                await send(connection, flight, tally)
                progress(tally)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(fly())
    return tally


def _events(flights: Sequence[_Flight], labels_until_s: float) -> Iterator[tuple[_Send, _Flight]]:
    """Iterate over the requests in event order: flights when they are due, labels at the landing."""
    due = ((flight.departure.scheduled_s, _predict, flight) for flight in flights)
    landed = (
        (at_s, _label, flight)
        for flight in flights
        if (at_s := flight.departure.landed_s) is not None and at_s < labels_until_s
    )
    return ((send, flight) for _, send, flight in sorted(chain(due, landed), key=itemgetter(0)))


async def _predict(connection: Connection, flight: _Flight, tally: ReplayTally) -> None:
    departure = flight.departure
    body = {
        "carrier": departure.carrier,
        "flight": departure.flight,
        "tailnum": departure.tailnum,
        "origin": departure.origin,
        "dest": departure.dest,
        "distance": departure.distance,
        "scheduled": datetime.fromtimestamp(departure.scheduled_s, NEW_YORK).isoformat(),
    }
    answer = await connection.post("/predictions", json.dumps(body).encode())
    tally.event_s = max(tally.event_s, departure.scheduled_s)
    if answer.status == 200:
        tally.predictions += 1
        flight.prediction_id.set_result(answer.headers["x-prediction-id"])
    else:
        tally.failures += 1
        flight.prediction_id.set_result(None)


async def _label(connection: Connection, flight: _Flight, tally: ReplayTally) -> None:
    prediction_id = await flight.prediction_id
    if prediction_id is None:
        return  # There is nothing to say about a prediction that was never made.
    landed = datetime.fromtimestamp(flight.departure.landed_s or 0, UTC)
    label = {"prediction_id": prediction_id, "value": flight.departure.label, "time": landed.isoformat()}
    answer = await connection.post("/labels", json.dumps(label).encode())
    if answer.status != 202:
        raise ConnectionError(f"the server refused a label with status {answer.status}")
    tally.labels += 1


_Send = Callable[[Connection, _Flight, ReplayTally], Coroutine[None, None, None]]
