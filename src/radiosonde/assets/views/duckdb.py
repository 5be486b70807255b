"""Views for DuckDB over sealed Parquet: table macros of an interval."""

from __future__ import annotations

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.counts import counts
from radiosonde.assets.views.view import PREFIX, SqlView, expanded, summary_lines
from radiosonde.model import CONFIDENCE_BINS
from radiosonde.model.cells import SPECIAL_CELLS

_HEAD = """\
-- Questions of a diagnosis, over windows that `radiosonde store seal` has moved to Parquet. Made by: radiosonde assets duckdb
-- Each is a table macro of an interval: windows that start at t0 or later and before t1.
--
--     SET VARIABLE radiosonde = 'sealed';  -- the folder; before this file is read
--     .read views.sql
--     FROM radiosonde_drift(TIMESTAMPTZ '2026-11-01', TIMESTAMPTZ '2026-11-02') ORDER BY psi_z DESC;
--
-- Names and columns are those of the views for ClickHouse (radiosonde assets clickhouse)."""

_FILES = """\
-- The files.
CREATE OR REPLACE VIEW radiosonde_windows AS
SELECT * FROM read_parquet(getvariable('radiosonde') || '/process=*/windows-*.parquet', union_by_name = true);

-- A store may have no features and no references, and a pattern without a file is an error: so these read all files, and name their columns.
CREATE OR REPLACE VIEW radiosonde_files AS
SELECT NULL::BIGINT AS window_id, NULL::VARCHAR AS feature, NULL::BIGINT[] AS cells, NULL::VARCHAR AS document WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(getvariable('radiosonde') || '/*/*.parquet', union_by_name = true, hive_partitioning = false);

CREATE OR REPLACE VIEW radiosonde_features AS
SELECT window_id, feature, cells FROM radiosonde_files WHERE cells IS NOT NULL;

CREATE OR REPLACE VIEW radiosonde_references AS
SELECT DISTINCT model, version, reference_id, document FROM radiosonde_files WHERE document IS NOT NULL;

-- The features of the references, with the names of their cells.
CREATE OR REPLACE VIEW radiosonde_profiles AS
SELECT model, version, reference_id, reference_rows, profile ->> '$.name' AS feature, shares,
  CASE WHEN profile ->> '$.kind' = 'numeric'
    THEN list_concat(list_transform(range(len(shares) - {numeric}), lambda i: printf('%02d', i)), {specials})
    ELSE list_concat(list_transform(range(len(shares) - {categorical}), lambda i: printf('c%02d', i)), {missing}) END AS cell_names
FROM (
  SELECT model, version, reference_id, reference_rows, profile, CAST(profile -> '$.p0' AS DOUBLE[]) AS shares
  FROM (
    SELECT model, version, reference_id, CAST(document ->> '$.reference.rows' AS BIGINT) AS reference_rows,
      unnest(CAST(document -> '$.reference.features' AS JSON[])) AS profile
    FROM radiosonde_references
  )
);"""

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
        "processes",
        f"""
SELECT process, runtime.cpu_s AS cpu, runtime.throttled_periods AS throttled, runtime.periods AS periods, runtime.gc_pauses.sum_s AS gc,
  runtime.loop_lags.sum_s AS loop_lag, runtime.pool_waits.sum_s AS pool_wait, runtime.rss_bytes AS memory
FROM radiosonde_windows WHERE runtime IS NOT NULL AND {_IN}""",
    ),
)
"""The relations of answers, from the columns of the store (``docs/store.md``)."""


def make(_: AssetOptions) -> list[Asset]:
    """Return the file."""
    numeric, missing = list(SPECIAL_CELLS), list(SPECIAL_CELLS[2:])
    files = _FILES.format(specials=numeric, missing=missing, numeric=len(numeric), categorical=len(missing))
    statements = [_macro(view) for view in (*COUNTS, *ANSWERS)]
    return [Asset("views.sql", "\n\n".join([_HEAD, files, *statements]) + "\n")]


def _macro(view: SqlView) -> str:
    query = expanded(view, lambda name: f"{PREFIX}{name}(t0, t1)")
    return f"{summary_lines(view)}\nCREATE OR REPLACE MACRO {PREFIX}{view.name}(t0, t1) AS TABLE\n{query};"
