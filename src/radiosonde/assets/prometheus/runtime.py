"""Recording rules of the process beside its models, and of Radiosonde itself."""

from __future__ import annotations

from radiosonde.assets.names import series
from radiosonde.assets.prometheus.rules import Group, Promql, Record
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics


def runtime_rules(promql: Promql) -> Group:
    """Return the rules, every minute."""
    by = ", ".join(promql.by)
    of_all: tuple[str, ...] = ()
    reasons = (names.LOSS_REASON,)
    return Group(
        "radiosonde.runtime",
        "1m",
        [
            Record("radiosonde:cpu:cores5m", f"sum by ({by}) (rate({series(metrics.RUNTIME_CPU_TIME)}[5m]))"),
            Record(
                "radiosonde:cpu:throttled_ratio5m",
                f"""{promql.increase(metrics.RUNTIME_CPU_THROTTLED_PERIODS, "5m", of_all)}
                / ({promql.increase(metrics.RUNTIME_CPU_PERIODS, "5m", of_all)} > 0)""",
            ),
            Record("radiosonde:memory:bytes", f"sum by ({by}) ({series(metrics.RUNTIME_MEMORY)})"),
            Record(
                "radiosonde:gc:seconds_rate5m",
                f"sum by ({by}) (rate({series(metrics.RUNTIME_GC_PAUSE, part='sum')}[5m]))",
            ),
            Record("radiosonde:sdk:losses1h", promql.increase(metrics.SDK_LOSSES, "1h", reasons)),
            Record("radiosonde:sdk:records1h", promql.increase(metrics.SDK_RECORDS, "1h", of_all)),
            Record("radiosonde:sdk:guarded1h", promql.increase(metrics.SDK_GUARDED, "1h", of_all)),
            Record("radiosonde:sdk:series_cut", f"max by ({by}) ({series(metrics.SDK_CUT)})"),
            Record("radiosonde:sdk:cpu_cores5m", f"sum by ({by}) (rate({series(metrics.SDK_CONSUMER_CPU_TIME)}[5m]))"),
        ],
    )
