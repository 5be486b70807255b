"""The questions of a diagnosis as SQL over the counts of an interval, in the part of SQL that DuckDB and ClickHouse share.

Every query reads only the relations that `radiosonde.assets.views.counts` declares, which each engine provides from what it holds. So both
engines give the same answers with the same formulas, and a correction is made once.

Joins name every column they return: ClickHouse fills the unmatched side of an outer join with zeros and empty text, DuckDB with NULL, so
`coalesce` makes them equal. An alias never has the name of a column that it is computed from, which ClickHouse would take for the alias.
"""

from __future__ import annotations

from radiosonde.assets.views.view import SqlView

_QUANTILES = ((0.5, "p50_s"), (0.9, "p90_s"), (0.99, "p99_s"))
_TAIL = 0.01
"""Share of calls that a tail has at least."""

_WILSON_Z = 1.96


def _quantile(share: float) -> str:
    """Return the quantile of bucket counts as `histogram_quantile` of Prometheus gives it: linear within a bucket."""
    return f"""min(CASE WHEN upto >= {share} * total AND upto - n < {share} * total THEN
    CASE WHEN bound_s > 1e300 THEN lower_s ELSE lower_s + (bound_s - lower_s) * ({share} * total - (upto - n)) / n END END)"""


def _quantiles(relation: str, key: str, counted: str, name: str, shares: tuple[tuple[float, str], ...]) -> str:
    return f"""
SELECT {key}, max(total) AS {name}, {", ".join(f"{_quantile(share)} AS {quantile}" for share, quantile in shares)}
FROM (
  SELECT {key}, lower_s, bound_s, n,
    sum(n) OVER (PARTITION BY {key} ORDER BY bound_s) AS upto, sum(n) OVER (PARTITION BY {key}) AS total
  FROM (SELECT {key}, lower_s, bound_s, sum({counted}) AS n FROM @{relation} GROUP BY {key}, lower_s, bound_s) AS buckets
) AS cumulative
WHERE total > 0
GROUP BY {key}"""


_VALUE_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def _wilson(sign: str) -> str:
    z = _WILSON_Z
    return (
        f"least(greatest((failures / n + {z * z / 2:g} / n {sign} {z} * sqrt(failures / n * (1 - failures / n) / n + {z * z / 4:g} / (n * n)))"
        f" / (1 + {z * z:g} / n), 0), 1)"
    )


FAILURES = SqlView(
    "failures",
    "Failed calls and their share with a 95 % interval (Wilson), by series.",
    ("model", "version", "variant", "cohort", "calls", "failures", "failure_ratio", "low", "high"),
    f"""
SELECT model, version, variant, cohort, n AS calls, failures, failures / n AS failure_ratio,
  {_wilson("-")} AS low,
  {_wilson("+")} AS high
FROM (SELECT model, version, variant, cohort, sum(calls) AS n, sum(failed) AS failures FROM @calls GROUP BY model, version, variant, cohort) AS series
WHERE n > 0""",
)

COHORTS = SqlView(
    "cohorts",
    "Failed calls by every dimension of the cohorts, against the other calls of the same version (two-proportion z).",
    ("model", "version", "dimension", "value", "calls", "failures", "failure_ratio", "other_failure_ratio", "z"),
    """
SELECT model, version, dimension, value, n AS calls, failures, failures / n AS failure_ratio, (all_failures - failures) / (all_n - n) AS other_failure_ratio,
  (failures / n - (all_failures - failures) / (all_n - n)) / nullif(sqrt(all_failures / all_n * (1 - all_failures / all_n) * (1 / n + 1 / (all_n - n))), 0) AS z
FROM (
  SELECT model, version, dimension, value, sum(calls) AS n, sum(failed) AS failures
  FROM @cohort_calls GROUP BY model, version, dimension, value
) AS parts
JOIN (SELECT model, version, sum(calls) AS all_n, sum(failed) AS all_failures FROM @calls GROUP BY model, version) AS versions USING (model, version)
WHERE n > 0 AND all_n > n""",
)

ERRORS = SqlView(
    "errors",
    "Failed calls by type of the exception.",
    ("model", "version", "variant", "cohort", "error_type", "failures"),
    """
SELECT model, version, variant, cohort, error_type, sum(failed) AS failures
FROM @error_types GROUP BY model, version, variant, cohort, error_type HAVING sum(failed) > 0""",
)

LATENCY = SqlView(
    "latency",
    "Calls and quantiles of their duration, interpolated in the buckets of the histogram.",
    ("model", "version", "variant", "calls", "p50_s", "p90_s", "p99_s"),
    _quantiles("durations", "model, version, variant", "calls", "calls", _QUANTILES),
)

TAIL = SqlView(
    "tail",
    "Mean seconds that the slowest calls spent in each phase: those above the highest bound that one call in a hundred exceeds.",
    ("model", "version", "variant", "phase", "bound_s", "tail_calls", "tail_ratio", "tail_mean_s"),
    f"""
SELECT p.model AS model, p.version AS version, p.variant AS variant, p.phase AS phase, max(t.tail_bound_s) AS bound_s,
  max(t.tail_n) AS tail_calls, max(t.tail_n / t.all_n) AS tail_ratio,
  sum(CASE WHEN p.le_s > 1e300 THEN p.seconds WHEN p.le_s = t.tail_bound_s THEN -p.seconds ELSE 0 END) / max(t.tail_n) AS tail_mean_s
FROM @phases AS p
JOIN (
  SELECT model, version, variant, max(le_s) AS tail_bound_s, min(n - upto) AS tail_n, max(n) AS all_n
  FROM (
    SELECT model, version, variant, le_s, upto, max(upto) OVER (PARTITION BY model, version, variant) AS n
    FROM (SELECT model, version, variant, le_s, sum(calls) AS upto FROM @totals GROUP BY model, version, variant, le_s) AS bounds
  ) AS sized
  WHERE n > 0 AND n - upto >= {_TAIL} * n
  GROUP BY model, version, variant
) AS t ON t.model = p.model AND t.version = p.version AND t.variant = p.variant
GROUP BY p.model, p.version, p.variant, p.phase""",
)

DRIFT = SqlView(
    "drift",
    "Distance of each feature from its reference: PSI with its excess over noise, KS, total variation, JS in bits, W1 and location in cells (these and KS among the rows that have a value).",
    (
        "model",
        "version",
        "reference_id",
        "feature",
        "rows",
        "reference_rows",
        "psi",
        "psi_corrected",
        "psi_z",
        "ks",
        "tvd",
        "js_bits",
        "w1_cells",
        "location_cells",
        "null_ratio",
        "unseen_ratio",
        "outside_ratio",
        "worst_cell",
    ),
    """
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
          FROM @reference_cells AS r
          LEFT JOIN (
            SELECT model, version, reference_id, feature, cell, sum(rows_in) AS rows
            FROM @cells GROUP BY model, version, reference_id, feature, cell
          ) AS c ON c.model = r.model AND c.version = r.version AND c.reference_id = r.reference_id AND c.feature = r.feature AND c.cell = r.cell
        ) AS joined
      ) AS sized
      WHERE n > 0
    ) AS shared
  ) AS ordered
  GROUP BY model, version, reference_id, feature, n, m, k
) AS summed""",
)

CLASSES = SqlView(
    "classes",
    "Predicted classes and their shares.",
    ("model", "version", "variant", "class", "rows", "ratio"),
    """
SELECT model, version, variant, class, n AS rows, n / sum(n) OVER (PARTITION BY model, version, variant) AS ratio
FROM (SELECT model, version, variant, class, sum(rows_in) AS n FROM @predicted_classes GROUP BY model, version, variant, class HAVING sum(rows_in) > 0) AS counted""",
)

CONFIDENCE = SqlView(
    "confidence",
    "Mean confidence of the predicted class.",
    ("model", "version", "variant", "cohort", "rows", "mean_confidence"),
    """
SELECT model, version, variant, cohort, sum(rows_in) AS rows, sum(confidence_sum) / sum(rows_in) AS mean_confidence
FROM @confidences GROUP BY model, version, variant, cohort HAVING sum(rows_in) > 0""",
)

PREDICTED_VALUES = SqlView(
    "predicted_values",
    "Mean predicted value of regressions.",
    ("model", "version", "variant", "rows", "mean_value"),
    """
SELECT model, version, variant, sum(rows_in) AS rows, sum(value_sum) / sum(rows_in) AS mean_value
FROM @values GROUP BY model, version, variant HAVING sum(rows_in) > 0""",
)

QUALITY = SqlView(
    "quality",
    "Labelled rows and the share predicted wrong, by lag of the label: only equal lags can be compared.",
    ("model", "version", "variant", "cohort", "lag", "labelled", "wrong", "wrong_ratio"),
    """
SELECT model, version, variant, cohort, lag, n AS labelled, n_wrong AS wrong, n_wrong / n AS wrong_ratio
FROM (
  SELECT model, version, variant, cohort, lag, sum(rows_in) AS n, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS n_wrong
  FROM @outcomes GROUP BY model, version, variant, cohort, lag
) AS counted
WHERE n > 0""",
)

CALIBRATION = SqlView(
    "calibration",
    "Expected calibration error over the 20 bins of confidence, the error a calibrated model would show by chance, and overconfidence.",
    ("model", "version", "variant", "labelled", "ece", "ece_noise", "overconfidence"),
    """
SELECT model, version, variant, sum(n) AS labelled, sum(abs(n_correct - n_expected)) / sum(n) AS ece,
  sum(sqrt(0.6366 * n_expected * greatest(1 - n_expected / n, 0))) / sum(n) AS ece_noise, sum(n_expected - n_correct) / sum(n) AS overconfidence
FROM (
  SELECT model, version, variant, bin, sum(rows_in) AS n, sum(correct) AS n_correct, sum(expected) AS n_expected
  FROM @confidence_bins GROUP BY model, version, variant, bin HAVING sum(rows_in) > 0
) AS bins
GROUP BY model, version, variant""",
)

CANARY = SqlView(
    "canary",
    "Every other variant of a model against its variant stable: failed calls, and wrong answers at equal lag of the label (two-proportion z).",
    ("model", "measure", "variant", "version", "rows", "stable_rows", "ratio", "stable_ratio", "difference", "z"),
    """
SELECT model, measure, variant, version, n AS rows, n_stable AS stable_rows, bad / n AS ratio, bad_stable / n_stable AS stable_ratio,
  bad / n - bad_stable / n_stable AS difference,
  (bad / n - bad_stable / n_stable) / nullif(sqrt((bad + bad_stable) / (n + n_stable) * (1 - (bad + bad_stable) / (n + n_stable)) * (1 / n + 1 / n_stable)), 0) AS z
FROM (
  SELECT c.model AS model, c.measure AS measure, c.variant AS variant, c.version AS version, c.n AS n, c.bad AS bad, s.n AS n_stable, s.bad AS bad_stable
  FROM (SELECT model, measure, variant, version, sum(all_in) AS n, sum(bad_in) AS bad FROM @compared WHERE variant <> 'stable' GROUP BY model, measure, variant, version) AS c
  JOIN (SELECT model, measure, sum(all_in) AS n, sum(bad_in) AS bad FROM @compared WHERE variant = 'stable' GROUP BY model, measure) AS s
    ON s.model = c.model AND s.measure = c.measure
) AS pairs
WHERE n > 0 AND n_stable > 0""",
)

COMPARED = SqlView(
    "compared",
    "What releases are compared by: failed calls, and wrong answers by lag of the label.",
    ("model", "version", "variant", "measure", "all_in", "bad_in"),
    """
SELECT model, version, variant, 'failures' AS measure, sum(calls) AS all_in, sum(failed) AS bad_in
FROM @calls GROUP BY model, version, variant HAVING sum(calls) > 0
UNION ALL
SELECT model, version, variant, concat('wrong within ', lag) AS measure, sum(rows_in) AS all_in, sum(CASE WHEN result = 'incorrect' THEN rows_in ELSE 0 END) AS bad_in
FROM @outcomes GROUP BY model, version, variant, lag HAVING sum(rows_in) > 0""",
)

LABELS = SqlView(
    "labels",
    "Labels that came, against the rows predicted in the same interval.",
    ("model", "version", "variant", "rows", "labelled", "label_ratio"),
    """
SELECT c.model AS model, c.version AS version, c.variant AS variant, c.n AS rows, coalesce(l.n, 0) AS labelled, coalesce(l.n, 0) / c.n AS label_ratio
FROM (SELECT model, version, variant, sum(rows_in) AS n FROM @calls GROUP BY model, version, variant HAVING sum(rows_in) > 0) AS c
LEFT JOIN (SELECT model, version, variant, sum(rows_in) AS n FROM @label_lags GROUP BY model, version, variant) AS l
  ON l.model = c.model AND l.version = c.version AND l.variant = c.variant""",
)

LABEL_LAG = SqlView(
    "label_lag",
    "Age of predictions when their label came, by class of the label.",
    ("model", "class", "labelled", "p50_s", "p90_s"),
    _quantiles("label_lags", "model, class", "rows_in", "labelled", _QUANTILES[:2]),
)

HEALTH = SqlView(
    "health",
    "Health of each process: CPU, throttling, pauses of the garbage collector, lag of the event loop, waits for a thread, memory.",
    ("process", "cpu_s", "throttled_ratio", "gc_s", "loop_lag_s", "pool_wait_s", "memory_bytes"),
    """
SELECT process, sum(cpu) AS cpu_s, sum(throttled) / nullif(sum(periods), 0) AS throttled_ratio, sum(gc) AS gc_s, sum(loop_lag) AS loop_lag_s,
  sum(pool_wait) AS pool_wait_s, max(memory) AS memory_bytes
FROM @processes GROUP BY process""",
)

QUANTILES = SqlView(
    "quantiles",
    "Quantiles of the values of each feature, from its sketches merged, and the number of values in them.",
    ("model", "version", "variant", "feature", "sketched", *(f"p{round(100 * share):02d}" for share in _VALUE_SHARES)),
    f"""
SELECT model, version, variant, feature, max(total) AS sketched,
  {", ".join(f"min(CASE WHEN upto >= {share} * total THEN value END) AS p{round(100 * share):02d}" for share in _VALUE_SHARES)}
FROM (
  SELECT model, version, variant, feature, value,
    sum(n) OVER (PARTITION BY model, version, variant, feature ORDER BY value) AS upto,
    sum(n) OVER (PARTITION BY model, version, variant, feature) AS total
  FROM (
    SELECT model, version, variant, feature, value, sum(weight) AS n FROM @sketch_items GROUP BY model, version, variant, feature, value
  ) AS weighed
) AS cumulative
GROUP BY model, version, variant, feature""",
)

ANSWERS = (
    FAILURES, COHORTS, ERRORS, LATENCY, TAIL, DRIFT, CLASSES, CONFIDENCE, PREDICTED_VALUES, QUALITY, CALIBRATION, COMPARED, CANARY, LABELS,
    LABEL_LAG, QUANTILES, HEALTH,
)  # fmt: skip
"""In an order in which each comes after those it reads."""
