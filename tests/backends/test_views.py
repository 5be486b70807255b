"""Both engines give the same answers: ClickHouse over what a collector wrote, DuckDB over what the store sealed, of the same service."""

from __future__ import annotations

import math
from typing import Any

import pytest

from radiosonde.assets.views.answers import ANSWERS

KEYS = {
    "model", "version", "variant", "cohort", "dimension", "value", "error_type", "phase", "reference_id", "feature", "class", "lag", "measure",
    "process",
}  # fmt: skip
EQUAL = [view for view in ANSWERS if view.name not in {"health", "quantiles"}]
"""The health of a process is sampled: an export and a window do not end at the same moment. Sketches of cohorts are merged before they are
sent, and lose some values."""
ROUNDING = 1e-6


def rows(engines: Any, view: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return the rows of a view of both engines, by key."""
    return keyed(engines.view("clickhouse", view)), keyed(engines.view("duckdb", view))


def keyed(rows: list[dict[str, Any]]) -> dict[Any, Any]:
    """Return rows by what they are of."""
    return {tuple((name, row[name]) for name in sorted(row) if name in KEYS): row for row in rows}


@pytest.mark.parametrize("view", EQUAL, ids=lambda view: view.name)
def test_both_engines_give_the_same_answers(engines, view):
    """Every row of an answer is in both, and every figure equal but for rounding."""
    collected, sealed = rows(engines, view.name)
    assert collected, "nothing was answered"
    assert collected.keys() == sealed.keys()
    for key, row in collected.items():
        assert tuple(row) == view.columns
        wrong = {name: (value, sealed[key][name]) for name, value in row.items() if not equal(value, sealed[key][name])}
        assert not wrong, key


def test_quantiles_are_of_the_same_values(engines):
    """As many of them, and each median is among the middle half of the other's."""
    collected, sealed = rows(engines, "quantiles")
    assert collected.keys() == sealed.keys() != set()
    for key, row in collected.items():
        assert row["sketched"] == sealed[key]["sketched"]
        assert row["p25"] <= sealed[key]["p50"] <= row["p75"]


def test_two_intervals_add_up_to_one(engines):
    """Whichever export they are parted at: a counter's increase is neither lost nor doubled there, nor at a restart."""
    times = [
        row["at"]
        for row in engines.clickhouse.rows("SELECT DISTINCT toString(TimeUnix) AS at FROM otel_metrics_sum ORDER BY at")
    ]
    assert len(times) > 3
    whole = engines.clickhouse.view("calls")
    for middle in times[:: max(1, len(times) // 4)]:
        parts = [*engines.clickhouse.view("calls", t1=middle), *engines.clickhouse.view("calls", t0=middle)]
        for figure in ("calls", "rows_in", "failed"):
            assert sum(row[figure] for row in parts) == sum(row[figure] for row in whole), (middle, figure)
    buckets = sum(row["calls"] for row in engines.clickhouse.view("durations"))
    for middle in times[:: max(1, len(times) // 4)]:
        parts = [*engines.clickhouse.view("durations", t1=middle), *engines.clickhouse.view("durations", t0=middle)]
        assert sum(row["calls"] for row in parts) == buckets == sum(row["calls"] for row in whole)


def equal(first: Any, second: Any) -> bool:
    """Return whether two figures are equal but for rounding; NULL is equal to itself."""
    if isinstance(first, str) or first is None or second is None:
        return first == second
    return math.isclose(first, second, rel_tol=ROUNDING, abs_tol=1e-9)
