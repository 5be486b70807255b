"""Both engines give the same answers: ClickHouse over what a collector wrote, DuckDB over what the store sealed, of the same service."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from radiosonde.assets import AssetOptions
from radiosonde.assets.views import clickhouse as clickhouse_views
from radiosonde.assets.views import duckdb as duckdb_views
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.store.seal import seal
from tests.e2e._receivers import wait_for

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("chdb", reason="needs chdb; `make test-backends` has it")

CALLS = 1500
KEYS = {
    "model", "version", "variant", "cohort", "dimension", "value", "error_type", "phase", "reference_id", "feature", "class", "lag", "measure",
    "process",
}  # fmt: skip
EQUAL = [view for view in ANSWERS if view.name != "health"]
"""The health of a process is sampled: an export and a window do not end at the same moment."""


class Both(NamedTuple):
    """The two engines after the same service."""

    clickhouse: Any
    duckdb: Any

    def rows(self, view: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Return the rows of a view of both, by key."""
        relation = self.duckdb.execute(f"FROM radiosonde_{view}(TIMESTAMPTZ '2020-01-01', TIMESTAMPTZ '2040-01-01')")
        names = [column[0] for column in relation.description]
        sealed = [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
        return keyed(self.clickhouse.view(view)), keyed(sealed)


def keyed(rows: list[dict[str, Any]]) -> dict[Any, Any]:
    """Return rows by what they are of."""
    return {tuple((name, row[name]) for name in sorted(row) if name in KEYS): row for row in rows}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Iterator[Both]:
    """Run three replicas one after the other, which is a restart to any backend, and read them by both engines."""
    from tests.backends._clickhouse import clickhouse

    folder = tmp_path_factory.mktemp("both")
    store, sealed = folder / "store.sqlite", folder / "sealed"
    with clickhouse(folder) as (engine, endpoint):
        for seed in range(3):
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
            subprocess.run(
                [sys.executable, Path(__file__).with_name("_lab.py"), store, str(seed), str(CALLS)],
                env=environment, check=True, timeout=300,
            )  # fmt: skip
        for view in clickhouse_views.make(AssetOptions())[0].content.split(";\n"):
            if view.strip():
                engine.run(view)
        wait_for(lambda: arrived(engine) >= 3 * CALLS, "the last export to arrive")
        assert engine.errors == []
        seal(store, sealed, grace_hours=None)
        connection = duckdb.connect()
        connection.execute(f"SET VARIABLE radiosonde = '{sealed}'")
        connection.execute(duckdb_views.make(AssetOptions())[0].content)
        yield Both(engine, connection)


def arrived(engine: Any) -> float:
    """Return the calls of one model that ClickHouse has."""
    return sum(row["calls"] for row in engine.view("calls") if row["model"] == "risk")


@pytest.mark.parametrize("view", EQUAL, ids=lambda view: view.name)
def test_both_engines_give_the_same_answers(both, view):
    """Every row of an answer is in both, and every figure equal but for rounding."""
    collected, sealed = both.rows(view.name)
    assert collected, "nothing was answered"
    assert collected.keys() == sealed.keys()
    for key, row in collected.items():
        assert tuple(row) == view.columns
        wrong = {name: (value, sealed[key][name]) for name, value in row.items() if not equal(value, sealed[key][name])}
        assert not wrong, key


def test_the_planted_faults_are_on_top(both):
    """Each is named by the view that answers for it, with the version, cohort, phase or feature it was planted in."""
    view = both.clickhouse.view
    worst = max(view("cohorts"), key=lambda row: row["z"] or 0)
    assert (worst["version"], worst["dimension"], worst["value"]) == ("2", "carrier", "UA")
    (canary,) = (row for row in view("canary") if row["measure"] == "failures")
    assert (canary["variant"], canary["version"], canary["stable_ratio"]) == ("canary", "2", 0.0)
    assert canary["z"] > 5
    slow = max((row for row in view("tail") if row["phase"] != "total"), key=lambda row: row["tail_mean_s"])
    assert slow["phase"] == "fetch"
    drift = {(row["model"], row["version"], row["feature"]): row for row in view("drift")}
    assert drift["risk", "1", "speed"]["worst_cell"] == "null"
    assert drift["risk", "1", "country"]["worst_cell"] == "unseen"
    assert drift["risk", "1", "amount"]["location_cells"] > 3 * abs(drift["risk", "1", "age"]["location_cells"])


def test_two_intervals_add_up_to_one(both):
    """Whichever export they are parted at: a counter's increase is neither lost nor doubled there, nor at a restart."""
    times = [
        row["at"]
        for row in both.clickhouse.rows("SELECT DISTINCT toString(TimeUnix) AS at FROM otel_metrics_sum ORDER BY at")
    ]
    assert len(times) > 3
    whole = both.clickhouse.view("calls")
    for middle in times[:: max(1, len(times) // 8)]:
        parts = [*both.clickhouse.view("calls", t1=middle), *both.clickhouse.view("calls", t0=middle)]
        for figure in ("calls", "rows_in", "failed"):
            assert sum(row[figure] for row in parts) == sum(row[figure] for row in whole), (middle, figure)
    buckets = sum(row["calls"] for row in both.clickhouse.view("durations"))
    for middle in times[:: max(1, len(times) // 8)]:
        parts = [*both.clickhouse.view("durations", t1=middle), *both.clickhouse.view("durations", t0=middle)]
        assert sum(row["calls"] for row in parts) == buckets == sum(row["calls"] for row in whole)


def equal(first: Any, second: Any) -> bool:
    """Return whether two figures are equal except for rounding; NULL is equal to itself."""
    if isinstance(first, str) or first is None or second is None:
        return first == second
    return math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)
