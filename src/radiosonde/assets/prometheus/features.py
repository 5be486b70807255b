"""Recording rules of features: shares of cells, distance from the reference, missing, unseen and outside values.

PSI sums over cells, which counters per cell allow in plain PromQL. Shares are smoothed by half a row, as those of the reference are, so
that an empty cell gives a number; an hour without rows has no shares.
"""

from __future__ import annotations

from radiosonde.assets.names import label, series
from radiosonde.assets.prometheus.rules import CELL, FEATURE, Group, Promql, Record
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

_CELLS, _ROWS, _SHARES = "radiosonde:cell:increase1h", "radiosonde:feature:rows1h", "radiosonde:cell:ratio1h"
_REFERENCE = "radiosonde:cell:reference"
_MOST_BINS = 10
"""Bins between deciles."""

USUAL = "7d"
"""Baseline of a share: its mean over the last week, three hours ago."""
PARTS = {"null": "null", "unseen": "unseen", "outside": "below|above"}
"""Shares of special cells, by the name of their rule."""


def feature_rules(promql: Promql) -> Group:
    """Return the rules, every five minutes over the last hour."""
    feature, cell = promql.labels(*FEATURE), label(names.FEATURE_CELL)
    rules = [
        Record(_CELLS, promql.increase(metrics.FEATURE_CELL, "1h", CELL)),
        Record(_REFERENCE, f"max by ({promql.labels(*CELL)}) ({series(metrics.FEATURE_REFERENCE_RATIO)})"),
        Record(_ROWS, f"sum by ({feature}) ({_CELLS})"),
        Record(
            _SHARES,
            f"""({_CELLS} + 0.5) / on ({feature}) group_left ()
            (({_ROWS} > 0) + 0.5 * count by ({feature}) ({_REFERENCE}))""",
        ),
        Record(
            "radiosonde:feature:psi1h",
            f"sum by ({feature}) (({_SHARES} - {_REFERENCE}) * ln({_SHARES} / {_REFERENCE}))",
        ),
        Record("radiosonde:feature:location1h", _location(promql)),
    ]
    for name, cells in PARTS.items():
        operator = "=~" if "|" in cells else "="
        rules += [
            Record(
                f"radiosonde:feature:{name}_ratio1h",
                f'sum by ({feature}) ({_CELLS}{{{cell}{operator}"{cells}"}}) / ({_ROWS} > 0)',
            ),
            Record(
                f"radiosonde:feature:{name}_usual_ratio{USUAL}",
                f"avg_over_time(radiosonde:feature:{name}_ratio1h[{USUAL}] offset 3h)",
            ),
        ]
    return Group("radiosonde.features", "5m", rules)


def _location(promql: Promql) -> str:
    """Return the mean shift of the rows that have a value, in bins; negative is down."""
    feature, cell = promql.labels(*FEATURE), label(names.FEATURE_CELL)

    def mean_place(shares: str) -> str:
        """Return the mean number of bounds below a row: a share counts once for each bound that it is above."""
        outside = f'sum by ({feature}) ({shares}{{{cell}="above"}})'
        # A feature with fewer bins has no row for the higher ones, and a sum drops what one of its terms lacks.
        bins = "\n+ ".join(
            f'(sum by ({feature}) ({shares}{{{cell}=~"0[{lowest}-9]"}}) or 0 * {outside})'
            for lowest in range(_MOST_BINS)
        )
        bounds = f'(1 + count by ({feature}) ({_REFERENCE}{{{cell}=~"0[0-9]"}}))'
        return f"""({bins}
        + {bounds} * {outside}) / sum by ({feature}) ({shares}{{{cell}!~"null|unseen"}})"""

    return f"({mean_place(_SHARES)}\n- {mean_place(_REFERENCE)})\nand on ({feature}) ({_ROWS} > 0)"
