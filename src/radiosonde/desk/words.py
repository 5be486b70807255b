"""Times, numbers and addresses of pages as text."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from radiosonde.model.names import name_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(time_ns: int) -> datetime:
    """Return *time_ns* as a moment in UTC; one that no calendar holds as the nearest that it does."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if time_ns > 0 else datetime.min.replace(tzinfo=UTC)


def minute(time_ns: int) -> str:
    """Return *time_ns* to the minute, as ``2026-03-01 14:26``."""
    return instant(time_ns).strftime("%Y-%m-%d %H:%M")


def iso_minute(time_ns: int) -> str:
    """Return *time_ns* for an address, as ``2026-03-01T14:26``; UTC."""
    return instant(time_ns).strftime("%Y-%m-%dT%H:%M")


def clock_words(time_ns: int) -> str:
    """Return the time of day of *time_ns*, as ``14:26:05``."""
    return instant(time_ns).strftime("%H:%M:%S")


def short_duration(seconds: float) -> str:
    """Return *seconds* of a latency or a wait with three digits and their unit; a dash where it is not known."""
    if not math.isfinite(seconds):
        return "\u2013"
    if seconds >= 86_400:
        return f"{seconds / 86_400:.3g} d"
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 60:
        return f"{seconds / 60:.3g} min"
    return (
        f"{seconds:.3g} s"
        if seconds >= 1
        else f"{seconds * 1e3:.3g} ms"
        if seconds >= 1e-3
        else f"{seconds * 1e6:.3g} \u00b5s"
    )


def grouped(number: float) -> str:
    """Return *number* with spaces between thousands; three digits where it is small, a dash where it is not known."""
    if not math.isfinite(number):
        return "\u2013"
    text = f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.3g}"
    return text.replace(",", "\u202f")


def page_url(path: str, **query: object) -> str:
    """Return an address of the desk. Names are in the query, where any text is safe, in their safe form, which has a bounded length.

    Parameters that are None are left out; *from_* is ``from``.
    """
    given = {name.rstrip("_"): name_of(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, errors='replace')}" if given else path
