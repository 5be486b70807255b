"""Recording rules of labels: outcomes, calibration, residuals, arrivals, and the canary beside the stable version.

Outcomes are compared within one lag class only: versions that were started at different times have labels of different ages.
"""

from __future__ import annotations

from radiosonde.assets.names import label
from radiosonde.assets.prometheus.rules import RELEASE, Group, Promql, Record
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

_AGED = (*RELEASE, names.LABEL_LAG)
_DAY = "1d"
WRONG, ROWS = "radiosonde:outcomes:wrong1d", "radiosonde:outcomes:rows1d"
EFFECT = 0.05
"""Difference of two shares that the sequential test is tuned to; its error bound holds for any difference."""


def label_rules(promql: Promql) -> Group:
    """Return the rules, every five minutes over the last day."""
    incorrect = {names.OUTCOME_RESULT: "incorrect"}
    rules = [
        Record(ROWS, _in_force(promql, metrics.OUTCOME_ROWS, metrics.OUTCOME_RETRACTIONS, _AGED)),
        Record(WRONG, _in_force(promql, metrics.OUTCOME_ROWS, metrics.OUTCOME_RETRACTIONS, _AGED, incorrect)),
        Record("radiosonde:outcomes:wrong_ratio1d", f"{WRONG} / ({ROWS} > 0)"),
        Record("radiosonde:calibration:error1d", _calibration(promql)),
        *_residuals(promql),
        Record("radiosonde:labels:increase6h", _arrivals(promql, "6h")),
        Record("radiosonde:labels:increase7d", _arrivals(promql, "7d")),
        Record(
            "radiosonde:labels:lag_p50_1d",
            f"histogram_quantile(0.5, {promql.increase(metrics.LABEL_LAG, _DAY, (*RELEASE, 'le'), part='bucket')})",
        ),
        *_canary(promql),
    ]
    return Group("radiosonde.labels", "5m", rules)


def _in_force(
    promql: Promql, counted: str, retracted: str, by: tuple[str, ...], where: dict[str, str] | None = None
) -> str:
    return f"{promql.increase(counted, _DAY, by, where)}\n- {promql.increase(retracted, _DAY, by, where)}"


def _calibration(promql: Promql) -> str:
    """Return the expected calibration error. Each bin has its own mean confidence, so no bin centre is assumed."""
    binned = (*RELEASE, names.CONFIDENCE_BIN)
    correct = _in_force(
        promql, metrics.OUTCOME_CONFIDENCE_CORRECT, metrics.OUTCOME_CONFIDENCE_CORRECT_RETRACTIONS, binned
    )
    expected = promql.increase(metrics.OUTCOME_CONFIDENCE_EXPECTED, _DAY, binned)
    rows = promql.increase(metrics.OUTCOME_CONFIDENCE_ROWS, _DAY, RELEASE)
    return f"sum by ({promql.labels(*RELEASE)}) (abs(\n{correct}\n- {expected}\n))\n/ ({rows} > 0)"


def _residuals(promql: Promql) -> list[Record]:
    rows = promql.increase(metrics.OUTCOME_RESIDUAL_ROWS, _DAY, RELEASE)
    distance, taken_back = metrics.OUTCOME_RESIDUAL_DISTANCE, metrics.OUTCOME_RESIDUAL_DISTANCE_RETRACTIONS
    above, below = (_in_force(promql, distance, taken_back, RELEASE, {names.SIGN: sign}) for sign in names.SIGN_VALUES)
    return [
        Record(
            "radiosonde:residuals:mean_absolute1d",
            f"({_in_force(promql, distance, taken_back, RELEASE)})\n/ ({rows} > 0)",
        ),
        Record("radiosonde:residuals:mean1d", f"(({above})\n- ({below}))\n/ ({rows} > 0)"),
    ]


def _arrivals(promql: Promql, window: str) -> str:
    """Return first labels by model, of classifications and regressions alike."""
    return promql.increase(metrics.LABEL_ARRIVED, window, (names.MODEL_NAME,))


def _canary(promql: Promql) -> list[Record]:
    """Return difference, its variance, and the evidence against equal error of canary and stable, in nats.

    The evidence is the normal mixture of Robbins (1970), "Statistical methods related to the law of the iterated logarithm": it may be
    used at every evaluation. Above ln(1/alpha) it is wrong with probability alpha over the whole rollout, not per look.
    """
    arm, variant = promql.labels(names.MODEL_NAME, names.LABEL_LAG), label(names.VARIANT)
    (k1, n1), (k0, n0) = (
        tuple(f'sum by ({arm}) ({counted}{{{variant}="{name}"}})' for counted in (WRONG, ROWS))
        for name in ("canary", "stable")
    )
    pooled = f"(({k1} + {k0}) / ({n1} + {n0}))"
    change, variance = "radiosonde:canary:wrong_change", "radiosonde:canary:wrong_variance"
    square = repr(EFFECT**2)
    return [
        Record(change, f"{k1} / ({n1} > 0)\n- {k0} / ({n0} > 0)"),
        Record(variance, f"clamp_min({pooled} * (1 - {pooled}), 1e-9)\n* (1 / ({n1} > 0) + 1 / ({n0} > 0))"),
        Record(
            "radiosonde:canary:wrong_ln_evidence",
            f"""0.5 * ln({variance} / ({variance} + {square}))
            + {change} ^ 2 * {square} / (2 * {variance} * ({variance} + {square}))""",
        ),
    ]
