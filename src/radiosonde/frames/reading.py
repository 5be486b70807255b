"""`read`: the windows of a store as data frames of pandas, polars or Arrow.

Parts of one window (several processes, late labels) are added up first, so that one row is one window of one series. Each frame is made when it
is first used: the cells of features are most of the rows, and few analyses need all frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference
    from radiosonde.sources import Address

Library = Literal["pandas", "polars", "arrow"]
Time = str | date | datetime

NAMES = ("traffic", "errors", "latency", "phases", "features", "answers", "outcomes", "labels")
"""Names of the frames."""

_PACKAGES = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1


class Frames:
    """The windows of a store as data frames.

    Every frame begins with the columns ``start`` and ``end`` (UTC, nanoseconds), ``model``, ``version``, ``variant`` and ``cohort``.

    * ``traffic``: ``calls``, ``rows``, and ``failed`` calls; one row per window.
    * ``errors``: failed ``calls`` by ``type`` of exception.
    * ``latency``: ``calls``, ``mean_s``, ``p50_s``, ``p90_s``, ``p99_s``; one row per window with calls. A quantile is off by at most 4.5 %.
    * ``phases``: ``seconds`` by ``phase``; the phase ``""`` is the time outside all phases.
    * ``features``: ``rows`` by ``feature`` and ``cell``, with the ``values`` of the cell and its ``reference`` share, where a reference is stored
      (else ``""`` and NaN). Cells without rows are left out.
    * ``answers``: predicted ``rows`` by ``class``; numbers are in bins, such as ``(0, 1]``.
    * ``outcomes``: labelled ``rows`` by ``result`` (``correct``, ``incorrect``) and by the ``lag`` of the label (``1h``, ``1d``, ``7d``, ``inf``).
      Corrections are subtracted.
    * ``labels``: ``rows`` by ``label``.

    Args:
        windows: the windows, each once.
        references: reference by (model, version).
        library: library of the frames.
    """

    def __init__(
        self, windows: Sequence[Window], references: Mapping[tuple[str, str], Reference], library: Library = "pandas"
    ) -> None:
        self._windows, self._references, self._library = tuple(windows), references, library

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows behind the frames, ordered by start and series."""
        return self._windows

    @cached_property
    def traffic(self) -> Any:
        """Calls, rows and failed calls per window."""
        return self._frame("traffic")

    @cached_property
    def errors(self) -> Any:
        """Failed calls by type of exception."""
        return self._frame("errors")

    @cached_property
    def latency(self) -> Any:
        """Mean and quantiles of durations per window."""
        return self._frame("latency")

    @cached_property
    def phases(self) -> Any:
        """Seconds by phase."""
        return self._frame("phases")

    @cached_property
    def features(self) -> Any:
        """Rows by feature and cell."""
        return self._frame("features")

    @cached_property
    def answers(self) -> Any:
        """Predicted rows by class."""
        return self._frame("answers")

    @cached_property
    def outcomes(self) -> Any:
        """Labelled rows by result and lag."""
        return self._frame("outcomes")

    @cached_property
    def labels(self) -> Any:
        """Labels by class."""
        return self._frame("labels")

    def _frame(self, name: str) -> Any:
        from radiosonde.frames.columns import TABLES
        from radiosonde.frames.libraries import MAKERS

        return MAKERS[self._library](TABLES[name](self._windows, self._references))

    def __repr__(self) -> str:
        return f"<{self._described()}>"

    def _repr_html_(self) -> str:
        names = "".join(f"<li><code>.{name}</code></li>" for name in NAMES)
        from html import escape  # heavy for `import radiosonde`, as pathlib is

        return f"<p>{escape(self._described())}</p><ul>{names}</ul>"

    def _described(self) -> str:
        from radiosonde.model.names import plain_text

        if not self._windows:
            return f"Frames ({self._library}): no windows"
        models = sorted({window.key.model for window in self._windows})
        named = ", ".join(plain_text(model, 60) for model in models[:5])
        named += f" and {len(models) - 5} more" if len(models) > 5 else ""
        first = min(window.start_ns for window in self._windows)
        last = max(window.end_ns for window in self._windows)
        return f"Frames ({self._library}): {len(self._windows)} windows of {named}, {_minute(first)} to {_minute(last)}"


def read(
    store: str | Path | Address | Sequence[str | Path | Address],
    *,
    since: Time | None = None,
    until: Time | None = None,
    model: str | None = None,
    library: Library = "pandas",
) -> Frames:
    """Read the windows of a store as data frames.

        frames = radiosonde.read("radiosonde.sqlite", since="2026-03-01", model="delays")
        frames.traffic.groupby("version")["calls"].sum()

    Args:
        store: a SQLite store, a folder of stores or of sealed hours, the address of a ClickHouse database, or several of them.
        since: use windows that start at this time or later. Text is ISO 8601; without a time zone it is UTC.
        until: use windows that end at this time or earlier.
        model: this model only; None for all.
        library: ``pandas``, ``polars`` or ``arrow``.

    Raises:
        StoreError: the store cannot be read.
        ConfigurationError: an argument cannot be used, or the library is not installed.
    """
    start_ns, end_ns = _time_ns("since", since), _time_ns("until", until)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigurationError("since must be before until; swap them")
    _check(library)
    from radiosonde.sketches.merge import merge_windows
    from radiosonde.sources import ClickHouseAddress, open_source, parse

    given = [store] if isinstance(store, str | PathLike | ClickHouseAddress) else list(store)
    if not given:
        raise ConfigurationError("no store is named; pass the path of one")
    addresses = [parse(each) if isinstance(each, str) else each for each in given]
    source = open_source(addresses, sketches=False, label_cells=False, batched=True)
    parts = [
        window
        for window in source.windows(start_ns, end_ns, model)
        if not window.is_of_sketches
        and (start_ns is None or window.start_ns >= start_ns)
        and (end_ns is None or window.end_ns <= end_ns)
    ]
    return Frames(merge_windows(parts), source.references(), library)


def _check(library: str) -> None:
    import importlib.util

    if library not in _PACKAGES:
        raise ConfigurationError(f"{library!r} is not a library of frames; choose from {', '.join(_PACKAGES)}")
    package = _PACKAGES[library]
    if importlib.util.find_spec(package) is None:
        raise ConfigurationError(f"frames of {library} need {package}; install it with: pip install {package}")


def _time_ns(name: str, given: Any) -> int | None:
    """Return *given* in nanoseconds since the Unix epoch; exact to the microsecond."""
    if given is None:
        return None
    advice = f"{name}={given!r} is not a time; pass a datetime, or text such as 2026-03-09 or 2026-03-09T14:00Z"
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise ConfigurationError(advice) from None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001  # gets its zone below
    if not isinstance(moment, datetime) or moment != moment:  # noqa: PLR0124  # pandas.NaT is a datetime unlike itself
        raise ConfigurationError(advice)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    passed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    at_ns = ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000
    if not _FIRST_NS <= at_ns <= _LAST_NS:
        raise ConfigurationError(f"{name}={given!r} is outside the supported years 1678 to 2261")
    return at_ns


def _minute(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
