"""Views for DuckDB over sealed Parquet, or over a SQLite store: table macros of an interval."""

from __future__ import annotations

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.counts import counts
from radiosonde.assets.views.duckdb_files import SEALED, profiles, stored
from radiosonde.assets.views.view import KLL, PREFIX, SqlView, expanded, summary_lines
from radiosonde.model import CONFIDENCE_BINS
from radiosonde.model.cells import SPECIAL_CELLS

_HEAD = """\
-- Questions of a diagnosis, over {what}. Made by: radiosonde assets duckdb
-- Each is a table macro of an interval: windows that start at t0 or later and before t1.
--
--     {opened}
--     .read {file}
--     FROM radiosonde_drift(TIMESTAMPTZ '2026-11-01', TIMESTAMPTZ '2026-11-02') ORDER BY psi_z DESC;
--
-- Names and columns are those of the views for ClickHouse (radiosonde assets clickhouse)."""

_PARQUET = _HEAD.format(
    what="windows that `radiosonde store seal` has moved to Parquet",
    opened="SET VARIABLE radiosonde = 'sealed';  -- the folder; before this file is read",
    file="views.sql",
)
_SQLITE = _HEAD.format(
    what="the windows in a SQLite store",
    opened="ATTACH 'radiosonde.sqlite' AS store (TYPE sqlite);  -- before this file is read",
    file="views-sqlite.sql",
)

_NUMBERS = """\
-- Numbers in bytes that are given as hexadecimal text, the lowest byte first: a whole number, and a double by IEEE 754.
CREATE OR REPLACE MACRO radiosonde_unsigned(bytes, start, width) AS
  TRY_CAST('0x' || list_aggregate(list_transform(range(width), lambda i: substring(bytes, 2 * (start + width - i) - 1, 2)), 'string_agg', '') AS UBIGINT);

CREATE OR REPLACE MACRO radiosonde_double_of(bits) AS
  CASE WHEN bits & 9223372036854775808 > 0 THEN -1 ELSE 1 END * CASE (bits >> 52) & 2047
    WHEN 0 THEN CAST(bits & 4503599627370495 AS DOUBLE) * pow(2.0, -1074) WHEN 2047 THEN 'inf'::DOUBLE
    ELSE CAST((bits & 4503599627370495) + 4503599627370496 AS DOUBLE) * pow(2.0, CAST((bits >> 52) & 2047 AS INTEGER) - 1075) END;"""

_IN = "start_time >= t0 AND start_time < t1"
_MODELS = f"FROM radiosonde_windows WHERE runtime IS NULL AND {_IN}"
_SERIES = "model, version, variant, cohort"
_RELEASE = "model, version, variant"
_FAILED = "coalesce(list_sum(map_values(errors)), 0)"

_SMALLEST_POWER, _LARGEST_POWER = -13, 9
"""Of two: the bounds of the tail in seconds, as ``radiosonde.total_le`` has them; slower calls are in a last one without end."""

_BOUNDS = ", ".join([*(repr(2.0**power) for power in range(_SMALLEST_POWER, _LARGEST_POWER + 1)), "'inf'::DOUBLE"])

_BUCKET_LE = f"""CASE WHEN ceil((latency.offset + i) / pow(2, latency.scale)) > {_LARGEST_POWER} THEN 'inf'::DOUBLE
      ELSE pow(2, greatest(ceil((latency.offset + i) / pow(2, latency.scale)), {_SMALLEST_POWER})) END"""


def _cumulative(what: str, key: str, buckets: str) -> str:
    """Return bucket sums as sums up to each bound of the tail, as they are exported."""
    return f"""
SELECT {key}, le_s, sum(CASE WHEN bucket_s <= le_s THEN n ELSE 0 END) AS {what}
FROM (SELECT {key}, bucket_s, sum(n) AS n FROM ({buckets}) GROUP BY ALL), unnest([{_BOUNDS}]) AS bounds(le_s)
GROUP BY ALL"""


_PHASE_ROWS = f"""
    SELECT {_RELEASE}, latency, unnest(map_keys(latency.phases)) AS phase, unnest(map_values(latency.phases)) AS sums {_MODELS}
    UNION ALL
    SELECT {_RELEASE}, latency, 'total' AS phase, latency.sums_s AS sums {_MODELS}"""

COUNTS = (
    counts("calls", f"SELECT {_SERIES}, calls, rows AS rows_in, {_FAILED} AS failed {_MODELS}"),
    counts(
        "cohort_calls",
        f"""
SELECT model, version, url_decode(string_split(part, '=')[1]) AS dimension, url_decode(string_split(part, '=')[2]) AS value, calls, failed
FROM (SELECT model, version, unnest(string_split(cohort, ',')) AS part, calls, {_FAILED} AS failed {_MODELS} AND cohort <> '')""",
    ),
    counts(
        "error_types",
        f"SELECT {_SERIES}, unnest(map_keys(errors)) AS error_type, unnest(map_values(errors)) AS failed {_MODELS}",
    ),
    counts(
        "durations",
        f"""
SELECT {_RELEASE}, unnest(list_concat([0.0], latency.edges_s)) AS lower_s, unnest(list_append(latency.edges_s, 'inf'::DOUBLE)) AS bound_s,
  unnest(latency.edge_counts) AS calls {_MODELS} AND len(latency.edge_counts) > 0""",
    ),
    counts(
        "totals",
        _cumulative(
            "calls",
            _RELEASE,
            f"""
    SELECT {_RELEASE}, {_BUCKET_LE} AS bucket_s, latency.counts[i] AS n
    FROM (SELECT {_RELEASE}, latency, unnest(generate_series(1, len(latency.counts))) AS i {_MODELS})""",
        ),
    ),
    counts(
        "phases",
        _cumulative(
            "seconds",
            f"{_RELEASE}, phase",
            f"""
    SELECT {_RELEASE}, phase, {_BUCKET_LE} AS bucket_s, sums[i] AS n
    FROM (SELECT {_RELEASE}, phase, latency, sums, unnest(generate_series(1, len(sums))) AS i FROM ({_PHASE_ROWS}))""",
        ),
    ),
    counts(
        "cells",
        f"""
SELECT model, version, reference_id, feature, cell, sum(n) AS rows_in
FROM (
  SELECT model, version, reference_id, feature, unnest(cell_names) AS cell,
    unnest(list_transform(cell_names, lambda name, i: CASE
      WHEN list_contains({list(SPECIAL_CELLS)}, name) THEN cells[len(cells) - {len(SPECIAL_CELLS)} + list_position({list(SPECIAL_CELLS)}, name)]
      WHEN i <= len(cells) - {len(SPECIAL_CELLS)} THEN cells[i] ELSE 0 END)) AS n
  FROM (SELECT window_id, model, version, reference_id {_MODELS}) JOIN radiosonde_features USING (window_id)
  JOIN radiosonde_profiles USING (model, version, reference_id, feature)
)
GROUP BY ALL""",
    ),
    counts(
        "reference_cells",
        """
SELECT model, version, reference_id, feature, unnest(cell_names) AS cell, unnest(shares) AS ratio, reference_rows FROM radiosonde_profiles""",
    ),
    counts(
        "predicted_classes",
        f"SELECT {_RELEASE}, unnest(output.classes) AS class, unnest(output.class_counts) AS rows_in {_MODELS}",
    ),
    counts(
        "confidences",
        f"""
SELECT {_SERIES}, coalesce(list_sum(flatten(output.confidence)), 0) AS rows_in, coalesce(list_sum(flatten(output.confidence_sums)), 0) AS confidence_sum
{_MODELS}""",
    ),
    counts(
        "values",
        f"SELECT {_RELEASE}, coalesce(list_sum(output.value_counts), 0) AS rows_in, output.value_sum AS value_sum {_MODELS}",
    ),
    counts(
        "outcomes",
        f"""
SELECT {_SERIES}, o.lag AS lag, o.result AS result, o.rows AS rows_in FROM (SELECT {_SERIES}, unnest(labels.outcomes) AS o {_MODELS})
UNION ALL
SELECT {_SERIES}, o.lag AS lag, o.result AS result, -o.rows AS rows_in FROM (SELECT {_SERIES}, unnest(label_tables.retractions) AS o {_MODELS})""",
    ),
    counts(
        "confidence_bins",
        f"""
SELECT {_RELEASE}, printf('%02d', unnest(range({CONFIDENCE_BINS}))) AS bin, unnest(labels.calibration.labelled) AS rows_in,
  unnest(labels.calibration.correct) AS correct, unnest(labels.calibration.confidence_sums) AS expected
{_MODELS} AND len(labels.calibration.labelled) > 0""",
    ),
    counts(
        "label_lags",
        f"""
SELECT {_RELEASE}, class, unnest(list_concat([0.0], edges)) AS lower_s, unnest(list_append(edges, 'inf'::DOUBLE)) AS bound_s, unnest(lags) AS rows_in
FROM (SELECT {_RELEASE}, labels.lag_edges_s AS edges, unnest(labels.classes) AS class, unnest(labels.lag_counts) AS lags {_MODELS})""",
    ),
    counts(
        "sketch_items",
        f"""
SELECT model, version, variant, feature, radiosonde_double_of(radiosonde_unsigned(sketch, CASE WHEN height = 0 THEN 8 ELSE 36 + 4 * height + 8 * i END, 8)) AS value,
  CAST(pow(2, len(list_filter(starts[2:], lambda start: start <= starts[1] + i))) AS BIGINT) AS weight
FROM (
  SELECT *, unnest(range(CASE WHEN height = 0 THEN 1 ELSE (len(sketch) // 2 - 36 - 4 * height) // 8 END)) AS i
  FROM (
    SELECT *, list_transform(range(height), lambda level: CAST(radiosonde_unsigned(sketch, 20 + 4 * level, 4) AS BIGINT)) AS starts
    FROM (
      SELECT model, version, variant, feature, hex(body) AS sketch, CAST(radiosonde_unsigned(hex(body), 3, 1) AS BIGINT) AS flags,
        CASE WHEN flags & 5 > 0 THEN 0 ELSE CAST(radiosonde_unsigned(hex(body), 18, 1) AS BIGINT) END AS height
      FROM (SELECT window_id, {_RELEASE} {_MODELS}) JOIN radiosonde_sketches USING (window_id)
      WHERE kind = '{KLL}'
    )
    WHERE flags & 1 = 0
  )
)""",
    ),
    counts(
        "processes",
        f"""
SELECT process, runtime.cpu_s AS cpu, runtime.throttled_periods AS throttled, runtime.periods AS periods, runtime.gc_pauses.sum_s AS gc,
  runtime.loop_lags.sum_s AS loop_lag, runtime.pool_waits.sum_s AS pool_wait, runtime.rss_bytes AS memory
FROM radiosonde_windows WHERE runtime IS NOT NULL AND {_IN}""",
    ),
)
"""The relations of answers, from the columns of the store (``docs/store.md``)."""


def make(_: AssetOptions) -> list[Asset]:
    """Return a file for sealed hours, and one for a store."""
    statements = [profiles(), _NUMBERS, *(_macro(view) for view in (*COUNTS, *ANSWERS))]
    return [
        Asset(name, "\n\n".join([head, files.rstrip(), *statements]) + "\n")
        for name, head, files in (("views.sql", _PARQUET, SEALED), ("views-sqlite.sql", _SQLITE, stored()))
    ]


def _macro(view: SqlView) -> str:
    query = expanded(view, lambda name: f"{PREFIX}{name}(t0, t1)")
    return f"{summary_lines(view)}\nCREATE OR REPLACE MACRO {PREFIX}{view.name}(t0, t1) AS TABLE\n{query};"
