"""Views for ClickHouse over the tables that OpenTelemetry's exporter writes: parameterised views of an interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.names import UnknownNameError, check_attributes
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.counts import counts
from radiosonde.assets.views.dashboard import dashboard
from radiosonde.assets.views.view import KLL, PREFIX, SqlView, expanded, summary_lines
from radiosonde.semconv import attributes as names
from radiosonde.semconv import events, metrics
from radiosonde.semconv.catalogue import METRICS

_HEAD = """\
-- Questions of a diagnosis, over the tables of OpenTelemetry's ClickHouse exporter. Made by: radiosonde assets clickhouse
-- Each is a parameterised view of an interval, after t0 and up to t1. Run this file in the database of those tables:
--
--     clickhouse-client --database otel --queries-file views.sql
--     SELECT * FROM radiosonde_drift(t0 = '2026-11-01 00:00:00', t1 = '2026-11-02 00:00:00') ORDER BY psi_z DESC
--
-- Names and columns are those of the views for DuckDB (radiosonde assets duckdb)."""

_ROLLUP = """\
-- Optional: keeps the last export of every hour, for as long as the TTL says. Made by: radiosonde assets clickhouse
-- Run this file in the database of the tables of OpenTelemetry's exporter, and views.sql in the new one as well. The views there answer for months
-- of which the exporter's tables have nothing any more. For cumulative temporality.
--
--     clickhouse-client --database otel --queries-file rollup.sql
--     clickhouse-client --database radiosonde_hourly --queries-file views.sql
--     SELECT * FROM radiosonde_hourly.radiosonde_failures(t0 = '2026-01-01 00:00:00', t1 = '2026-02-01 00:00:00')

CREATE DATABASE IF NOT EXISTS radiosonde_hourly;"""

_TTL_DAYS = 400
_KEPT = {
    "sum": {"Value": "Float64", "AggregationTemporality": "Int32"},
    "gauge": {"Value": "Float64"},
    "histogram": {
        "Sum": "Float64", "BucketCounts": "Array(UInt64)", "ExplicitBounds": "Array(Float64)", "AggregationTemporality": "Int32",
    },
}  # fmt: skip
"""Columns of the exporter's tables that the views read, beside those of every table."""

_T0, _T1 = "{t0:DateTime64(9, 'UTC')}", "{t1:DateTime64(9, 'UTC')}"
_PARAMETERS = f"t0 = {_T0}, t1 = {_T1}"

_LOOK_BACK = "INTERVAL 2 HOUR"
"""How long before t0 the last export of a living process may have been. Exports come every few seconds; of a rollup one an hour is left."""

_CUMULATIVE = 2
_DELTA = 1
"""`AggregationTemporality` of OTLP."""

_SERIES = (names.MODEL_NAME, names.MODEL_VERSION, names.VARIANT, names.COHORT)
_RELEASE = _SERIES[:3]
_FEATURE = (names.MODEL_NAME, names.MODEL_VERSION, names.REFERENCE_ID, names.FEATURE_NAME)

_COLUMNS = {
    names.MODEL_NAME: "model", names.MODEL_VERSION: "version", names.VARIANT: "variant", names.COHORT: "cohort",
    names.REFERENCE_ID: "reference_id", names.FEATURE_NAME: "feature", names.FEATURE_CELL: "cell", names.PHASE: "phase",
    names.ERROR_TYPE: "error_type", names.PREDICTION_CLASS: "class", names.LABEL_CLASS: "class", names.LABEL_LAG: "lag",
    names.OUTCOME_RESULT: "result", names.CONFIDENCE_BIN: "bin",
}  # fmt: skip


def _increase() -> str:
    """Return the increase of counters. A process's life is one instance and start: a restart begins another at zero."""
    return f"""
SELECT MetricName AS metric, instance, attributes, sum(increase) AS n
FROM (
  SELECT MetricName, Attributes AS attributes, ResourceAttributes['{names.SERVICE_INSTANCE_ID}'] AS instance, StartTimeUnix,
    if(any(AggregationTemporality) = {_DELTA}, sumIf(Value, TimeUnix > {_T0}),
      argMax(Value, TimeUnix) - if(StartTimeUnix >= {_T0}, 0, argMaxIf(Value, TimeUnix, TimeUnix <= {_T0}))) AS increase
  FROM otel_metrics_sum
  WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {_T0} - {_LOOK_BACK} AND TimeUnix <= {_T1}
  GROUP BY MetricName, Attributes, instance, StartTimeUnix
) AS lives
GROUP BY metric, instance, attributes"""


def _increase_of_histograms() -> str:
    """Return the same of histograms, one row per bucket; the sum of the values is in every row of a histogram."""
    return f"""
SELECT metric, instance, attributes, bucket.1 AS lower, bucket.2 AS upper, sum(bucket.3) AS n, sum(increase) AS total
FROM (
  SELECT metric, instance, attributes, sum_end - sum_start AS increase,
    arrayJoin(arrayZip(arrayConcat([0.], bounds), arrayConcat(bounds, [inf]),
      arrayMap((count, i) -> toInt64(count) - toInt64(if(i <= length(counts_start), counts_start[i], 0)), counts_end, arrayEnumerate(counts_end)))) AS bucket
  FROM (
    SELECT MetricName AS metric, Attributes AS attributes, ResourceAttributes['{names.SERVICE_INSTANCE_ID}'] AS instance, StartTimeUnix AS started,
      argMax(ExplicitBounds, TimeUnix) AS bounds, any(AggregationTemporality) = {_DELTA} AS is_delta, is_delta OR started >= {_T0} AS is_born,
      if(is_delta, sumForEachIf(BucketCounts, TimeUnix > {_T0}), argMax(BucketCounts, TimeUnix)) AS counts_end,
      if(is_born, [], argMaxIf(BucketCounts, TimeUnix, TimeUnix <= {_T0})) AS counts_start,
      if(is_delta, sumIf(Sum, TimeUnix > {_T0}), argMax(Sum, TimeUnix)) AS sum_end,
      if(is_born, 0, argMaxIf(Sum, TimeUnix, TimeUnix <= {_T0})) AS sum_start
    FROM otel_metrics_histogram
    WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {_T0} - {_LOOK_BACK} AND TimeUnix <= {_T1}
    GROUP BY MetricName, Attributes, instance, StartTimeUnix
  ) AS lives
) AS buckets
GROUP BY metric, instance, attributes, lower, upper"""


def _sketch_items() -> str:
    """Return the values in KLL sketches, of doubles, as DataSketches writes them: levels of values, whose weights are 1, 2, 4 and so on.

    Bytes 18 and from 20 on are the number of levels and the place at which each begins; then come the least and the greatest value, and all
    values. A sketch of one value has only that.
    """
    columns = ", ".join(f"LogAttributes['{name}'] AS {_COLUMNS[name]}" for name in (*_RELEASE, names.FEATURE_NAME))
    window = ", ".join(
        f"LogAttributes['{name}']" for name in (names.COHORT, names.WINDOW_NUMBER, names.WINDOW_START, names.WINDOW_END)
    )
    return f"""
SELECT model, version, variant, feature, tupleElement(item, 1) AS value, tupleElement(item, 2) AS weight
FROM (
  SELECT model, version, variant, feature, arrayJoin(multiIf(bitAnd(flags, 1) > 0, [], bitAnd(flags, 4) > 0, [(single, toUInt64(1))],
    arrayMap(i -> (reinterpretAsFloat64(substring(sketch, 37 + 4 * height + 8 * i, 8)),
      toUInt64(exp2(arrayCount(start -> start <= starts[1] + i, arraySlice(starts, 2))))),
      range(if(height = 0, 0, intDiv(greatest(length(sketch), 36 + 4 * height) - 36 - 4 * height, 8)))))) AS item
  FROM (
    SELECT model, version, variant, feature, sketch, reinterpretAsUInt8(substring(sketch, 4, 1)) AS flags,
      reinterpretAsFloat64(substring(sketch, 9, 8)) AS single, reinterpretAsUInt8(substring(sketch, 19, 1)) AS height,
      arrayMap(level -> reinterpretAsUInt32(substring(sketch, 21 + 4 * level, 4)), range(height)) AS starts
    FROM (
      SELECT {columns}, base64Decode(any(Body)) AS sketch
      FROM otel_logs
      WHERE LogAttributes['{names.EVENT_NAME}'] = '{events.SKETCH_WINDOW}' AND LogAttributes['{names.SKETCH_KIND}'] = '{KLL}'
        AND Timestamp > {_T0} AND Timestamp <= {_T1}
      GROUP BY model, version, variant, feature, {window}, ResourceAttributes['{names.SERVICE_INSTANCE_ID}']
    ) AS delivered
  ) AS headers
) AS items"""


def _columns(metrics_read: Iterable[str], attributes: Iterable[str]) -> str:
    """Return attributes as columns.

    Raises:
        UnknownNameError: a metric carries no such attribute.
    """
    attributes = tuple(attributes)
    for metric in metrics_read:
        if metric not in METRICS:
            raise UnknownNameError(f"no metric {metric!r} in the registry")
        check_attributes(metric, attributes)
    return ", ".join(f"attributes['{attribute}'] AS {_COLUMNS[attribute]}" for attribute in attributes)


def _in(read: Iterable[str]) -> str:
    return f"metric IN ({', '.join(repr(metric) for metric in read)})"


def _sums(key: Iterable[str], figures: Mapping[str, Iterable[str]], more: str = "") -> str:
    """Return figures by attributes; each adds up metrics, those with a minus before their name with that sign."""
    read = [metric.removeprefix("-") for parts in figures.values() for metric in parts]
    parts = [f"sum(multiIf({', '.join(map(_signed, added))}, 0)) AS {name}" for name, added in figures.items()]
    keys = ", ".join([_columns(read, key), *([more] if more else [])])
    return f"SELECT {keys}, {', '.join(parts)} FROM @increase WHERE {_in(read)} GROUP BY ALL"


def _signed(part: str) -> str:
    metric = part.removeprefix("-")
    return f"metric = '{metric}', {'n' if metric == part else '-n'}"


def _buckets(metric: str, key: Iterable[str], lower: str, upper: str, counted: str) -> str:
    columns = _columns([metric], key)
    return (
        f"SELECT {columns}, lower AS {lower}, upper AS {upper}, n AS {counted} FROM @histograms WHERE {_in([metric])}"
    )


def _histogram_sum(metric: str) -> str:
    return f"sum(if(metric = '{metric}' AND lower = 0, total, 0))"


_BOUND = f"if(attributes['{names.TOTAL_LE}'] = '+Inf', inf, toFloat64OrZero(attributes['{names.TOTAL_LE}'])) AS le_s"
_CALLS = {
    "calls": [metrics.PREDICTION_CALLS],
    "rows_in": [metrics.PREDICTION_ROWS],
    "failed": [metrics.PREDICTION_FAILURES],
}

_PROCESS = f"if(attributes['{names.PROCESS}'] = '', instance, attributes['{names.PROCESS}']) AS process"
"""An agent exports the health of its workers under its own instance."""

INCREASES = (
    SqlView(
        "increase",
        "Increase of every counter of Radiosonde, by its attributes; exact over restarts, for cumulative and delta temporality.",
        ("metric", "instance", "attributes", "n"),
        _increase(),
    ),
    SqlView(
        "histograms",
        "The same for histograms: one row per bucket.",
        ("metric", "instance", "attributes", "lower", "upper", "n", "total"),
        _increase_of_histograms(),
    ),
    SqlView(
        "levels",
        "The last value of every gauge.",
        ("metric", "instance", "attributes", "n"),
        f"""
SELECT MetricName AS metric, ResourceAttributes['{names.SERVICE_INSTANCE_ID}'] AS instance, Attributes AS attributes, argMax(Value, TimeUnix) AS n FROM otel_metrics_gauge
WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {_T0} - {_LOOK_BACK} AND TimeUnix <= {_T1} GROUP BY metric, instance, attributes""",
    ),
)

COUNTS = (
    counts("calls", _sums(_SERIES, _CALLS)),
    counts(
        "cohort_calls",
        """
SELECT model, version, decodeURLComponent(splitByChar('=', part)[1]) AS dimension, decodeURLComponent(splitByChar('=', part)[2]) AS value, calls, failed
FROM (SELECT model, version, arrayJoin(splitByChar(',', cohort)) AS part, calls, failed FROM @calls WHERE cohort != '')""",
    ),
    counts("error_types", _sums((*_SERIES, names.ERROR_TYPE), {"failed": [metrics.PREDICTION_ERRORS]})),
    counts("durations", _buckets(metrics.PREDICTION_DURATION, _RELEASE, "lower_s", "bound_s", "calls")),
    counts("totals", _sums(_RELEASE, {"calls": [metrics.PREDICTION_PHASE_CALLS]}, _BOUND)),
    counts("phases", _sums((*_RELEASE, names.PHASE), {"seconds": [metrics.PREDICTION_PHASE_DURATION]}, _BOUND)),
    counts("cells", _sums((*_FEATURE, names.FEATURE_CELL), {"rows_in": [metrics.FEATURE_CELL]})),
    counts(
        "reference_cells",
        f"""
SELECT model, version, reference_id, feature, cell, ratio, reference_rows
FROM (
  SELECT {_columns([metrics.FEATURE_REFERENCE_RATIO], (*_FEATURE, names.FEATURE_CELL))}, max(n) AS ratio
  FROM @levels WHERE {_in([metrics.FEATURE_REFERENCE_RATIO])} GROUP BY model, version, reference_id, feature, cell
) AS shares
JOIN (
  SELECT {_columns([metrics.FEATURE_REFERENCE_ROWS], _FEATURE[:3])}, max(n) AS reference_rows
  FROM @levels WHERE {_in([metrics.FEATURE_REFERENCE_ROWS])} GROUP BY model, version, reference_id
) AS sizes USING (model, version, reference_id)""",
    ),
    counts("predicted_classes", _sums((*_RELEASE, names.PREDICTION_CLASS), {"rows_in": [metrics.PREDICTION_CLASS]})),
    counts(
        "confidences",
        f"""
SELECT {_columns([metrics.PREDICTION_CONFIDENCE], _SERIES)}, sum(n) AS rows_in, sum(if(lower = 0, total, 0)) AS confidence_sum
FROM @histograms WHERE {_in([metrics.PREDICTION_CONFIDENCE])} GROUP BY model, version, variant, cohort""",
    ),
    counts(
        "values",
        f"""
SELECT {_columns([metrics.PREDICTION_VALUE_ROWS, metrics.PREDICTION_VALUE_DISTANCE], _RELEASE)},
  sum(if(metric = '{metrics.PREDICTION_VALUE_ROWS}', n, 0)) AS rows_in,
  sum(multiIf(metric = '{metrics.PREDICTION_VALUE_ROWS}', 0, attributes['{names.SIGN}'] = '{names.SIGN_VALUES[0]}', n, -n)) AS value_sum
FROM @increase WHERE {_in([metrics.PREDICTION_VALUE_ROWS, metrics.PREDICTION_VALUE_DISTANCE])} GROUP BY model, version, variant""",
    ),
    counts(
        "outcomes",
        _sums(
            (*_SERIES, names.LABEL_LAG, names.OUTCOME_RESULT),
            {"rows_in": [metrics.OUTCOME_ROWS, f"-{metrics.OUTCOME_RETRACTIONS}"]},
        ),
    ),
    counts(
        "confidence_bins",
        _sums(
            (*_RELEASE, names.CONFIDENCE_BIN),
            {
                "rows_in": [metrics.OUTCOME_CONFIDENCE_ROWS],
                "correct": [metrics.OUTCOME_CONFIDENCE_CORRECT, f"-{metrics.OUTCOME_CONFIDENCE_CORRECT_RETRACTIONS}"],
                "expected": [metrics.OUTCOME_CONFIDENCE_EXPECTED],
            },
        ),
    ),
    counts("label_lags", _buckets(metrics.LABEL_LAG, (*_RELEASE, names.LABEL_CLASS), "lower_s", "bound_s", "rows_in")),
    counts("sketch_items", _sketch_items()),
    counts(
        "processes",
        f"""
SELECT process, cpu, throttled, periods, gc, loop_lag, pool_wait, memory
FROM (
  SELECT {_PROCESS}, sumIf(n, metric = '{metrics.RUNTIME_CPU_TIME}') AS cpu,
    sumIf(n, metric = '{metrics.RUNTIME_CPU_THROTTLED_PERIODS}') AS throttled, sumIf(n, metric = '{metrics.RUNTIME_CPU_PERIODS}') AS periods
  FROM @increase WHERE startsWith(metric, 'radiosonde.runtime.') GROUP BY process
) AS counters
LEFT JOIN (
  SELECT {_PROCESS}, {_histogram_sum(metrics.RUNTIME_GC_PAUSE)} AS gc, {_histogram_sum(metrics.RUNTIME_LOOP_LAG)} AS loop_lag,
    {_histogram_sum(metrics.RUNTIME_POOL_WAIT)} AS pool_wait
  FROM @histograms WHERE startsWith(metric, 'radiosonde.runtime.') GROUP BY process
) AS waits USING (process)
LEFT JOIN (SELECT {_PROCESS}, max(n) AS memory FROM @levels WHERE {_in([metrics.RUNTIME_MEMORY])} GROUP BY process) AS sizes USING (process)""",
    ),
)
"""The relations of answers, from the metrics of the registry."""


def make(options: AssetOptions) -> list[Asset]:
    """Return the views, a dashboard that reads them, and the statements that keep an export an hour for long."""
    statements = [_statement(view) for view in (*INCREASES, *COUNTS, *ANSWERS)]
    views = "\n\n".join([_HEAD, *statements]) + "\n"
    rollup = "\n\n".join([_ROLLUP, *(_rolled_up(kind, columns) for kind, columns in _KEPT.items())]) + "\n"
    return [Asset("views.sql", views), Asset("grafana.json", dashboard(options)), Asset("rollup.sql", rollup)]


def _rolled_up(kind: str, columns: Mapping[str, str]) -> str:
    """Return the table of an hourly export, and the view that fills it. Of rows with the same key the last export stays."""
    attributes = "Map(LowCardinality(String), String)"
    instance = f"ResourceAttributes['{names.SERVICE_INSTANCE_ID}']"
    types = {
        "MetricName": "LowCardinality(String)", "ResourceAttributes": attributes, "Attributes": attributes, "StartTimeUnix": "DateTime64(9)",
        "TimeUnix": "DateTime64(9)", **columns,
    }  # fmt: skip
    table = f"radiosonde_hourly.otel_metrics_{kind}"
    kept = f" AND AggregationTemporality = {_CUMULATIVE}" if "AggregationTemporality" in columns else ""
    return f"""\
CREATE TABLE IF NOT EXISTS {table} ({", ".join(f"{name} {of}" for name, of in types.items())})
ENGINE = ReplacingMergeTree(TimeUnix) PARTITION BY toYYYYMM(TimeUnix)
ORDER BY (MetricName, {instance}, Attributes, StartTimeUnix, toStartOfHour(TimeUnix))
TTL toDateTime(TimeUnix) + INTERVAL {_TTL_DAYS} DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS {PREFIX}rollup_{kind} TO {table} AS
SELECT {", ".join(types)} FROM otel_metrics_{kind}
WHERE startsWith(MetricName, 'radiosonde.'){kept};"""


def _statement(view: SqlView) -> str:
    query = expanded(view, lambda name: f"{PREFIX}{name}({_PARAMETERS})")
    return f"{summary_lines(view)}\nCREATE OR REPLACE VIEW {PREFIX}{view.name} AS\n{query};"
