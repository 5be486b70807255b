-- Questions of a diagnosis, over the tables of OpenTelemetry's ClickHouse exporter. Made by: radiosonde assets clickhouse
-- Each is a parameterised view of an interval, after t0 and up to t1. Run this file in the database of those tables:
--
--     clickhouse-client --database otel --queries-file views.sql
--     SELECT * FROM radiosonde_drift(t0 = '2026-11-01 00:00:00', t1 = '2026-11-02 00:00:00') ORDER BY psi_z DESC
--
-- Names and columns are those of the views for DuckDB (radiosonde assets duckdb).

-- Increase of every counter of Radiosonde, by its attributes; exact over restarts, for cumulative and delta temporality.
-- Columns: metric, instance, attributes, n.
CREATE OR REPLACE VIEW radiosonde_increase AS
SELECT MetricName AS metric, instance, attributes, sum(increase) AS n
FROM (
  SELECT MetricName, Attributes AS attributes, ResourceAttributes['service.instance.id'] AS instance, StartTimeUnix,
    if(any(AggregationTemporality) = 1, sumIf(Value, TimeUnix > {t0:DateTime64(9, 'UTC')}),
      argMax(Value, TimeUnix) - if(StartTimeUnix >= {t0:DateTime64(9, 'UTC')}, 0, argMaxIf(Value, TimeUnix, TimeUnix <= {t0:DateTime64(9, 'UTC')}))) AS increase
  FROM otel_metrics_sum
  WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {t0:DateTime64(9, 'UTC')} - INTERVAL 2 HOUR AND TimeUnix <= {t1:DateTime64(9, 'UTC')}
  GROUP BY MetricName, Attributes, instance, StartTimeUnix
) AS lives
GROUP BY metric, instance, attributes;

-- The same for histograms: one row per bucket.
-- Columns: metric, instance, attributes, lower, upper, n, total.
CREATE OR REPLACE VIEW radiosonde_histograms AS
SELECT metric, instance, attributes, bucket.1 AS lower, bucket.2 AS upper, sum(bucket.3) AS n, sum(increase) AS total
FROM (
  SELECT metric, instance, attributes, sum_end - sum_start AS increase,
    arrayJoin(arrayZip(arrayConcat([0.], bounds), arrayConcat(bounds, [inf]),
      arrayMap((count, i) -> toInt64(count) - toInt64(if(i <= length(counts_start), counts_start[i], 0)), counts_end, arrayEnumerate(counts_end)))) AS bucket
  FROM (
    SELECT MetricName AS metric, Attributes AS attributes, ResourceAttributes['service.instance.id'] AS instance, StartTimeUnix AS started,
      argMax(ExplicitBounds, TimeUnix) AS bounds, any(AggregationTemporality) = 1 AS is_delta, is_delta OR started >= {t0:DateTime64(9, 'UTC')} AS is_born,
      if(is_delta, sumForEachIf(BucketCounts, TimeUnix > {t0:DateTime64(9, 'UTC')}), argMax(BucketCounts, TimeUnix)) AS counts_end,
      if(is_born, [], argMaxIf(BucketCounts, TimeUnix, TimeUnix <= {t0:DateTime64(9, 'UTC')})) AS counts_start,
      if(is_delta, sumIf(Sum, TimeUnix > {t0:DateTime64(9, 'UTC')}), argMax(Sum, TimeUnix)) AS sum_end,
      if(is_born, 0, argMaxIf(Sum, TimeUnix, TimeUnix <= {t0:DateTime64(9, 'UTC')})) AS sum_start
    FROM otel_metrics_histogram
    WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {t0:DateTime64(9, 'UTC')} - INTERVAL 2 HOUR AND TimeUnix <= {t1:DateTime64(9, 'UTC')}
    GROUP BY MetricName, Attributes, instance, StartTimeUnix
  ) AS lives
) AS buckets
GROUP BY metric, instance, attributes, lower, upper;

-- The last value of every gauge.
-- Columns: metric, instance, attributes, n.
CREATE OR REPLACE VIEW radiosonde_levels AS
SELECT MetricName AS metric, ResourceAttributes['service.instance.id'] AS instance, Attributes AS attributes, argMax(Value, TimeUnix) AS n FROM otel_metrics_gauge
WHERE startsWith(MetricName, 'radiosonde.') AND TimeUnix > {t0:DateTime64(9, 'UTC')} - INTERVAL 2 HOUR AND TimeUnix <= {t1:DateTime64(9, 'UTC')} GROUP BY metric, instance, attributes;

-- Calls, rows and failed calls, by series.
-- Columns: model, version, variant, cohort, calls, rows_in, failed.
CREATE OR REPLACE VIEW radiosonde_calls AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.cohort'] AS cohort, sum(multiIf(metric = 'radiosonde.prediction.calls', n, 0)) AS calls, sum(multiIf(metric = 'radiosonde.prediction.rows', n, 0)) AS rows_in, sum(multiIf(metric = 'radiosonde.prediction.failures', n, 0)) AS failed FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.calls', 'radiosonde.prediction.rows', 'radiosonde.prediction.failures') GROUP BY ALL;

-- The same by dimension of the cohort.
-- Columns: model, version, dimension, value, calls, failed.
CREATE OR REPLACE VIEW radiosonde_cohort_calls AS
SELECT model, version, decodeURLComponent(splitByChar('=', part)[1]) AS dimension, decodeURLComponent(splitByChar('=', part)[2]) AS value, calls, failed
FROM (SELECT model, version, arrayJoin(splitByChar(',', cohort)) AS part, calls, failed FROM radiosonde_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE cohort != '');

-- Failed calls by type of the exception.
-- Columns: model, version, variant, cohort, error_type, failed.
CREATE OR REPLACE VIEW radiosonde_error_types AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.cohort'] AS cohort, attributes['error.type'] AS error_type, sum(multiIf(metric = 'radiosonde.prediction.errors', n, 0)) AS failed FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.errors') GROUP BY ALL;

-- Calls by bucket of their duration.
-- Columns: model, version, variant, lower_s, bound_s, calls.
CREATE OR REPLACE VIEW radiosonde_durations AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, lower AS lower_s, upper AS bound_s, n AS calls FROM radiosonde_histograms(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.duration');

-- Calls that took at most a bound.
-- Columns: model, version, variant, le_s, calls.
CREATE OR REPLACE VIEW radiosonde_totals AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, if(attributes['radiosonde.total_le'] = '+Inf', inf, toFloat64OrZero(attributes['radiosonde.total_le'])) AS le_s, sum(multiIf(metric = 'radiosonde.prediction.phase.calls', n, 0)) AS calls FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.phase.calls') GROUP BY ALL;

-- Seconds in each phase of the calls that took at most a bound.
-- Columns: model, version, variant, phase, le_s, seconds.
CREATE OR REPLACE VIEW radiosonde_phases AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.phase'] AS phase, if(attributes['radiosonde.total_le'] = '+Inf', inf, toFloat64OrZero(attributes['radiosonde.total_le'])) AS le_s, sum(multiIf(metric = 'radiosonde.prediction.phase.duration', n, 0)) AS seconds FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.phase.duration') GROUP BY ALL;

-- Rows by cell of a feature.
-- Columns: model, version, reference_id, feature, cell, rows_in.
CREATE OR REPLACE VIEW radiosonde_cells AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.reference.id'] AS reference_id, attributes['radiosonde.feature.name'] AS feature, attributes['radiosonde.feature.cell'] AS cell, sum(multiIf(metric = 'radiosonde.feature.cell', n, 0)) AS rows_in FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.feature.cell') GROUP BY ALL;

-- Share of each cell in the reference, smoothed, and the rows of the reference.
-- Columns: model, version, reference_id, feature, cell, ratio, reference_rows.
CREATE OR REPLACE VIEW radiosonde_reference_cells AS
SELECT model, version, reference_id, feature, cell, ratio, reference_rows
FROM (
  SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.reference.id'] AS reference_id, attributes['radiosonde.feature.name'] AS feature, attributes['radiosonde.feature.cell'] AS cell, max(n) AS ratio
  FROM radiosonde_levels(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.feature.reference.ratio') GROUP BY model, version, reference_id, feature, cell
) AS shares
JOIN (
  SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.reference.id'] AS reference_id, max(n) AS reference_rows
  FROM radiosonde_levels(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.feature.reference.rows') GROUP BY model, version, reference_id
) AS sizes USING (model, version, reference_id);

-- Rows by predicted class.
-- Columns: model, version, variant, class, rows_in.
CREATE OR REPLACE VIEW radiosonde_predicted_classes AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.prediction.class'] AS class, sum(multiIf(metric = 'radiosonde.prediction.class', n, 0)) AS rows_in FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.class') GROUP BY ALL;

-- Rows with a confidence and its sum, by series.
-- Columns: model, version, variant, cohort, rows_in, confidence_sum.
CREATE OR REPLACE VIEW radiosonde_confidences AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.cohort'] AS cohort, sum(n) AS rows_in, sum(if(lower = 0, total, 0)) AS confidence_sum
FROM radiosonde_histograms(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.confidence') GROUP BY model, version, variant, cohort;

-- Rows of regressions and the sum of their predicted values.
-- Columns: model, version, variant, rows_in, value_sum.
CREATE OR REPLACE VIEW radiosonde_values AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant,
  sum(if(metric = 'radiosonde.prediction.value.rows', n, 0)) AS rows_in,
  sum(multiIf(metric = 'radiosonde.prediction.value.rows', 0, attributes['radiosonde.sign'] = 'positive', n, -n)) AS value_sum
FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.prediction.value.rows', 'radiosonde.prediction.value.distance') GROUP BY model, version, variant;

-- Labelled rows in force, by lag of the label and result; corrected labels are taken back.
-- Columns: model, version, variant, cohort, lag, result, rows_in.
CREATE OR REPLACE VIEW radiosonde_outcomes AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.cohort'] AS cohort, attributes['radiosonde.label.lag'] AS lag, attributes['radiosonde.outcome.result'] AS result, sum(multiIf(metric = 'radiosonde.outcome.rows', n, metric = 'radiosonde.outcome.retractions', -n, 0)) AS rows_in FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.outcome.rows', 'radiosonde.outcome.retractions') GROUP BY ALL;

-- Labelled rows, those predicted right, and the sum of their confidence, by bin of the confidence.
-- Columns: model, version, variant, bin, rows_in, correct, expected.
CREATE OR REPLACE VIEW radiosonde_confidence_bins AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.confidence.bin'] AS bin, sum(multiIf(metric = 'radiosonde.outcome.confidence.rows', n, 0)) AS rows_in, sum(multiIf(metric = 'radiosonde.outcome.confidence.correct', n, metric = 'radiosonde.outcome.confidence.correct_retractions', -n, 0)) AS correct, sum(multiIf(metric = 'radiosonde.outcome.confidence.expected', n, 0)) AS expected FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.outcome.confidence.rows', 'radiosonde.outcome.confidence.correct', 'radiosonde.outcome.confidence.correct_retractions', 'radiosonde.outcome.confidence.expected') GROUP BY ALL;

-- Labelled rows by class of the label and bucket of its lag.
-- Columns: model, version, variant, class, lower_s, bound_s, rows_in.
CREATE OR REPLACE VIEW radiosonde_label_lags AS
SELECT attributes['radiosonde.model.name'] AS model, attributes['radiosonde.model.version'] AS version, attributes['radiosonde.variant'] AS variant, attributes['radiosonde.label.class'] AS class, lower AS lower_s, upper AS bound_s, n AS rows_in FROM radiosonde_histograms(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.label.lag');

-- Values in the sketches of a feature, and the weight of each in values.
-- Columns: model, version, variant, feature, value, weight.
CREATE OR REPLACE VIEW radiosonde_sketch_items AS
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
      SELECT LogAttributes['radiosonde.model.name'] AS model, LogAttributes['radiosonde.model.version'] AS version, LogAttributes['radiosonde.variant'] AS variant, LogAttributes['radiosonde.feature.name'] AS feature, base64Decode(any(Body)) AS sketch
      FROM otel_logs
      WHERE LogAttributes['event.name'] = 'radiosonde.sketch.window' AND LogAttributes['radiosonde.sketch.kind'] = 'kll_double'
        AND Timestamp > {t0:DateTime64(9, 'UTC')} AND Timestamp <= {t1:DateTime64(9, 'UTC')}
      GROUP BY model, version, variant, feature, LogAttributes['radiosonde.cohort'], LogAttributes['radiosonde.window.number'], LogAttributes['radiosonde.window.start'], LogAttributes['radiosonde.window.end'], ResourceAttributes['service.instance.id']
    ) AS delivered
  ) AS headers
) AS items;

-- Health of each process.
-- Columns: process, cpu, throttled, periods, gc, loop_lag, pool_wait, memory.
CREATE OR REPLACE VIEW radiosonde_processes AS
SELECT process, cpu, throttled, periods, gc, loop_lag, pool_wait, memory
FROM (
  SELECT if(attributes['radiosonde.process'] = '', instance, attributes['radiosonde.process']) AS process, sumIf(n, metric = 'radiosonde.runtime.cpu.time') AS cpu,
    sumIf(n, metric = 'radiosonde.runtime.cpu.throttled_periods') AS throttled, sumIf(n, metric = 'radiosonde.runtime.cpu.periods') AS periods
  FROM radiosonde_increase(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE startsWith(metric, 'radiosonde.runtime.') GROUP BY process
) AS counters
LEFT JOIN (
  SELECT if(attributes['radiosonde.process'] = '', instance, attributes['radiosonde.process']) AS process, sum(if(metric = 'radiosonde.runtime.gc.pause' AND lower = 0, total, 0)) AS gc, sum(if(metric = 'radiosonde.runtime.loop.lag' AND lower = 0, total, 0)) AS loop_lag,
    sum(if(metric = 'radiosonde.runtime.pool.wait' AND lower = 0, total, 0)) AS pool_wait
  FROM radiosonde_histograms(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE startsWith(metric, 'radiosonde.runtime.') GROUP BY process
) AS waits USING (process)
LEFT JOIN (SELECT if(attributes['radiosonde.process'] = '', instance, attributes['radiosonde.process']) AS process, max(n) AS memory FROM radiosonde_levels(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE metric IN ('radiosonde.runtime.memory') GROUP BY process) AS sizes USING (process);

-- Failed calls and their share with a 95 % interval (Wilson), by series.
-- Columns: model, version, variant, cohort, calls, failures, failure_ratio, low, high.
CREATE OR REPLACE VIEW radiosonde_failures AS
SELECT model, version, variant, cohort, n AS calls, failures, failures / n AS failure_ratio,
  least(greatest((failures / n + 1.9208 / n - 1.96 * sqrt(failures / n * (1 - failures / n) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n), 0), 1) AS low,
  least(greatest((failures / n + 1.9208 / n + 1.96 * sqrt(failures / n * (1 - failures / n) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n), 0), 1) AS high
FROM (SELECT model, version, variant, cohort, sum(calls) AS n, sum(failed) AS failures FROM radiosonde_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, cohort) AS series
WHERE n > 0;

-- Failed calls by every dimension of the cohorts, against the other calls of the same version (two-proportion z).
-- Columns: model, version, dimension, value, calls, failures, failure_ratio, other_failure_ratio, z.
CREATE OR REPLACE VIEW radiosonde_cohorts AS
SELECT model, version, dimension, value, n AS calls, failures, failures / n AS failure_ratio, (all_failures - failures) / (all_n - n) AS other_failure_ratio,
  (failures / n - (all_failures - failures) / (all_n - n)) / nullif(sqrt(all_failures / all_n * (1 - all_failures / all_n) * (1 / n + 1 / (all_n - n))), 0) AS z
FROM (
  SELECT model, version, dimension, value, sum(calls) AS n, sum(failed) AS failures
  FROM radiosonde_cohort_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, dimension, value
) AS parts
JOIN (SELECT model, version, sum(calls) AS all_n, sum(failed) AS all_failures FROM radiosonde_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version) AS versions USING (model, version)
WHERE n > 0 AND all_n > n;

-- Failed calls by type of the exception.
-- Columns: model, version, variant, cohort, error_type, failures.
CREATE OR REPLACE VIEW radiosonde_errors AS
SELECT model, version, variant, cohort, error_type, sum(failed) AS failures
FROM radiosonde_error_types(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, cohort, error_type HAVING sum(failed) > 0;

-- Calls and quantiles of their duration, interpolated in the buckets of the histogram.
-- Columns: model, version, variant, calls, p50_s, p90_s, p99_s.
CREATE OR REPLACE VIEW radiosonde_latency AS
SELECT model, version, variant, max(total) AS calls, min(CASE WHEN upto >= 0.5 * total AND upto - n < 0.5 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.5 * total - (upto - n)) / n END END) AS p50_s, min(CASE WHEN upto >= 0.9 * total AND upto - n < 0.9 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.9 * total - (upto - n)) / n END END) AS p90_s, min(CASE WHEN upto >= 0.99 * total AND upto - n < 0.99 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.99 * total - (upto - n)) / n END END) AS p99_s
FROM (
  SELECT model, version, variant, lower_s, bound_s, n,
    sum(n) OVER (PARTITION BY model, version, variant ORDER BY bound_s) AS upto, sum(n) OVER (PARTITION BY model, version, variant) AS total
  FROM (SELECT model, version, variant, lower_s, bound_s, sum(calls) AS n FROM radiosonde_durations(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, lower_s, bound_s) AS buckets
) AS cumulative
WHERE total > 0
GROUP BY model, version, variant;

-- Mean seconds that the slowest calls spent in each phase: those above the highest bound that one call in a hundred exceeds.
-- Columns: model, version, variant, phase, bound_s, tail_calls, tail_ratio, tail_mean_s.
CREATE OR REPLACE VIEW radiosonde_tail AS
SELECT p.model AS model, p.version AS version, p.variant AS variant, p.phase AS phase, max(t.tail_bound_s) AS bound_s,
  max(t.tail_n) AS tail_calls, max(t.tail_n / t.all_n) AS tail_ratio,
  sum(CASE WHEN p.le_s > 1e300 THEN p.seconds WHEN p.le_s = t.tail_bound_s THEN -p.seconds ELSE 0 END) / max(t.tail_n) AS tail_mean_s
FROM radiosonde_phases(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) AS p
JOIN (
  SELECT model, version, variant, max(le_s) AS tail_bound_s, min(n - upto) AS tail_n, max(n) AS all_n
  FROM (
    SELECT model, version, variant, le_s, upto, max(upto) OVER (PARTITION BY model, version, variant) AS n
    FROM (SELECT model, version, variant, le_s, sum(calls) AS upto FROM radiosonde_totals(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, le_s) AS bounds
  ) AS sized
  WHERE n > 0 AND n - upto >= 0.01 * n
  GROUP BY model, version, variant
) AS t ON t.model = p.model AND t.version = p.version AND t.variant = p.variant
GROUP BY p.model, p.version, p.variant, p.phase;

-- Distance of each feature from its reference: PSI with its excess over noise, KS, total variation, JS in bits, W1 and location in cells (these and KS among the rows that have a value).
-- Columns: model, version, reference_id, feature, rows, reference_rows, psi, psi_corrected, psi_z, ks, tvd, js_bits, w1_cells, location_cells, null_ratio, unseen_ratio, outside_ratio, worst_cell.
CREATE OR REPLACE VIEW radiosonde_drift AS
SELECT model, version, reference_id, feature, n AS rows, m AS reference_rows, psi_sum AS psi,
  greatest(psi_sum - (k - 1) * (1 / n + 1 / m), 0) AS psi_corrected, (psi_sum / (1 / n + 1 / m) - (k - 1)) / sqrt(2 * (k - 1)) AS psi_z,
  CASE WHEN is_numeric = 1 THEN ks_max END AS ks, tvd_sum AS tvd, js_sum AS js_bits,
  CASE WHEN is_numeric = 1 THEN w1_sum END AS w1_cells, CASE WHEN is_numeric = 1 THEN -location_sum END AS location_cells,
  null_rows / n AS null_ratio, unseen_rows / n AS unseen_ratio, outside_rows / n AS outside_ratio, worst AS worst_cell
FROM (
  SELECT model, version, reference_id, feature, n, m, k, max(numeric) AS is_numeric,
    sum((p - q) * ln(p / q)) AS psi_sum, max(abs(ahead)) AS ks_max, sum(abs(p - q)) / 2 AS tvd_sum,
    sum(p * log2(2 * p / (p + q)) + q * log2(2 * q / (p + q))) / 2 AS js_sum, sum(abs(ahead)) AS w1_sum, sum(ahead) AS location_sum,
    sum(CASE WHEN cell = 'null' THEN n_cell ELSE 0 END) AS null_rows, sum(CASE WHEN cell = 'unseen' THEN n_cell ELSE 0 END) AS unseen_rows,
    sum(CASE WHEN cell IN ('below', 'above') THEN n_cell ELSE 0 END) AS outside_rows, argMax(cell, (p - q) * ln(p / q)) AS worst
  FROM (
    SELECT model, version, reference_id, feature, cell, n_cell, n, m, k, p, q, CASE WHEN cell = 'below' THEN 1 ELSE 0 END AS numeric,
      valued * sum(valued * (p / p_valued - q / q_valued)) OVER (
        PARTITION BY model, version, reference_id, feature ORDER BY CASE WHEN cell = 'below' THEN '' ELSE cell END) AS ahead
    FROM (
      SELECT model, version, reference_id, feature, cell, n_cell, n, m, k, (n_cell + 0.5) / (n + 0.5 * k) AS p, q, valued,
        sum(valued * (n_cell + 0.5) / (n + 0.5 * k)) OVER (PARTITION BY model, version, reference_id, feature) AS p_valued,
        sum(valued * q) OVER (PARTITION BY model, version, reference_id, feature) AS q_valued
      FROM (
        SELECT model, version, reference_id, feature, cell, n_cell, q, CASE WHEN cell IN ('null', 'unseen') THEN 0 ELSE 1 END AS valued,
          sum(n_cell) OVER (PARTITION BY model, version, reference_id, feature) AS n,
          count(*) OVER (PARTITION BY model, version, reference_id, feature) AS k, m
        FROM (
          SELECT r.model AS model, r.version AS version, r.reference_id AS reference_id, r.feature AS feature, r.cell AS cell,
            coalesce(c.rows, 0) AS n_cell, r.ratio AS q, r.reference_rows AS m
          FROM radiosonde_reference_cells(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) AS r
          LEFT JOIN (
            SELECT model, version, reference_id, feature, cell, sum(rows_in) AS rows
            FROM radiosonde_cells(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, reference_id, feature, cell
          ) AS c ON c.model = r.model AND c.version = r.version AND c.reference_id = r.reference_id AND c.feature = r.feature AND c.cell = r.cell
        ) AS joined
      ) AS sized
      WHERE n > 0
    ) AS shared
  ) AS ordered
  GROUP BY model, version, reference_id, feature, n, m, k
) AS summed;

-- Predicted classes and their shares.
-- Columns: model, version, variant, class, rows, ratio.
CREATE OR REPLACE VIEW radiosonde_classes AS
SELECT model, version, variant, class, n AS rows, n / sum(n) OVER (PARTITION BY model, version, variant) AS ratio
FROM (SELECT model, version, variant, class, sum(rows_in) AS n FROM radiosonde_predicted_classes(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, class HAVING sum(rows_in) > 0) AS counted;

-- Mean confidence of the predicted class.
-- Columns: model, version, variant, cohort, rows, mean_confidence.
CREATE OR REPLACE VIEW radiosonde_confidence AS
SELECT model, version, variant, cohort, sum(rows_in) AS rows, sum(confidence_sum) / sum(rows_in) AS mean_confidence
FROM radiosonde_confidences(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, cohort HAVING sum(rows_in) > 0;

-- Mean predicted value of regressions.
-- Columns: model, version, variant, rows, mean_value.
CREATE OR REPLACE VIEW radiosonde_predicted_values AS
SELECT model, version, variant, sum(rows_in) AS rows, sum(value_sum) / sum(rows_in) AS mean_value
FROM radiosonde_values(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant HAVING sum(rows_in) > 0;

-- Labelled rows and the share predicted wrong, by lag of the label: only equal lags can be compared.
-- Columns: model, version, variant, cohort, lag, labelled, wrong, wrong_ratio.
CREATE OR REPLACE VIEW radiosonde_quality AS
SELECT model, version, variant, cohort, lag, n AS labelled, n_wrong AS wrong, n_wrong / n AS wrong_ratio
FROM (
  SELECT model, version, variant, cohort, lag, sum(rows_in) AS n, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS n_wrong
  FROM radiosonde_outcomes(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, cohort, lag
) AS counted
WHERE n > 0;

-- Expected calibration error over the 20 bins of confidence, the error a calibrated model would show by chance, and overconfidence.
-- Columns: model, version, variant, labelled, ece, ece_noise, overconfidence.
CREATE OR REPLACE VIEW radiosonde_calibration AS
SELECT model, version, variant, sum(n) AS labelled, sum(abs(n_correct - n_expected)) / sum(n) AS ece,
  sum(sqrt(0.6366 * n_expected * greatest(1 - n_expected / n, 0))) / sum(n) AS ece_noise, sum(n_expected - n_correct) / sum(n) AS overconfidence
FROM (
  SELECT model, version, variant, bin, sum(rows_in) AS n, sum(correct) AS n_correct, sum(expected) AS n_expected
  FROM radiosonde_confidence_bins(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, bin HAVING sum(rows_in) > 0
) AS bins
GROUP BY model, version, variant;

-- What releases are compared by: failed calls, and wrong answers by lag of the label.
-- Columns: model, version, variant, measure, all_in, bad_in.
CREATE OR REPLACE VIEW radiosonde_compared AS
SELECT model, version, variant, 'failures' AS measure, sum(calls) AS all_in, sum(failed) AS bad_in
FROM radiosonde_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant HAVING sum(calls) > 0
UNION ALL
SELECT model, version, variant, concat('wrong within ', lag) AS measure, sum(rows_in) AS all_in, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS bad_in
FROM radiosonde_outcomes(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, lag HAVING sum(rows_in) > 0;

-- Every other variant of a model against its variant stable: failed calls, and wrong answers at equal lag of the label (two-proportion z).
-- Columns: model, measure, variant, version, rows, stable_rows, ratio, stable_ratio, difference, z.
CREATE OR REPLACE VIEW radiosonde_canary AS
SELECT model, measure, variant, version, n AS rows, n_stable AS stable_rows, bad / n AS ratio, bad_stable / n_stable AS stable_ratio,
  bad / n - bad_stable / n_stable AS difference,
  (bad / n - bad_stable / n_stable) / nullif(sqrt((bad + bad_stable) / (n + n_stable) * (1 - (bad + bad_stable) / (n + n_stable)) * (1 / n + 1 / n_stable)), 0) AS z
FROM (
  SELECT c.model AS model, c.measure AS measure, c.variant AS variant, c.version AS version, c.n AS n, c.bad AS bad, s.n AS n_stable, s.bad AS bad_stable
  FROM (SELECT model, measure, variant, version, sum(all_in) AS n, sum(bad_in) AS bad FROM radiosonde_compared(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE variant <> 'stable' GROUP BY model, measure, variant, version) AS c
  JOIN (SELECT model, measure, sum(all_in) AS n, sum(bad_in) AS bad FROM radiosonde_compared(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) WHERE variant = 'stable' GROUP BY model, measure) AS s
    ON s.model = c.model AND s.measure = c.measure
) AS pairs
WHERE n > 0 AND n_stable > 0;

-- Labels that came, against the rows predicted in the same interval.
-- Columns: model, version, variant, rows, labelled, label_ratio.
CREATE OR REPLACE VIEW radiosonde_labels AS
SELECT c.model AS model, c.version AS version, c.variant AS variant, c.n AS rows, coalesce(l.n, 0) AS labelled, coalesce(l.n, 0) / c.n AS label_ratio
FROM (SELECT model, version, variant, sum(rows_in) AS n FROM radiosonde_calls(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant HAVING sum(rows_in) > 0) AS c
LEFT JOIN (SELECT model, version, variant, sum(rows_in) AS n FROM radiosonde_label_lags(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant) AS l
  ON l.model = c.model AND l.version = c.version AND l.variant = c.variant;

-- Age of predictions when their label came, by class of the label.
-- Columns: model, class, labelled, p50_s, p90_s.
CREATE OR REPLACE VIEW radiosonde_label_lag AS
SELECT model, class, max(total) AS labelled, min(CASE WHEN upto >= 0.5 * total AND upto - n < 0.5 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.5 * total - (upto - n)) / n END END) AS p50_s, min(CASE WHEN upto >= 0.9 * total AND upto - n < 0.9 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.9 * total - (upto - n)) / n END END) AS p90_s
FROM (
  SELECT model, class, lower_s, bound_s, n,
    sum(n) OVER (PARTITION BY model, class ORDER BY bound_s) AS upto, sum(n) OVER (PARTITION BY model, class) AS total
  FROM (SELECT model, class, lower_s, bound_s, sum(rows_in) AS n FROM radiosonde_label_lags(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, class, lower_s, bound_s) AS buckets
) AS cumulative
WHERE total > 0
GROUP BY model, class;

-- Quantiles of the values of each feature, from its sketches merged, and the number of values in them.
-- Columns: model, version, variant, feature, sketched, p01, p05, p25, p50, p75, p95, p99.
CREATE OR REPLACE VIEW radiosonde_quantiles AS
SELECT model, version, variant, feature, max(total) AS sketched,
  min(CASE WHEN upto >= 0.01 * total THEN value END) AS p01, min(CASE WHEN upto >= 0.05 * total THEN value END) AS p05, min(CASE WHEN upto >= 0.25 * total THEN value END) AS p25, min(CASE WHEN upto >= 0.5 * total THEN value END) AS p50, min(CASE WHEN upto >= 0.75 * total THEN value END) AS p75, min(CASE WHEN upto >= 0.95 * total THEN value END) AS p95, min(CASE WHEN upto >= 0.99 * total THEN value END) AS p99
FROM (
  SELECT model, version, variant, feature, value,
    sum(n) OVER (PARTITION BY model, version, variant, feature ORDER BY value) AS upto,
    sum(n) OVER (PARTITION BY model, version, variant, feature) AS total
  FROM (
    SELECT model, version, variant, feature, value, sum(weight) AS n FROM radiosonde_sketch_items(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY model, version, variant, feature, value
  ) AS weighed
) AS cumulative
GROUP BY model, version, variant, feature;

-- Health of each process: CPU, throttling, pauses of the garbage collector, lag of the event loop, waits for a thread, memory.
-- Columns: process, cpu_s, throttled_ratio, gc_s, loop_lag_s, pool_wait_s, memory_bytes.
CREATE OR REPLACE VIEW radiosonde_health AS
SELECT process, sum(cpu) AS cpu_s, sum(throttled) / nullif(sum(periods), 0) AS throttled_ratio, sum(gc) AS gc_s, sum(loop_lag) AS loop_lag_s,
  sum(pool_wait) AS pool_wait_s, max(memory) AS memory_bytes
FROM radiosonde_processes(t0 = {t0:DateTime64(9, 'UTC')}, t1 = {t1:DateTime64(9, 'UTC')}) GROUP BY process;
