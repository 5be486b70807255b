"""Recording rules of answers: shares of classes, confidence, predicted values."""

from __future__ import annotations

from radiosonde.assets.names import series
from radiosonde.assets.prometheus.rules import RELEASE, VERSION, Group, Promql, Record
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

_CLASS = (*RELEASE, names.PREDICTION_CLASS)
_ROWS, _SHARES = "radiosonde:class:rows1h", "radiosonde:class:ratio1h"


def answer_rules(promql: Promql) -> Group:
    """Return the rules, every five minutes over the last hour."""
    release = promql.labels(*RELEASE)
    usual = f"avg_over_time({_SHARES}[7d] offset 3h)"
    rules = [
        Record(_ROWS, promql.increase(metrics.PREDICTION_CLASS, "1h", _CLASS)),
        Record(
            _SHARES,
            # Of an hour without rows, smoothing would make equal shares.
            f"""({_ROWS} + 0.5) / on ({release}) group_left ()
            (sum by ({release}) ({_ROWS} + 0.5) and sum by ({release}) ({_ROWS}) > 0)""",
        ),
        Record("radiosonde:class:usual_ratio7d", usual),
        Record(
            "radiosonde:class:psi1h",
            f"""sum by ({release}) (({_SHARES} - radiosonde:class:usual_ratio7d)
            * ln({_SHARES} / radiosonde:class:usual_ratio7d))""",
        ),
        *_against_reference(promql),
        Record(
            "radiosonde:confidence:mean1h",
            f"""{promql.increase(metrics.PREDICTION_CONFIDENCE, "1h", RELEASE, part="sum")}
            / ({promql.increase(metrics.PREDICTION_CONFIDENCE, "1h", RELEASE, part="count")} > 0)""",
        ),
        Record("radiosonde:value:mean1h", _mean_value(promql)),
    ]
    return Group("radiosonde.answers", "5m", rules)


def _against_reference(promql: Promql) -> list[Record]:
    """Return the shares of predicted classes in the reference, and the distance of those of the last hour from them."""
    version, by_class = promql.labels(*VERSION), promql.labels(*VERSION, names.PREDICTION_CLASS)
    reference, rows = "radiosonde:class:reference", f"sum by ({by_class}) ({_ROWS} + 0.5)"
    share = f"{rows} / on ({version}) group_left () sum by ({version}) ({_ROWS} + 0.5)"
    return [
        Record(reference, f"max by ({by_class}) ({series(metrics.OUTPUT_REFERENCE_CLASS_RATIO)})"),
        Record(
            "radiosonde:class:reference_psi1h",
            f"""sum by ({version}) (({share} - {reference}) * ln(({share}) / {reference}))
            and on ({version}) (sum by ({version}) ({_ROWS}) > 0)""",
        ),
    ]


def _mean_value(promql: Promql) -> str:
    above, below = (
        promql.increase(metrics.PREDICTION_VALUE_DISTANCE, "1h", RELEASE, {names.SIGN: sign})
        for sign in names.SIGN_VALUES
    )
    rows = promql.increase(metrics.PREDICTION_VALUE_ROWS, "1h", RELEASE)
    return f"({above}\n- {below})\n/ ({rows} > 0)"
