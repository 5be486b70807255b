"""Traffic too rare for a forecast by steps: pauses, and calls by day.

For a whole model that is a nightly job or twenty calls a day; within a busy model it is a cohort or a version with few calls. Both get the
same two tests: is it silent for longer than ever, and did the last days have fewer or more calls than ever?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from radiosonde.diagnose.places import PlaceName
from radiosonde.diagnose.traffic_days import DayChange, day_change, floor_of, lay_out_days, quietest_ns
from radiosonde.diagnose.traffic_series import Rhythm, make_rhythm, written_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.model import SeriesKey, Window

_LEAST_PAUSES, _LEAST_OF_PART = 6, 20


class Seldom(NamedTuple):
    """Results on the calls of one place.

    Attributes:
        place: the place.
        rhythm: its pauses; None if there are too few for a bound.
        allowed_ns: longest allowed pause; 0 without a rhythm.
        is_silent: the current pause is longer.
        change: change of the last days; None without one, or if it is silent.
        floor: see `traffic_days.floor_of`; None if not even a day without calls would be reported.
    """

    place: PlaceName
    rhythm: Rhythm | None
    allowed_ns: int
    is_silent: bool
    change: DayChange | None
    floor: tuple[float, float, int] | None


def look_at_whole(windows: Sequence[Window], beside: Sequence[tuple[int, int]]) -> Seldom:
    """Return the results on the calls of a whole model.

    Args:
        windows: its windows.
        beside: start and end of the windows that cover them (`radiosonde.diagnose.traffic_series.covering`).
    """
    return _look(PlaceName(), windows, (), beside, places=1)


def look_at_part(
    place: PlaceName, keys: set[SeriesKey], windows: Sequence[Window], beside: Sequence[tuple[int, int]], places: int
) -> Seldom:
    """Return the results on the calls of one of *places*: of the *windows* whose key is among *keys*."""
    mine = [window for window in windows if window.key in keys]
    others = [window for window in windows if window.key not in keys]
    return _look(place, mine, others, beside, places)


def _look(
    place: PlaceName,
    windows: Sequence[Window],
    others: Sequence[Window],
    beside: Sequence[tuple[int, int]],
    places: int,
) -> Seldom:
    everything = [*windows, *others]
    spans = [*beside, *((window.start_ns, window.end_ns) for window in others)]
    rhythm: Rhythm | None = make_rhythm(windows, spans)
    least = _LEAST_PAUSES if place == PlaceName() else _LEAST_OF_PART
    if rhythm is not None and rhythm.pauses.size < least:
        rhythm = None
    allowed = 0 if rhythm is None else rhythm.allowed_ns(places)
    silent = rhythm is not None and rhythm.until_ns - rhythm.last_ns > allowed
    until, cut = written_until(everything, beside), quietest_ns(everything)
    written = [*spans, *((window.start_ns, window.end_ns) for window in windows)]
    days = lay_out_days(windows, cut, written, until)
    rest = lay_out_days(others, cut, written, until) if others else None
    change = None if days is None or silent else day_change(days, rest)
    return Seldom(place, rhythm, allowed, silent, change, None if days is None else floor_of(days))
