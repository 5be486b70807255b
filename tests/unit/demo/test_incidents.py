from __future__ import annotations

import asyncio
import time

import pytest

from radiosonde_demo.incidents import Incidents

DAY_S = 86_400
BROKEN = Incidents(carrier_s=100, fetch_s=100, wind_s=100)


def test_incidents_start_at_three_moments_in_the_middle_on_full_hours():
    """Over ten days the incidents begin after at least three, at different full hours, and last for at least four."""
    incidents = Incidents.spread_over(0, 10 * DAY_S)
    moments = [incidents.carrier_s, incidents.fetch_s, incidents.wind_s]
    assert len(set(moments)) == 3
    assert all(moment % 3600 == 0 for moment in moments)
    assert min(moments) > 3 * DAY_S
    assert max(moments) < 6 * DAY_S


def test_a_scenario_file_holds_moments_and_never(tmp_path):
    """Saved incidents are loaded again, including those without a time."""
    path = tmp_path / "incidents.json"
    Incidents(carrier_s=3600).save(path)
    assert Incidents.load(path) == Incidents(carrier_s=3600)


def test_no_incident_is_no_moment():
    """A healthy replay reports no incidents; a broken one reports them in order of time."""
    assert Incidents().moments() == []
    assert [at_s for at_s, _ in Incidents(carrier_s=3, fetch_s=1, wind_s=2).moments()] == [1, 2, 3]


def test_the_wind_changes_its_unit_at_its_moment_and_nothing_else_does():
    """Ten miles per hour are 4.4704 metres per second from the moment on, and the temperature stays."""
    observed = {"wind_speed": 10.0, "temp": 40.0}
    assert BROKEN.weather(observed, 99) == {"wind_speed": 10.0, "temp": 40.0}
    assert BROKEN.weather(observed, 100) == {"wind_speed": pytest.approx(4.4704), "temp": 40.0}
    assert observed == {"wind_speed": 10.0, "temp": 40.0}


def test_the_reloaded_table_lacks_one_carrier():
    """Southwest is in the table before the reload and not after it; the others stay."""
    table = {"WN": 0.2, "UA": 0.3}
    assert BROKEN.carriers(table, 99) == table
    assert BROKEN.carriers(table, 100) == {"UA": 0.3}


def test_one_request_in_fifty_waits_for_the_network():
    """From its moment on about 2 % of the requests are slow, always the same ones, and before it none is."""

    async def waits(now_s):
        started = time.monotonic()
        took = await asyncio.gather(*(_seconds(str(request), now_s) for request in range(1000)))
        assert time.monotonic() - started < 10
        return {request for request, seconds in enumerate(took) if seconds}

    async def _seconds(request, now_s):
        # A coroutine that never suspends is finished by its first step; one that sleeps is not.
        call = BROKEN.network(request, now_s)
        try:
            call.send(None)
        except StopIteration:
            return False
        call.close()
        return True

    assert asyncio.run(waits(99)) == set()
    slow = asyncio.run(waits(100))
    assert 10 <= len(slow) <= 30
    assert asyncio.run(waits(100)) == slow
