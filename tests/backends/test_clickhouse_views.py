"""The views on ClickHouse's own engine over rows that are put there: their columns, sketches, and the hourly rollup."""

from __future__ import annotations

import re

import numpy as np
import pytest

from radiosonde._clock import wall_ns
from radiosonde.assets import AssetOptions
from radiosonde.assets.views import clickhouse as views
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.counts import COLUMNS
from radiosonde.sketches import KllSketch
from tests.backends._window_events import event_database

FILES = {asset.path: asset.content for asset in views.make(AssetOptions())}
ALWAYS = "t0 = '2000-01-01 00:00:00', t1 = '2100-01-01 00:00:00'"
HOUR_S = 3600
BEGAN_S = wall_ns() // 10**9 // HOUR_S * HOUR_S - 86_400  # the TTL removes what is old


@pytest.fixture(scope="module")
def database(clickhouse_engine, tmp_path_factory):
    """Return a database with the views, over empty tables."""
    for made in event_database(clickhouse_engine, tmp_path_factory.mktemp("views")):
        made.run_file(FILES["views.sql"])
        yield made


@pytest.fixture
def sketches(clickhouse_engine, tmp_path):
    """Return another one, for sketches."""
    for made in event_database(clickhouse_engine, tmp_path):
        made.run_file(FILES["views.sql"])
        yield made


def test_each_view_returns_the_columns_that_duckdb_has_too(database):
    """Every question and every relation, in the order declared, which the views for DuckDB are held to as well."""
    declared = {name: list(columns) for name, (_, columns) in COLUMNS.items()}
    declared |= {view.name: list(view.columns) for view in ANSWERS}
    assert {
        name: database.columns(f"SELECT * FROM radiosonde_{name}({ALWAYS}) LIMIT 0") for name in declared
    } == declared


@pytest.mark.parametrize("sizes", [(0,), (1,), (2, 1), (150,), (50, 0, 90, 60), (5_000,), (20_000, 300, 1)], ids=str)
def test_quantiles_are_those_of_the_values_in_sketches(sketches, sizes):
    """Exact for few values, and within the error of the sketch for many; events that come twice count once."""
    rng = np.random.default_rng(3)
    values = [rng.normal(0, 10.0 ** rng.integers(-200, 200), size) for size in sizes]
    made = []
    for each in values:
        made.append(KllSketch())
        made[-1].update(each)
    for _ in range(2):
        sketches.insert_sketches([each.to_bytes() for each in made])
    everything = np.sort(np.concatenate(values))
    items = sketches.rows(f"SELECT * FROM radiosonde_sketch_items({ALWAYS})")
    assert sum(int(item["weight"]) for item in items) == len(everything)
    assert {item["value"] for item in items} <= set(everything.tolist())
    found = sketches.rows(f"SELECT * FROM radiosonde_quantiles({ALWAYS})")
    assert [int(row["sketched"]) for row in found] == [len(everything)] * bool(len(everything))
    for share in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99) if found else ():
        rank = np.searchsorted(everything, found[0][f"p{round(100 * share):02d}"], side="right") / len(everything)
        slack = 0.05 if len(everything) > 200 else 1 / len(everything)
        assert share - slack <= rank <= share + slack, (share, rank)


def test_the_same_number_of_another_process_is_another_sketch(sketches):
    """Both count."""
    sketch = KllSketch()
    sketch.update(np.array([1.0, 2.0]))
    for process in ("one", "two"):
        sketches.insert_sketches([sketch.to_bytes()], process=process)
    (row,) = sketches.rows(f"SELECT * FROM radiosonde_quantiles({ALWAYS})")
    assert int(row["sketched"]) == 4


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"?" * 30, b"\x05\x01\x0f\x00" + b"\xff" * 30], ids=["none", "short", "foreign", "cut"]
)
def test_a_damaged_sketch_spoils_no_other(sketches, body):
    """The view answers."""
    sketch = KllSketch()
    sketch.update(np.array([1.0, 2.0, 3.0]))
    sketches.insert_sketches([sketch.to_bytes(), body])
    assert sketches.rows(
        f"SELECT count() AS n FROM radiosonde_sketch_items({ALWAYS}) WHERE value IN (1, 2, 3) AND weight = 1"
    )[0]["n"] in (3, "3")


def test_the_rollup_answers_for_whole_hours_what_the_exports_do(database, clickhouse_engine):
    """Over the restart of a replica, the end of another, and exports at odd times; it holds a row an hour and series, and a TTL."""
    exports = [(instance, start, at, value) for instance, start, times in LIVES for at, value in counted(times)]
    database.run_file(FILES["rollup.sql"].replace("radiosonde_hourly", f"{database.name}_hourly"))
    values = ", ".join(
        f"({{'service.instance.id': '{instance}'}}, 'radiosonde.prediction.calls', {{'radiosonde.model.name': 'm'}}, "
        f"fromUnixTimestamp({start}), fromUnixTimestamp({at}), {value}, 2, true)"
        for instance, start, at, value in exports
    )
    database.run_file(
        "INSERT INTO otel_metrics_sum (ResourceAttributes, MetricName, Attributes, StartTimeUnix, TimeUnix, Value, AggregationTemporality, "
        f"IsMonotonic) VALUES {values}"
    )
    hourly = f"{database.name}_hourly"
    try:
        for statement in re.sub("^--.*$", "", FILES["views.sql"], flags=re.MULTILINE).split(";"):
            if statement.strip():
                clickhouse_engine.run(statement, database=hourly)
        clickhouse_engine.run("OPTIMIZE TABLE otel_metrics_sum FINAL", database=hourly)
        (kept,) = database.rows(f"SELECT count() AS rows FROM {hourly}.otel_metrics_sum")
        hours = {(instance, start, at // HOUR_S) for instance, start, at, _ in exports}
        assert int(kept["rows"]) == len(hours) < len(exports)
        for first in range(6):
            for last in range(first + 1, 7):
                assert calls(database, first, last, hourly + ".") == calls(database, first, last) >= 0
        assert calls(database, 0, 6) == sum(value for _, _, times in LIVES for _, value in [list(counted(times))[-1]])
    finally:
        clickhouse_engine.run(f"DROP DATABASE {hourly}")


LIVES = [
    ("a", BEGAN_S + 100, range(BEGAN_S + 110, BEGAN_S + 4 * HOUR_S + 700, 97)),
    ("b", BEGAN_S + 50, range(BEGAN_S + 60, BEGAN_S + 2 * HOUR_S - 900, 211)),
    ("b", BEGAN_S + 2 * HOUR_S + 5, range(BEGAN_S + 2 * HOUR_S + 6, BEGAN_S + 6 * HOUR_S, 1009)),
]
"""Instance, start of its process, and times of its exports."""


def counted(times):
    """Yield the time and value of each export of a counter."""
    for place, at in enumerate(times):
        yield at, 10 * (place + 1) + place % 3


def calls(database, first, last, where=""):
    """Return the calls from one hour to another."""
    bounds = (f"fromUnixTimestamp({BEGAN_S + hour * HOUR_S})" for hour in (first, last))
    t0, t1 = (database.rows(f"SELECT toString(toTimeZone({bound}, 'UTC')) AS at")[0]["at"] for bound in bounds)
    (row,) = database.rows(f"SELECT sum(calls) AS n FROM {where}radiosonde_calls(t0 = '{t0}', t1 = '{t1}')")
    return float(row["n"])
