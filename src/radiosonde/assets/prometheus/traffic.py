"""Recording rules of traffic, failures and latency."""

from __future__ import annotations

import math

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.names import any_of, bound
from radiosonde.assets.prometheus.rules import RELEASE, Group, Promql, Record
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

SERVED = (*RELEASE, names.MODEL_KIND)
"""Requests and the models they ask are counted beside each other: the kind keeps them apart."""
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
"""Ranges of burn rates: a fast one over 1 h and 5 m, a slow one over 6 h and 30 m, and the remaining budget over 3 d."""
_QUANTILES = (0.5, 0.95, 0.99)
_TAIL_S = 0.5


def traffic_rules(promql: Promql, options: AssetOptions) -> Group:
    """Return calls, failures and slow calls per window, quantiles, and the seconds of the tail by phase."""
    rules: list[Record] = []
    for window in WINDOWS:
        calls = f"radiosonde:calls:increase{window}"
        rules += [
            Record(calls, promql.increase(metrics.PREDICTION_CALLS, window, SERVED)),
            Record(
                f"radiosonde:failures:ratio{window}",
                f"{promql.increase(metrics.PREDICTION_FAILURES, window, SERVED)}\n/ ({calls} > 0)",
            ),
        ]
        slow = slow_ratio(promql, options, window)
        rules += [Record(f"radiosonde:slow:ratio{window}", slow)] if slow else []
    buckets = promql.increase(metrics.PREDICTION_DURATION, "5m", (*SERVED, "le"), part="bucket")
    rules += [
        Record(f"radiosonde:duration:p{round(100 * level)}_5m", f"histogram_quantile({level}, {buckets})")
        for level in _QUANTILES
    ]
    tail = options.objectives.p99 or _TAIL_S
    slower_than = repr(2.0 ** math.floor(math.log2(tail)))
    rules.append(Record("radiosonde:tail:seconds1h", tail_seconds(promql, slower_than)))
    return Group("radiosonde.traffic", "30s", rules)


def slow_ratio(promql: Promql, options: AssetOptions, window: str) -> str:
    """Return the share of calls above the bound of the objective, each model by its own; empty where none has one."""
    own = {model: declared.p99 for model, declared in options.models.items() if declared.p99}
    others = {names.MODEL_NAME: f"!~{any_of(own)}"} if own else {}
    parts = [(others, options.objectives.p99)] if options.objectives.p99 else []
    parts += [({names.MODEL_NAME: model}, p99) for model, p99 in own.items()]
    return "\nor ".join(_slow(promql, window, where, p99) for where, p99 in parts)


def _slow(promql: Promql, window: str, where: dict[str, str], p99: float) -> str:
    within = promql.increase(metrics.PREDICTION_DURATION, window, SERVED, {**where, "le": bound(p99)}, part="bucket")
    calls = promql.increase(metrics.PREDICTION_DURATION, window, SERVED, where, part="count")
    return f"1 - {within}\n/ ({calls} > 0)"


def tail_seconds(promql: Promql, slower_than: str) -> str:
    """Return the seconds that calls slower than a bound spent in each phase; ``total`` is all of them."""
    by_phase = (*RELEASE, names.PHASE)
    everything, quick = (
        promql.increase(metrics.PREDICTION_PHASE_DURATION, "1h", by_phase, {names.TOTAL_LE: le})
        for le in ("+Inf", slower_than)
    )
    return f"{everything}\n- {quick}"
