"""The calls and rows at the place of an incident since its onset, beside those of the whole model, by cohort and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from radiosonde.diagnose.places import rows_at
from radiosonde.diagnose.text import place_words
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.finding import Finding
    from radiosonde.model import SeriesKey, Window

_MOST_SERIES = 5


class ServedCalls(NamedTuple):
    """Calls of one series or place.

    Attributes:
        calls: calls.
        rows: predicted rows.
        failed: calls that raised.
    """

    calls: int = 0
    rows: int = 0
    failed: int = 0


class Affected(NamedTuple):
    """Calls since the onset.

    Attributes:
        there: at the place of the incident.
        everywhere: of the whole model.
        series: series at the place with their calls, those with the most failures first, then the most calls.
    """

    there: ServedCalls
    everywhere: ServedCalls
    series: tuple[tuple[SeriesKey, ServedCalls], ...]


def affected_by(windows: Sequence[Window], finding: Finding) -> Affected:
    """Return the calls from the onset of *finding* to its end, at its place and everywhere."""
    onset = finding.onset
    until_ns = 2**63 - 1 if onset.ended_ns is None else onset.ended_ns
    counted: dict[SeriesKey, ServedCalls] = {}
    for window in windows:
        if window.key.model == finding.where.model and window.end_ns > onset.at_ns and window.start_ns < until_ns:
            more = ServedCalls(window.calls, window.rows, sum(window.errors.values()))
            counted[window.key] = _sum((counted.get(window.key, ServedCalls()), more))
    keys = sorted(counted)
    there = [key for key, is_there in zip(keys, rows_at(keys, finding.where), strict=True) if is_there]
    ranked = sorted(there, key=lambda key: (-counted[key].failed, -counted[key].calls, key))
    return Affected(
        _sum(counted[key] for key in there), _sum(counted.values()), tuple((key, counted[key]) for key in ranked)
    )


def impact_words(affected: Affected, finding: Finding) -> list[str]:
    """Return *affected* in sentences."""
    there, everywhere = affected.there, affected.everywhere
    if not everywhere.calls:
        return ["no call was counted since the onset"]
    said = [] if finding.impact is None else [finding.impact.text]
    share = percent(there.calls / everywhere.calls)
    said.append(
        f"{_grouped(there.calls)} calls with {_grouped(there.rows)} predicted rows at the place since the onset, "
        f"{share} of the {_grouped(everywhere.calls)} calls of the model in that time"
    )
    if there.calls:
        said.append(f"{_grouped(there.failed)} of them failed, {percent(there.failed / there.calls)}")
    said.append(f"affected: {place_words(finding.where)}")
    for key, served in affected.series[:_MOST_SERIES]:
        named = ", ".join(
            part for part in (f"version {key.version}" if key.version else "", key.variant, key.cohort) if part
        )
        said.append(f"{named or 'all calls'}: {_grouped(served.calls)} calls, {_grouped(served.failed)} failed")
    more = len(affected.series) - _MOST_SERIES
    return [*said, f"and {more} more series"] if more > 0 else said


def _sum(parts: object) -> ServedCalls:
    calls, rows, failed = (sum(column) for column in zip(ServedCalls(), *parts, strict=True))  # type: ignore[misc]
    return ServedCalls(calls, rows, failed)


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
