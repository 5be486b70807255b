-- Questions of a diagnosis, over windows that `radiosonde store seal` has moved to Parquet. Made by: radiosonde assets duckdb
-- Each is a table macro of an interval: windows that start at t0 or later and before t1.
--
--     SET VARIABLE radiosonde = 'sealed';  -- the folder; before this file is read
--     .read views.sql
--     FROM radiosonde_drift(TIMESTAMPTZ '2026-11-01', TIMESTAMPTZ '2026-11-02') ORDER BY psi_z DESC;
--
-- Names and columns are those of the views for ClickHouse (radiosonde assets clickhouse).

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

-- The features of the references, with the names of their cells.
CREATE OR REPLACE VIEW radiosonde_profiles AS
SELECT model, version, reference_id, reference_rows, profile ->> '$.name' AS feature, shares,
  CASE WHEN profile ->> '$.kind' = 'numeric'
    THEN list_concat(list_transform(range(len(shares) - 4), lambda i: printf('%02d', i)), ['below', 'above', 'null', 'unseen'])
    ELSE list_concat(list_transform(range(len(shares) - 2), lambda i: printf('c%02d', i)), ['null', 'unseen']) END AS cell_names
FROM (
  SELECT model, version, reference_id, reference_rows, profile, CAST(profile -> '$.p0' AS DOUBLE[]) AS shares
  FROM (
    SELECT model, version, reference_id, CAST(document ->> '$.reference.rows' AS BIGINT) AS reference_rows,
      unnest(CAST(document -> '$.reference.features' AS JSON[])) AS profile
    FROM radiosonde_references
  )
);

-- Numbers in bytes that are given as hexadecimal text, the lowest byte first: a whole number, and a double by IEEE 754.
CREATE OR REPLACE MACRO radiosonde_unsigned(bytes, start, width) AS
  TRY_CAST('0x' || list_aggregate(list_transform(range(width), lambda i: substring(bytes, 2 * (start + width - i) - 1, 2)), 'string_agg', '') AS UBIGINT);

CREATE OR REPLACE MACRO radiosonde_double_of(bits) AS
  CASE WHEN bits & 9223372036854775808 > 0 THEN -1 ELSE 1 END * CASE (bits >> 52) & 2047
    WHEN 0 THEN CAST(bits & 4503599627370495 AS DOUBLE) * pow(2.0, -1074) WHEN 2047 THEN 'inf'::DOUBLE
    ELSE CAST((bits & 4503599627370495) + 4503599627370496 AS DOUBLE) * pow(2.0, CAST((bits >> 52) & 2047 AS INTEGER) - 1075) END;

-- Calls, rows and failed calls, by series.
-- Columns: model, version, variant, cohort, calls, rows_in, failed.
CREATE OR REPLACE MACRO radiosonde_calls(t0, t1) AS TABLE
SELECT model, version, variant, cohort, calls, rows AS rows_in, coalesce(list_sum(map_values(errors)), 0) AS failed FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1;

-- The same by dimension of the cohort.
-- Columns: model, version, dimension, value, calls, failed.
CREATE OR REPLACE MACRO radiosonde_cohort_calls(t0, t1) AS TABLE
SELECT model, version, url_decode(string_split(part, '=')[1]) AS dimension, url_decode(string_split(part, '=')[2]) AS value, calls, failed
FROM (SELECT model, version, unnest(string_split(cohort, ',')) AS part, calls, coalesce(list_sum(map_values(errors)), 0) AS failed FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1 AND cohort <> '');

-- Failed calls by type of the exception.
-- Columns: model, version, variant, cohort, error_type, failed.
CREATE OR REPLACE MACRO radiosonde_error_types(t0, t1) AS TABLE
SELECT model, version, variant, cohort, unnest(map_keys(errors)) AS error_type, unnest(map_values(errors)) AS failed FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1;

-- Calls by bucket of their duration.
-- Columns: model, version, variant, lower_s, bound_s, calls.
CREATE OR REPLACE MACRO radiosonde_durations(t0, t1) AS TABLE
SELECT model, version, variant, unnest(list_concat([0.0], latency.edges_s)) AS lower_s, unnest(list_append(latency.edges_s, 'inf'::DOUBLE)) AS bound_s,
  unnest(latency.edge_counts) AS calls FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1 AND len(latency.edge_counts) > 0;

-- Calls that took at most a bound.
-- Columns: model, version, variant, le_s, calls.
CREATE OR REPLACE MACRO radiosonde_totals(t0, t1) AS TABLE
SELECT model, version, variant, le_s, sum(CASE WHEN bucket_s <= le_s THEN n ELSE 0 END) AS calls
FROM (SELECT model, version, variant, bucket_s, sum(n) AS n FROM (
    SELECT model, version, variant, CASE WHEN ceil((latency.offset + i) / pow(2, latency.scale)) > 9 THEN 'inf'::DOUBLE
      ELSE pow(2, greatest(ceil((latency.offset + i) / pow(2, latency.scale)), -13)) END AS bucket_s, latency.counts[i] AS n
    FROM (SELECT model, version, variant, latency, unnest(generate_series(1, len(latency.counts))) AS i FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1)) GROUP BY ALL), unnest([0.0001220703125, 0.000244140625, 0.00048828125, 0.0009765625, 0.001953125, 0.00390625, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 'inf'::DOUBLE]) AS bounds(le_s)
GROUP BY ALL;

-- Seconds in each phase of the calls that took at most a bound.
-- Columns: model, version, variant, phase, le_s, seconds.
CREATE OR REPLACE MACRO radiosonde_phases(t0, t1) AS TABLE
SELECT model, version, variant, phase, le_s, sum(CASE WHEN bucket_s <= le_s THEN n ELSE 0 END) AS seconds
FROM (SELECT model, version, variant, phase, bucket_s, sum(n) AS n FROM (
    SELECT model, version, variant, phase, CASE WHEN ceil((latency.offset + i) / pow(2, latency.scale)) > 9 THEN 'inf'::DOUBLE
      ELSE pow(2, greatest(ceil((latency.offset + i) / pow(2, latency.scale)), -13)) END AS bucket_s, sums[i] AS n
    FROM (SELECT model, version, variant, phase, latency, sums, unnest(generate_series(1, len(sums))) AS i FROM (
    SELECT model, version, variant, latency, unnest(map_keys(latency.phases)) AS phase, unnest(map_values(latency.phases)) AS sums FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1
    UNION ALL
    SELECT model, version, variant, latency, 'total' AS phase, latency.sums_s AS sums FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1))) GROUP BY ALL), unnest([0.0001220703125, 0.000244140625, 0.00048828125, 0.0009765625, 0.001953125, 0.00390625, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 'inf'::DOUBLE]) AS bounds(le_s)
GROUP BY ALL;

-- Rows by cell of a feature.
-- Columns: model, version, reference_id, feature, cell, rows_in.
CREATE OR REPLACE MACRO radiosonde_cells(t0, t1) AS TABLE
SELECT model, version, reference_id, feature, cell, sum(n) AS rows_in
FROM (
  SELECT model, version, reference_id, feature, unnest(cell_names) AS cell,
    unnest(list_transform(cell_names, lambda name, i: CASE
      WHEN list_contains(['below', 'above', 'null', 'unseen'], name) THEN cells[len(cells) - 4 + list_position(['below', 'above', 'null', 'unseen'], name)]
      WHEN i <= len(cells) - 4 THEN cells[i] ELSE 0 END)) AS n
  FROM (SELECT window_id, model, version, reference_id FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1) JOIN radiosonde_features USING (window_id)
  JOIN radiosonde_profiles USING (model, version, reference_id, feature)
)
GROUP BY ALL;

-- Share of each cell in the reference, smoothed, and the rows of the reference.
-- Columns: model, version, reference_id, feature, cell, ratio, reference_rows.
CREATE OR REPLACE MACRO radiosonde_reference_cells(t0, t1) AS TABLE
SELECT model, version, reference_id, feature, unnest(cell_names) AS cell, unnest(shares) AS ratio, reference_rows FROM radiosonde_profiles;

-- Rows by predicted class.
-- Columns: model, version, variant, class, rows_in.
CREATE OR REPLACE MACRO radiosonde_predicted_classes(t0, t1) AS TABLE
SELECT model, version, variant, unnest(output.classes) AS class, unnest(output.class_counts) AS rows_in FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1;

-- Rows with a confidence and its sum, by series.
-- Columns: model, version, variant, cohort, rows_in, confidence_sum.
CREATE OR REPLACE MACRO radiosonde_confidences(t0, t1) AS TABLE
SELECT model, version, variant, cohort, coalesce(list_sum(flatten(output.confidence)), 0) AS rows_in, coalesce(list_sum(flatten(output.confidence_sums)), 0) AS confidence_sum
FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1;

-- Rows of regressions and the sum of their predicted values.
-- Columns: model, version, variant, rows_in, value_sum.
CREATE OR REPLACE MACRO radiosonde_values(t0, t1) AS TABLE
SELECT model, version, variant, coalesce(list_sum(output.value_counts), 0) AS rows_in, output.value_sum AS value_sum FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1;

-- Labelled rows in force, by lag of the label and result; corrected labels are taken back.
-- Columns: model, version, variant, cohort, lag, result, rows_in.
CREATE OR REPLACE MACRO radiosonde_outcomes(t0, t1) AS TABLE
SELECT model, version, variant, cohort, o.lag AS lag, o.result AS result, o.rows AS rows_in FROM (SELECT model, version, variant, cohort, unnest(labels.outcomes) AS o FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1)
UNION ALL
SELECT model, version, variant, cohort, o.lag AS lag, o.result AS result, -o.rows AS rows_in FROM (SELECT model, version, variant, cohort, unnest(label_tables.retractions) AS o FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1);

-- Labelled rows, those predicted right, and the sum of their confidence, by bin of the confidence.
-- Columns: model, version, variant, bin, rows_in, correct, expected.
CREATE OR REPLACE MACRO radiosonde_confidence_bins(t0, t1) AS TABLE
SELECT model, version, variant, printf('%02d', unnest(range(20))) AS bin, unnest(labels.calibration.labelled) AS rows_in,
  unnest(labels.calibration.correct) AS correct, unnest(labels.calibration.confidence_sums) AS expected
FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1 AND len(labels.calibration.labelled) > 0;

-- Labelled rows by class of the label and bucket of its lag.
-- Columns: model, version, variant, class, lower_s, bound_s, rows_in.
CREATE OR REPLACE MACRO radiosonde_label_lags(t0, t1) AS TABLE
SELECT model, version, variant, class, unnest(list_concat([0.0], edges)) AS lower_s, unnest(list_append(edges, 'inf'::DOUBLE)) AS bound_s, unnest(lags) AS rows_in
FROM (SELECT model, version, variant, labels.lag_edges_s AS edges, unnest(labels.classes) AS class, unnest(labels.lag_counts) AS lags FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1);

-- Values in the sketches of a feature, and the weight of each in values.
-- Columns: model, version, variant, feature, value, weight.
CREATE OR REPLACE MACRO radiosonde_sketch_items(t0, t1) AS TABLE
SELECT model, version, variant, feature, radiosonde_double_of(radiosonde_unsigned(sketch, CASE WHEN height = 0 THEN 8 ELSE 36 + 4 * height + 8 * i END, 8)) AS value,
  CAST(pow(2, len(list_filter(starts[2:], lambda start: start <= starts[1] + i))) AS BIGINT) AS weight
FROM (
  SELECT *, unnest(range(CASE WHEN height = 0 THEN 1 ELSE (len(sketch) // 2 - 36 - 4 * height) // 8 END)) AS i
  FROM (
    SELECT *, list_transform(range(height), lambda level: CAST(radiosonde_unsigned(sketch, 20 + 4 * level, 4) AS BIGINT)) AS starts
    FROM (
      SELECT model, version, variant, feature, hex(body) AS sketch, CAST(radiosonde_unsigned(hex(body), 3, 1) AS BIGINT) AS flags,
        CASE WHEN flags & 5 > 0 THEN 0 ELSE CAST(radiosonde_unsigned(hex(body), 18, 1) AS BIGINT) END AS height
      FROM (SELECT window_id, model, version, variant FROM radiosonde_windows WHERE runtime IS NULL AND start_time >= t0 AND start_time < t1) JOIN radiosonde_sketches USING (window_id)
      WHERE kind = 'kll_double'
    )
    WHERE flags & 1 = 0
  )
);

-- Health of each process.
-- Columns: process, cpu, throttled, periods, gc, loop_lag, pool_wait, memory.
CREATE OR REPLACE MACRO radiosonde_processes(t0, t1) AS TABLE
SELECT process, runtime.cpu_s AS cpu, runtime.throttled_periods AS throttled, runtime.periods AS periods, runtime.gc_pauses.sum_s AS gc,
  runtime.loop_lags.sum_s AS loop_lag, runtime.pool_waits.sum_s AS pool_wait, runtime.rss_bytes AS memory
FROM radiosonde_windows WHERE runtime IS NOT NULL AND start_time >= t0 AND start_time < t1;

-- Failed calls and their share with a 95 % interval (Wilson), by series.
-- Columns: model, version, variant, cohort, calls, failures, failure_ratio, low, high.
CREATE OR REPLACE MACRO radiosonde_failures(t0, t1) AS TABLE
SELECT model, version, variant, cohort, n AS calls, failures, failures / n AS failure_ratio,
  least(greatest((failures / n + 1.9208 / n - 1.96 * sqrt(failures / n * (1 - failures / n) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n), 0), 1) AS low,
  least(greatest((failures / n + 1.9208 / n + 1.96 * sqrt(failures / n * (1 - failures / n) / n + 0.9604 / (n * n))) / (1 + 3.8416 / n), 0), 1) AS high
FROM (SELECT model, version, variant, cohort, sum(calls) AS n, sum(failed) AS failures FROM radiosonde_calls(t0, t1) GROUP BY model, version, variant, cohort) AS series
WHERE n > 0;

-- Failed calls by every dimension of the cohorts, against the other calls of the same version (two-proportion z).
-- Columns: model, version, dimension, value, calls, failures, failure_ratio, other_failure_ratio, z.
CREATE OR REPLACE MACRO radiosonde_cohorts(t0, t1) AS TABLE
SELECT model, version, dimension, value, n AS calls, failures, failures / n AS failure_ratio, (all_failures - failures) / (all_n - n) AS other_failure_ratio,
  (failures / n - (all_failures - failures) / (all_n - n)) / nullif(sqrt(all_failures / all_n * (1 - all_failures / all_n) * (1 / n + 1 / (all_n - n))), 0) AS z
FROM (
  SELECT model, version, dimension, value, sum(calls) AS n, sum(failed) AS failures
  FROM radiosonde_cohort_calls(t0, t1) GROUP BY model, version, dimension, value
) AS parts
JOIN (SELECT model, version, sum(calls) AS all_n, sum(failed) AS all_failures FROM radiosonde_calls(t0, t1) GROUP BY model, version) AS versions USING (model, version)
WHERE n > 0 AND all_n > n;

-- Failed calls by type of the exception.
-- Columns: model, version, variant, cohort, error_type, failures.
CREATE OR REPLACE MACRO radiosonde_errors(t0, t1) AS TABLE
SELECT model, version, variant, cohort, error_type, sum(failed) AS failures
FROM radiosonde_error_types(t0, t1) GROUP BY model, version, variant, cohort, error_type HAVING sum(failed) > 0;

-- Calls and quantiles of their duration, interpolated in the buckets of the histogram.
-- Columns: model, version, variant, calls, p50_s, p90_s, p99_s.
CREATE OR REPLACE MACRO radiosonde_latency(t0, t1) AS TABLE
SELECT model, version, variant, max(total) AS calls, min(CASE WHEN upto >= 0.5 * total AND upto - n < 0.5 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.5 * total - (upto - n)) / n END END) AS p50_s, min(CASE WHEN upto >= 0.9 * total AND upto - n < 0.9 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.9 * total - (upto - n)) / n END END) AS p90_s, min(CASE WHEN upto >= 0.99 * total AND upto - n < 0.99 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.99 * total - (upto - n)) / n END END) AS p99_s
FROM (
  SELECT model, version, variant, lower_s, bound_s, n,
    sum(n) OVER (PARTITION BY model, version, variant ORDER BY bound_s) AS upto, sum(n) OVER (PARTITION BY model, version, variant) AS total
  FROM (SELECT model, version, variant, lower_s, bound_s, sum(calls) AS n FROM radiosonde_durations(t0, t1) GROUP BY model, version, variant, lower_s, bound_s) AS buckets
) AS cumulative
WHERE total > 0
GROUP BY model, version, variant;

-- Mean seconds that the slowest calls spent in each phase: those above the highest bound that one call in a hundred exceeds.
-- Columns: model, version, variant, phase, bound_s, tail_calls, tail_ratio, tail_mean_s.
CREATE OR REPLACE MACRO radiosonde_tail(t0, t1) AS TABLE
SELECT p.model AS model, p.version AS version, p.variant AS variant, p.phase AS phase, max(t.tail_bound_s) AS bound_s,
  max(t.tail_n) AS tail_calls, max(t.tail_n / t.all_n) AS tail_ratio,
  sum(CASE WHEN p.le_s > 1e300 THEN p.seconds WHEN p.le_s = t.tail_bound_s THEN -p.seconds ELSE 0 END) / max(t.tail_n) AS tail_mean_s
FROM radiosonde_phases(t0, t1) AS p
JOIN (
  SELECT model, version, variant, max(le_s) AS tail_bound_s, min(n - upto) AS tail_n, max(n) AS all_n
  FROM (
    SELECT model, version, variant, le_s, upto, max(upto) OVER (PARTITION BY model, version, variant) AS n
    FROM (SELECT model, version, variant, le_s, sum(calls) AS upto FROM radiosonde_totals(t0, t1) GROUP BY model, version, variant, le_s) AS bounds
  ) AS sized
  WHERE n > 0 AND n - upto >= 0.01 * n
  GROUP BY model, version, variant
) AS t ON t.model = p.model AND t.version = p.version AND t.variant = p.variant
GROUP BY p.model, p.version, p.variant, p.phase;

-- Distance of each feature from its reference: PSI with its excess over noise, KS, total variation, JS in bits, W1 and location in cells (these and KS among the rows that have a value).
-- Columns: model, version, reference_id, feature, rows, reference_rows, psi, psi_corrected, psi_z, ks, tvd, js_bits, w1_cells, location_cells, null_ratio, unseen_ratio, outside_ratio, worst_cell.
CREATE OR REPLACE MACRO radiosonde_drift(t0, t1) AS TABLE
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
          FROM radiosonde_reference_cells(t0, t1) AS r
          LEFT JOIN (
            SELECT model, version, reference_id, feature, cell, sum(rows_in) AS rows
            FROM radiosonde_cells(t0, t1) GROUP BY model, version, reference_id, feature, cell
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
CREATE OR REPLACE MACRO radiosonde_classes(t0, t1) AS TABLE
SELECT model, version, variant, class, n AS rows, n / sum(n) OVER (PARTITION BY model, version, variant) AS ratio
FROM (SELECT model, version, variant, class, sum(rows_in) AS n FROM radiosonde_predicted_classes(t0, t1) GROUP BY model, version, variant, class HAVING sum(rows_in) > 0) AS counted;

-- Mean confidence of the predicted class.
-- Columns: model, version, variant, cohort, rows, mean_confidence.
CREATE OR REPLACE MACRO radiosonde_confidence(t0, t1) AS TABLE
SELECT model, version, variant, cohort, sum(rows_in) AS rows, sum(confidence_sum) / sum(rows_in) AS mean_confidence
FROM radiosonde_confidences(t0, t1) GROUP BY model, version, variant, cohort HAVING sum(rows_in) > 0;

-- Mean predicted value of regressions.
-- Columns: model, version, variant, rows, mean_value.
CREATE OR REPLACE MACRO radiosonde_predicted_values(t0, t1) AS TABLE
SELECT model, version, variant, sum(rows_in) AS rows, sum(value_sum) / sum(rows_in) AS mean_value
FROM radiosonde_values(t0, t1) GROUP BY model, version, variant HAVING sum(rows_in) > 0;

-- Labelled rows and the share predicted wrong, by lag of the label: only equal lags can be compared.
-- Columns: model, version, variant, cohort, lag, labelled, wrong, wrong_ratio.
CREATE OR REPLACE MACRO radiosonde_quality(t0, t1) AS TABLE
SELECT model, version, variant, cohort, lag, n AS labelled, n_wrong AS wrong, n_wrong / n AS wrong_ratio
FROM (
  SELECT model, version, variant, cohort, lag, sum(rows_in) AS n, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS n_wrong
  FROM radiosonde_outcomes(t0, t1) GROUP BY model, version, variant, cohort, lag
) AS counted
WHERE n > 0;

-- Expected calibration error over the 20 bins of confidence, the error a calibrated model would show by chance, and overconfidence.
-- Columns: model, version, variant, labelled, ece, ece_noise, overconfidence.
CREATE OR REPLACE MACRO radiosonde_calibration(t0, t1) AS TABLE
SELECT model, version, variant, sum(n) AS labelled, sum(abs(n_correct - n_expected)) / sum(n) AS ece,
  sum(sqrt(0.6366 * n_expected * greatest(1 - n_expected / n, 0))) / sum(n) AS ece_noise, sum(n_expected - n_correct) / sum(n) AS overconfidence
FROM (
  SELECT model, version, variant, bin, sum(rows_in) AS n, sum(correct) AS n_correct, sum(expected) AS n_expected
  FROM radiosonde_confidence_bins(t0, t1) GROUP BY model, version, variant, bin HAVING sum(rows_in) > 0
) AS bins
GROUP BY model, version, variant;

-- What releases are compared by: failed calls, and wrong answers by lag of the label.
-- Columns: model, version, variant, measure, all_in, bad_in.
CREATE OR REPLACE MACRO radiosonde_compared(t0, t1) AS TABLE
SELECT model, version, variant, 'failures' AS measure, sum(calls) AS all_in, sum(failed) AS bad_in
FROM radiosonde_calls(t0, t1) GROUP BY model, version, variant HAVING sum(calls) > 0
UNION ALL
SELECT model, version, variant, concat('wrong within ', lag) AS measure, sum(rows_in) AS all_in, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS bad_in
FROM radiosonde_outcomes(t0, t1) GROUP BY model, version, variant, lag HAVING sum(rows_in) > 0;

-- Every other variant of a model against its variant stable: failed calls, and wrong answers at equal lag of the label (two-proportion z).
-- Columns: model, measure, variant, version, rows, stable_rows, ratio, stable_ratio, difference, z.
CREATE OR REPLACE MACRO radiosonde_canary(t0, t1) AS TABLE
SELECT model, measure, variant, version, n AS rows, n_stable AS stable_rows, bad / n AS ratio, bad_stable / n_stable AS stable_ratio,
  bad / n - bad_stable / n_stable AS difference,
  (bad / n - bad_stable / n_stable) / nullif(sqrt((bad + bad_stable) / (n + n_stable) * (1 - (bad + bad_stable) / (n + n_stable)) * (1 / n + 1 / n_stable)), 0) AS z
FROM (
  SELECT c.model AS model, c.measure AS measure, c.variant AS variant, c.version AS version, c.n AS n, c.bad AS bad, s.n AS n_stable, s.bad AS bad_stable
  FROM (SELECT model, measure, variant, version, sum(all_in) AS n, sum(bad_in) AS bad FROM radiosonde_compared(t0, t1) WHERE variant <> 'stable' GROUP BY model, measure, variant, version) AS c
  JOIN (SELECT model, measure, sum(all_in) AS n, sum(bad_in) AS bad FROM radiosonde_compared(t0, t1) WHERE variant = 'stable' GROUP BY model, measure) AS s
    ON s.model = c.model AND s.measure = c.measure
) AS pairs
WHERE n > 0 AND n_stable > 0;

-- Labels that came, against the rows predicted in the same interval.
-- Columns: model, version, variant, rows, labelled, label_ratio.
CREATE OR REPLACE MACRO radiosonde_labels(t0, t1) AS TABLE
SELECT c.model AS model, c.version AS version, c.variant AS variant, c.n AS rows, coalesce(l.n, 0) AS labelled, coalesce(l.n, 0) / c.n AS label_ratio
FROM (SELECT model, version, variant, sum(rows_in) AS n FROM radiosonde_calls(t0, t1) GROUP BY model, version, variant HAVING sum(rows_in) > 0) AS c
LEFT JOIN (SELECT model, version, variant, sum(rows_in) AS n FROM radiosonde_label_lags(t0, t1) GROUP BY model, version, variant) AS l
  ON l.model = c.model AND l.version = c.version AND l.variant = c.variant;

-- Age of predictions when their label came, by class of the label.
-- Columns: model, class, labelled, p50_s, p90_s.
CREATE OR REPLACE MACRO radiosonde_label_lag(t0, t1) AS TABLE
SELECT model, class, max(total) AS labelled, min(CASE WHEN upto >= 0.5 * total AND upto - n < 0.5 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.5 * total - (upto - n)) / n END END) AS p50_s, min(CASE WHEN upto >= 0.9 * total AND upto - n < 0.9 * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * (0.9 * total - (upto - n)) / n END END) AS p90_s
FROM (
  SELECT model, class, lower_s, bound_s, n,
    sum(n) OVER (PARTITION BY model, class ORDER BY bound_s) AS upto, sum(n) OVER (PARTITION BY model, class) AS total
  FROM (SELECT model, class, lower_s, bound_s, sum(rows_in) AS n FROM radiosonde_label_lags(t0, t1) GROUP BY model, class, lower_s, bound_s) AS buckets
) AS cumulative
WHERE total > 0
GROUP BY model, class;

-- Quantiles of the values of each feature, from its sketches merged, and the number of values in them.
-- Columns: model, version, variant, feature, sketched, p01, p05, p25, p50, p75, p95, p99.
CREATE OR REPLACE MACRO radiosonde_quantiles(t0, t1) AS TABLE
SELECT model, version, variant, feature, max(total) AS sketched,
  min(CASE WHEN upto >= 0.01 * total THEN value END) AS p01, min(CASE WHEN upto >= 0.05 * total THEN value END) AS p05, min(CASE WHEN upto >= 0.25 * total THEN value END) AS p25, min(CASE WHEN upto >= 0.5 * total THEN value END) AS p50, min(CASE WHEN upto >= 0.75 * total THEN value END) AS p75, min(CASE WHEN upto >= 0.95 * total THEN value END) AS p95, min(CASE WHEN upto >= 0.99 * total THEN value END) AS p99
FROM (
  SELECT model, version, variant, feature, value,
    sum(n) OVER (PARTITION BY model, version, variant, feature ORDER BY value) AS upto,
    sum(n) OVER (PARTITION BY model, version, variant, feature) AS total
  FROM (
    SELECT model, version, variant, feature, value, sum(weight) AS n FROM radiosonde_sketch_items(t0, t1) GROUP BY model, version, variant, feature, value
  ) AS weighed
) AS cumulative
GROUP BY model, version, variant, feature;

-- Health of each process: CPU, throttling, pauses of the garbage collector, lag of the event loop, waits for a thread, memory.
-- Columns: process, cpu_s, throttled_ratio, gc_s, loop_lag_s, pool_wait_s, memory_bytes.
CREATE OR REPLACE MACRO radiosonde_health(t0, t1) AS TABLE
SELECT process, sum(cpu) AS cpu_s, sum(throttled) / nullif(sum(periods), 0) AS throttled_ratio, sum(gc) AS gc_s, sum(loop_lag) AS loop_lag_s,
  sum(pool_wait) AS pool_wait_s, max(memory) AS memory_bytes
FROM radiosonde_processes(t0, t1) GROUP BY process;
