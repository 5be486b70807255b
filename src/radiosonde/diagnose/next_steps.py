"""Commands that show the evidence behind a finding: SQL on the store's tables and the CLI itself.

The store's schema is in `radiosonde.store.schema`; the end-to-end test runs every command that a diagnosis prints.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import NextStep, iso

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Onset, Place

_HOUR_NS = 3_600_000_000_000


def look_at_cells(where: Place, onset: Onset) -> NextStep:
    """Return the query of the feature's cell counts around the onset."""
    return NextStep(
        f"the cell counts of {where.feature} around the onset",
        _sqlite(
            "SELECT datetime(start_ns/1000000000,'unixepoch') AS hour, version, cells FROM windows JOIN features USING (window_id) "  # noqa: S608 -- text for a person to run; names are quoted
            f"WHERE model={_text(where.model)} AND feature={_text(where.feature)} AND start_ns BETWEEN {onset.earliest_ns - 3 * _HOUR_NS} "
            f"AND {onset.latest_ns + 3 * _HOUR_NS} ORDER BY start_ns LIMIT 40"
        ),
    )


def look_at_errors(where: Place, onset: Onset) -> NextStep:
    """Return the query of failures by version, cohort and exception type since the onset."""
    # Commas on both sides, so that plan=pro is not found in plan=promo, and each dimension by itself: others may lie between.
    pairs = where.cohort.split(",") if where.cohort else []
    cohort = "".join(f" AND (',' || cohort || ',') LIKE {_text('%,' + pair + ',%')}" for pair in pairs)
    return NextStep(
        "failures by version, cohort and exception type since the onset",
        _sqlite(
            "SELECT version, cohort, e.key AS error, sum(e.value) AS failed FROM windows, json_each(errors) AS e "  # noqa: S608 -- text for a person to run; names are quoted
            f"WHERE model={_text(where.model)} AND start_ns >= {onset.at_ns}{cohort} GROUP BY 1, 2, 3 ORDER BY failed DESC LIMIT 20"
        ),
    )


def look_at_outcomes(where: Place, onset: Onset) -> NextStep:
    """Return the query of labelled outcomes by version since the onset."""
    return NextStep(
        "labelled outcomes by version and lag since the onset",
        _sqlite(
            "SELECT version, lag, result, sum(rows) AS labelled FROM outcomes "  # noqa: S608 -- text for a person to run; names are quoted
            f"WHERE model={_text(where.model)} AND start_ns >= {onset.at_ns} GROUP BY 1, 2, 3"
        ),
    )


def look_at_labels(where: Place, onset: Onset) -> NextStep:
    """Return the query of predictions and labels by hour around the onset."""
    return NextStep(
        "predictions and their labels by hour of the prediction, around that moment",
        _sqlite(
            "SELECT strftime('%Y-%m-%d %H:00', start_ns/1000000000, 'unixepoch') AS hour, sum(rows) AS predicted, "  # noqa: S608 -- text for a person to run; names are quoted
            "coalesce(sum((SELECT sum(json_extract(o.value, '$.rows')) FROM json_each(labels, '$.outcomes') AS o)), 0) AS labelled FROM windows "
            f"WHERE model={_text(where.model)} AND start_ns BETWEEN {onset.at_ns - 24 * _HOUR_NS} AND {onset.at_ns + 12 * _HOUR_NS} "
            "GROUP BY 1 ORDER BY 1"
        ),
    )


def look_at_traces(where: Place, onset: Onset) -> NextStep:
    """Return the query of the slowest sampled traces since the onset."""
    version = f" AND version={_text(where.version)}" if where.version else ""
    return NextStep(
        "the slowest predictions whose trace was sampled, since the onset",
        _sqlite(
            "SELECT json_extract(x.value,'$.value_s') AS seconds, json_extract(x.value,'$.trace_id') AS trace, version, cohort "  # noqa: S608 -- text for a person to run; names are quoted
            f"FROM windows, json_each(latency, '$.exemplars') AS x WHERE model={_text(where.model)}{version} "
            f"AND start_ns >= {onset.at_ns} ORDER BY seconds DESC LIMIT 10"
        ),
    )


def look_at_health(onset: Onset) -> NextStep:
    """Return the query of the health of the processes since the onset."""
    return NextStep(
        "the health of each process by hour since the onset",
        _sqlite(
            "SELECT strftime('%Y-%m-%d %H:00', start_ns/1000000000, 'unixepoch') AS hour, process, round(sum(gc_pause_s), 1) AS gc_seconds, "  # noqa: S608 -- text for a person to run; only numbers are filled in
            "round(avg(cpu_cores), 2) AS cores, round(avg(throttled_ratio), 3) AS throttled "
            f"FROM health WHERE start_ns >= {onset.earliest_ns} GROUP BY 1, 2 ORDER BY gc_seconds DESC LIMIT 20"
        ),
    )


def look_at_traffic(where: Place, onset: Onset) -> NextStep:
    """Return the query of calls by minute, version and cohort around the onset."""
    return NextStep(
        "calls by minute, version and cohort around the onset",
        _sqlite(
            "SELECT strftime('%Y-%m-%d %H:%M', start_ns/1000000000, 'unixepoch') AS minute, version, cohort, sum(calls) AS calls "  # noqa: S608 -- text for a person to run; names are quoted
            f"FROM windows WHERE model={_text(where.model)} AND start_ns BETWEEN {onset.at_ns - _HOUR_NS // 4} AND {onset.at_ns + _HOUR_NS // 4} "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 400"
        ),
    )


def look_before(where: Place, onset: Onset) -> NextStep:
    """Return the diagnosis of the time before the onset, which should come out without this finding."""
    return NextStep(
        "the same diagnosis for the time before the onset, which should not show this",
        f"radiosonde diagnose STORE --model{_shell(where.model)} --until {iso(onset.earliest_ns)}",
    )


def _sqlite(query: str) -> str:
    return f'sqlite3 -box STORE "{query}"'


def _text(value: str) -> str:
    quoted = value.replace("'", "''").replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f"'{quoted}'"


def _shell(value: str) -> str:
    """Return *value* as the argument of the option before it; a value that begins with a hyphen must be joined to it."""
    return ("=" if value.startswith("-") else " ") + shlex.quote(value)
