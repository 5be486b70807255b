"""Where the views for DuckDB find windows: in sealed Parquet, or in a SQLite store.

A store keeps documents as JSON text. Here they get the types that they have in Parquet, as far as views read them, so that everything above
is the same text for both.
"""

from __future__ import annotations

from radiosonde.model.cells import SPECIAL_CELLS

_OUTCOMES = "STRUCT(result VARCHAR, lag VARCHAR, rows BIGINT)[]"
_WAITS = "STRUCT(sum_s DOUBLE)"

DOCUMENTS = {
    "errors": "MAP(VARCHAR, BIGINT)",
    "latency": (
        'STRUCT(scale BIGINT, "offset" BIGINT, counts BIGINT[], sums_s DOUBLE[], phases MAP(VARCHAR, DOUBLE[]), '
        "edges_s DOUBLE[], edge_counts BIGINT[])"
    ),
    "output": (
        "STRUCT(classes VARCHAR[], class_counts BIGINT[], confidence BIGINT[][], confidence_sums DOUBLE[][], "
        "value_counts BIGINT[], value_sum DOUBLE)"
    ),
    "labels": (
        f"STRUCT(outcomes {_OUTCOMES}, calibration STRUCT(labelled DOUBLE[], correct DOUBLE[], confidence_sums DOUBLE[]), "
        "classes VARCHAR[], lag_counts BIGINT[][], lag_edges_s DOUBLE[])"
    ),
    "label_tables": f"STRUCT(retractions {_OUTCOMES})",
    "runtime": (
        "STRUCT(cpu_s DOUBLE, throttled_periods BIGINT, periods BIGINT, rss_bytes BIGINT, "
        f"gc_pauses {_WAITS}, loop_lags {_WAITS}, pool_waits {_WAITS})"
    ),
}
"""Columns of table ``windows`` that views read and that are JSON in a store, with the types of the fields that they read."""

PLAIN = ("window_id", "model", "version", "variant", "cohort", "process", "calls", "rows", "reference_id")
"""The other columns that views read, beside ``start_time``."""

SEALED = """\
-- The files.
CREATE OR REPLACE VIEW radiosonde_windows AS
SELECT * FROM read_parquet(getvariable('radiosonde') || '/process=*/windows-*.parquet', union_by_name = true);

-- A store may have no features and no references, and a pattern without a file is an error: so these read all files, and name their columns.
CREATE OR REPLACE VIEW radiosonde_files AS
SELECT NULL::BIGINT AS window_id, NULL::VARCHAR AS feature, NULL::BIGINT[] AS cells, NULL::VARCHAR AS document, NULL::VARCHAR AS kind, NULL::BLOB AS body
WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(getvariable('radiosonde') || '/*/*.parquet', union_by_name = true, hive_partitioning = false);

CREATE OR REPLACE VIEW radiosonde_features AS
SELECT window_id, feature, cells FROM radiosonde_files WHERE cells IS NOT NULL;

CREATE OR REPLACE VIEW radiosonde_sketches AS
SELECT window_id, feature, kind, body FROM radiosonde_files WHERE body IS NOT NULL;

CREATE OR REPLACE VIEW radiosonde_references AS
SELECT DISTINCT model, version, reference_id, document FROM radiosonde_files WHERE document IS NOT NULL;
"""

_PROFILES = """
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


def stored() -> str:
    """Return the views of windows in an attached SQLite store."""
    documents = [
        f"json_transform({name}, '\"{kind.replace(chr(34), chr(92) + chr(34))}\"') AS {name}"
        for name, kind in DOCUMENTS.items()
    ]
    columns = ",\n  ".join([", ".join(PLAIN), "make_timestamptz(start_ns // 1000) AS start_time", *documents])
    return f"""\
-- The store.
CREATE OR REPLACE VIEW radiosonde_windows AS
SELECT {columns}
FROM store.windows;

CREATE OR REPLACE VIEW radiosonde_features AS
SELECT window_id, feature, CAST(CAST(cells AS JSON) AS BIGINT[]) AS cells FROM store.features;

CREATE OR REPLACE VIEW radiosonde_sketches AS
SELECT window_id, feature, kind, body FROM store.sketches;

CREATE OR REPLACE VIEW radiosonde_references AS
SELECT DISTINCT model, version, reference_id, document FROM store.reference_profiles;
"""


def profiles() -> str:
    """Return the view of the features of references, which reads the others."""
    numeric, missing = list(SPECIAL_CELLS), list(SPECIAL_CELLS[2:])
    return _PROFILES.format(specials=numeric, missing=missing, numeric=len(numeric), categorical=len(missing)).lstrip(
        "\n"
    )
