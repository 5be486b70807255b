from __future__ import annotations

from datetime import datetime

import pytest

from radiosonde_demo.flights import NEW_YORK, WEATHER, departures, training_flights, weather_by_hour


@pytest.fixture(scope="module")
def first_of_march():
    """Return the flights of one day."""
    return departures(datetime(2013, 3, 1, tzinfo=NEW_YORK), datetime(2013, 3, 2, tzinfo=NEW_YORK))


def test_a_day_holds_every_flight_scheduled_that_day_in_order(first_of_march):
    """The first of March 2013 has 958 flights, and they come by scheduled departure."""
    assert len(first_of_march) == 958
    scheduled = [departure.scheduled_s for departure in first_of_march]
    assert scheduled == sorted(scheduled)


def test_the_scheduled_departure_is_the_local_clock_of_new_york(first_of_march):
    """A flight scheduled for 05:00 in New York leaves at 10:00 UTC before daylight saving time begins."""
    assert min(departure.scheduled_s for departure in first_of_march) == 1_362_132_000  # 2013-03-01T10:00:00Z


def test_a_landing_is_the_local_arrival_in_the_time_zone_of_the_destination(first_of_march):
    """UA 1553 reached Los Angeles at 11:11 Pacific time, 46 minutes early: that is 19:11 UTC."""
    (flight,) = [d for d in first_of_march if (d.carrier, d.flight, d.origin) == ("UA", 1553, "JFK")]
    assert flight.landed_s == 1_362_165_060  # 2013-03-01T19:11:00Z
    assert flight.label == "on_time"


def test_flights_that_never_landed_have_neither_label_nor_landing(first_of_march):
    """Cancelled and diverted flights get no label, and a label never comes without its time."""
    unknown = [departure for departure in first_of_march if departure.label is None]
    assert len(unknown) > 0
    assert all((departure.label is None) == (departure.landed_s is None) for departure in first_of_march)
    assert {departure.label for departure in first_of_march} == {"on_time", "late", None}


def test_training_keeps_what_is_missing_missing():
    """The joined training table has its label everywhere, and gusts and pressure missing where they were not measured."""
    flights = training_flights()
    assert len(flights) == 50_009
    assert set(flights["month"]) == {1, 2}
    assert set(flights["late"]) == {"on_time", "late"}
    assert flights["wind_gust"].isna().mean() == pytest.approx(0.71, abs=0.02)
    assert flights["pressure"].isna().mean() == pytest.approx(0.12, abs=0.02)


def test_the_weather_of_an_hour_is_found_by_airport_and_hour():
    """The first row of the weather table, EWR on the first of January at 06:00 UTC, is found with its values."""
    observed = weather_by_hour()["EWR", 1_357_020_000]
    assert set(observed) == set(WEATHER)
    assert observed["temp"] == 39.02
    assert observed["wind_speed"] == pytest.approx(10.35702)
