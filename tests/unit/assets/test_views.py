"""The views over sealed Parquet answer what numpy and scipy compute from the rows that went in, and those over a store the same."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from radiosonde.assets import AssetOptions
from radiosonde.assets.names import UnknownNameError
from radiosonde.assets.views import clickhouse as clickhouse_views
from radiosonde.assets.views import duckdb as duckdb_views
from radiosonde.assets.views.answers import ANSWERS
from radiosonde.assets.views.counts import COLUMNS
from radiosonde.assets.views.duckdb_files import DOCUMENTS
from radiosonde.export.series_blocks import TOTAL_LE
from radiosonde.reference import Reference
from radiosonde.sketches import KllSketch
from radiosonde.store import StoreWriter
from radiosonde.store.columns import WINDOWS
from radiosonde.store.seal import seal
from radiosonde.testing import fly
from tests.factories import make_features, make_reference, make_window

TYPES = {"INTEGER": "BIGINT", "TEXT": "VARCHAR", "BLOB": "BLOB"}
"""What the extension makes of the types that SQLite's columns are declared with."""
ROWS = 2_000
START_S = 1_700_000_000
RNG = np.random.default_rng(5)
TRAINED = {"wind": RNG.gamma(2.0, 3.0, 5_000), "carrier": RNG.choice(["UA", "AA", "DL"], 5_000, p=[0.6, 0.3, 0.1])}
SERVED: dict[str, list[Any]] = {
    "wind": [None if missing else value for value, missing in zip(RNG.gamma(2.0, 3.5, ROWS).tolist(), RNG.random(ROWS) < 0.02, strict=True)],
    "carrier": RNG.choice(["UA", "AA", "DL", "B6"], ROWS, p=[0.5, 0.3, 0.1, 0.1]).tolist(),
}  # fmt: skip
CONFIDENCE = RNG.uniform(0.5, 1.0, ROWS)
IS_RIGHT = RNG.random(ROWS) < 0.8
FAILS = RNG.random(ROWS) < 0.05
by_version = np.where(np.arange(ROWS) % 4 == 0, "2", "1")
homes = RNG.choice(["DE", "F,R=%"], ROWS)


class DownError(RuntimeError):
    """The model is down."""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views, over the calls above, one a second."""
    folder = tmp_path_factory.mktemp("views")
    reference = Reference.fit(TRAINED, model="delays")
    with fly(store=folder / "store.sqlite", cohorts={"country": ["*"]}) as rs:

        def release(version, variant):
            @rs.observe("delays", version=version, variant=variant, reference=reference, classes=["late", "on time"])
            def predict(features, confidence, fails):
                if fails:
                    raise DownError
                return [[confidence, 1 - confidence]]

            return predict

        releases = {"1": release("1", "stable"), "2": release("2", "canary")}
        for index in range(ROWS):
            row = {name: column[index] for name, column in SERVED.items()}
            with rs.at(START_S + index), rs.cohort(country=homes[index]):
                try:
                    releases[by_version[index]](row, float(CONFIDENCE[index]), bool(FAILS[index]))
                except DownError:
                    continue
            label = "late" if IS_RIGHT[index] else "on time"
            rs.label(rs.current().id, label, time=START_S + index + (100 if index % 2 else 100_000))
    shutil.copy(folder / "store.sqlite", folder / "unsealed.sqlite")
    seal(folder / "store.sqlite", folder / "sealed", grace_hours=None)
    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE radiosonde = '{folder / 'sealed'}'")
    connection.execute(duckdb_views.make(AssetOptions())[0].content)
    connection.execute(f"SET VARIABLE unsealed = '{folder / 'unsealed.sqlite'}'")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def stored(sealed) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views over the store itself."""
    (path,) = sealed.execute("SELECT getvariable('unsealed')").fetchone()
    with duckdb.connect() as connection:
        attach(connection, path)
        connection.execute(duckdb_views.make(AssetOptions())[1].content)
        yield connection


def attach(connection, path) -> None:
    """Attach the tables of a store as DuckDB's extension for SQLite shows them; the extension is not in a wheel."""
    connection.execute("ATTACH ':memory:' AS store")
    with closing(sqlite3.connect(path)) as store:
        for table in ("windows", "features", "sketches", "reference_profiles"):
            columns = store.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
            spelled = ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in columns)
            connection.execute(f"CREATE TABLE store.{table} ({spelled})")
            rows = store.execute(f"SELECT * FROM {table}").fetchall()
            if rows:
                connection.executemany(f"INSERT INTO store.{table} VALUES ({', '.join('?' * len(columns))})", rows)


def answers(connection, view, start_s=0, end_s=2**32) -> list[dict[str, Any]]:
    """Return the rows of a view."""
    found = connection.execute(f"FROM radiosonde_{view}(to_timestamp({start_s}), to_timestamp({end_s}))")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def served(column, version) -> list[Any]:
    """Return the values that the calls of a version saw, those that raised included."""
    return [value for value, by in zip(SERVED[column], by_version, strict=True) if by == version]


def sketch_of(values) -> bytes:
    """Return a sketch of *values*, serialized."""
    sketch = KllSketch()
    sketch.update(values)
    return sketch.to_bytes()


@pytest.mark.parametrize("place", ["sealed", "stored"])
def test_each_view_returns_the_columns_it_declares(place, request):
    """In the order declared, for every question and every relation that they read."""
    connection = request.getfixturevalue(place)
    declared = {view.name: view.columns for view in (*duckdb_views.COUNTS, *ANSWERS)}
    found = {
        name: tuple(column[0] for column in connection.execute(f"FROM radiosonde_{name}(now(), now())").description)
        for name in declared
    }
    assert found == declared


@pytest.mark.parametrize("view", [*duckdb_views.COUNTS, *ANSWERS], ids=lambda view: view.name)
def test_a_store_answers_as_its_sealed_hours_do(sealed, stored, view):
    """Every row of every view, whichever of the two holds the windows."""

    def rows(connection):
        return sorted(
            (tuple(format(each, ".9g") if isinstance(each, float) else str(each) for each in row.values()))
            for row in answers(connection, view.name)
        )

    assert rows(stored) == rows(sealed)


def test_the_types_of_documents_in_a_store_are_those_in_parquet():
    """Of every field that a view reads; one that is renamed breaks here."""
    for column, kind in DOCUMENTS.items():
        with duckdb.connect() as connection:
            connection.register("parquet", pa.table({column: pa.array([], WINDOWS.field(column).type)}))
            (theirs,) = connection.execute(f"SELECT typeof(NULL::{kind})").fetchone()
            (ours,) = connection.execute("SELECT any_value(column_type) FROM (DESCRIBE parquet)").fetchone()
        assert parts(theirs) <= parts(ours), column


def parts(kind) -> set[str]:
    """Return the fields of a type of DuckDB with the types of those that have no fields."""
    return set(re.findall(r'("?\w+"? (?:VARCHAR|BIGINT|DOUBLE|BLOB|MAP\([^()]*\))(?:\[\])*)', kind)) or {kind}


@pytest.mark.parametrize("sizes", [(0,), (1,), (2, 1), (150,), (50, 0, 90, 60), (5_000,), (20_000, 300, 1)], ids=str)
def test_quantiles_are_those_of_the_values_in_sketches(tmp_path, sizes):
    """Of several windows and processes; exact for few values, and within the error of the sketch for many. No sketch has all weight or none."""
    rng = np.random.default_rng(3)
    values = [rng.normal(0, 10.0 ** rng.integers(-200, 200), size) for size in sizes]
    features = [
        make_features(make_reference(), {}, {("wind", "kll_double"): sketch_of(each)}, sketched_rows=len(each))
        for each in values
    ]
    writer = StoreWriter(tmp_path / "store.sqlite", process="one")
    writer.write([make_window(features=each) for each in features])
    writer.close()
    with duckdb.connect() as connection:
        attach(connection, tmp_path / "store.sqlite")
        connection.execute(duckdb_views.make(AssetOptions())[1].content)
        items, found = answers(connection, "sketch_items"), answers(connection, "quantiles")
    everything = np.sort(np.concatenate(values))
    assert sum(item["weight"] for item in items) == len(everything)
    assert {item["value"] for item in items} <= set(everything.tolist())
    if not len(everything):
        assert found == []
        return
    (row,) = found
    assert (row["feature"], row["sketched"]) == ("wind", len(everything))
    for share in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        value = row[f"p{round(100 * share):02d}"]
        rank = np.searchsorted(everything, value, side="right") / len(everything)
        slack = 0.05 if len(everything) > 200 else 1 / len(everything)
        assert share - slack <= rank <= share + slack, (share, rank)


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"?" * 30, sketch_of(np.arange(9.0))[:21]], ids=["none", "short", "foreign", "cut"]
)
def test_a_damaged_sketch_spoils_no_other(tmp_path, body):
    """Its values are missing or wrong; those of the others are there."""
    held = {("wind", "kll_double"): body, ("gust", "kll_double"): sketch_of(np.array([1.0, 2.0, 3.0]))}
    writer = StoreWriter(tmp_path / "store.sqlite", process="one")
    writer.write([make_window(features=make_features(make_reference(), {}, held, sketched_rows=3))])
    writer.close()
    with duckdb.connect() as connection:
        attach(connection, tmp_path / "store.sqlite")
        connection.execute(duckdb_views.make(AssetOptions())[1].content)
        (found,) = (row for row in answers(connection, "quantiles") if row["feature"] == "gust")
    assert (found["sketched"], found["p50"]) == (3, 2.0)


@pytest.mark.parametrize("engine", [duckdb_views, clickhouse_views], ids=["duckdb", "clickhouse"])
def test_each_engine_provides_every_relation_that_answers_read(engine):
    """With the same columns, and before it is read."""
    assert {view.name: view.columns for view in engine.COUNTS} == {
        name: columns for name, (_, columns) in COLUMNS.items()
    }
    text = engine.make(AssetOptions())[0].content
    made = {"unsigned", "double_of"}  # of DuckDB, and not views
    for statement in text.split(";\n"):
        body = re.sub(r"^--.*$", "", statement, flags=re.MULTILINE)
        name = re.search(r"CREATE OR REPLACE (?:VIEW|MACRO) radiosonde_(\w+)", body)
        read = set(re.findall(r"radiosonde_(\w+)", body)) - {name[1] if name else ""}
        assert read <= made, body
        made.add(name[1] if name else "")


def test_the_bounds_of_the_tail_are_those_that_are_exported():
    """So that both engines split the tail at the same bound."""
    bounds = duckdb_views._BOUNDS.replace("'inf'::DOUBLE", "inf").split(", ")
    assert list(map(float, bounds)) == [float(bound.replace("+Inf", "inf")) for bound in TOTAL_LE]


def test_a_metric_that_is_renamed_breaks_the_views():
    """Names come from the registry, attributes as well."""
    with pytest.raises(UnknownNameError, match=r"radiosonde\.prediction\.cals"):
        clickhouse_views._columns(["radiosonde.prediction.cals"], ["radiosonde.model.name"])
    with pytest.raises(UnknownNameError, match=r"radiosonde\.feature\.name"):
        clickhouse_views._columns(["radiosonde.prediction.calls"], ["radiosonde.feature.name"])


@pytest.mark.parametrize("version", ["1", "2"])
def test_distances_of_a_number_are_those_of_numpy_and_scipy(sealed, version):
    """PSI over all cells; KS, W1 and location over the cells of rows with a value; JS as scipy computes it."""
    (row,) = (r for r in answers(sealed, "drift") if (r["version"], r["feature"]) == (version, "wind"))
    profile = Reference.fit(TRAINED, model="delays").features[0]
    values = np.array([value for value in served("wind", version) if value is not None])
    body = np.bincount(
        np.searchsorted(profile.bounds, values[(values >= profile.low) & (values <= profile.bounds[-1])]),
        minlength=profile.body,
    )
    below, above = (values < profile.low).sum(), (values > profile.bounds[-1]).sum()
    total = len(served("wind", version))
    counts = np.array([*body, below, above, total - len(values), 0])
    p, q = (counts + 0.5) / (total + 0.5 * len(counts)), np.array(profile.p0)
    assert row["rows"] == total
    psi = float(((p - q) * np.log(p / q)).sum())
    noise = 1 / total + 1 / 5_000
    assert row["psi"] == pytest.approx(psi, rel=1e-9)
    assert row["psi_corrected"] == pytest.approx(max(psi - (len(counts) - 1) * noise, 0), rel=1e-9)
    assert row["psi_z"] == pytest.approx((psi / noise - (len(counts) - 1)) / math.sqrt(2 * (len(counts) - 1)), rel=1e-9)
    assert row["tvd"] == pytest.approx(np.abs(p - q).sum() / 2, rel=1e-9)
    assert row["js_bits"] == pytest.approx(jensenshannon(p, q, base=2) ** 2, rel=1e-9)
    order = [len(body), *range(len(body)), len(body) + 1]
    p_valued, q_valued = p[order] / p[order].sum(), q[order] / q[order].sum()
    ranks = np.arange(len(order))
    assert row["ks"] == pytest.approx(np.abs(np.cumsum(p_valued - q_valued)).max(), rel=1e-9)
    assert row["w1_cells"] == pytest.approx(wasserstein_distance(ranks, ranks, p_valued, q_valued), rel=1e-9)
    assert row["location_cells"] == pytest.approx(float((ranks * (p_valued - q_valued)).sum()), rel=1e-9)
    assert row["null_ratio"] == pytest.approx((total - len(values)) / total)
    assert row["outside_ratio"] == pytest.approx((below + above) / total)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_category_that_is_new_is_unseen_and_the_worst_cell(sealed, version):
    """A category has no order, hence no KS."""
    (row,) = (r for r in answers(sealed, "drift") if (r["version"], r["feature"]) == (version, "carrier"))
    assert row["unseen_ratio"] == pytest.approx(
        served("carrier", version).count("B6") / len(served("carrier", version))
    )
    assert (row["worst_cell"], row["ks"], row["w1_cells"], row["location_cells"]) == ("unseen", None, None, None)


def test_failures_are_counted_by_series_and_by_dimension(sealed):
    """Names are percent-decoded; the others are the other calls of the version."""
    rows = {(r["version"], r["value"]): r for r in answers(sealed, "cohorts")}
    assert {dimension["dimension"] for dimension in rows.values()} == {"country"}
    for (version, country), row in rows.items():
        here, others = (by_version == version) & (homes == country), (by_version == version) & (homes != country)
        assert (row["calls"], row["failures"]) == (here.sum(), FAILS[here].sum())
        assert row["other_failure_ratio"] == pytest.approx(FAILS[others].mean())
        pooled = FAILS[by_version == version].mean()
        spread = math.sqrt(pooled * (1 - pooled) * (1 / here.sum() + 1 / others.sum()))
        assert row["z"] == pytest.approx((FAILS[here].mean() - FAILS[others].mean()) / spread)
    assert {key[1] for key in rows} == {"DE", "F,R=%"}
    (errors,) = (r for r in answers(sealed, "errors") if (r["version"], r["cohort"]) == ("2", "country=DE"))
    assert errors["error_type"].endswith("DownError")
    assert errors["failures"] == FAILS[(by_version == "2") & (homes == "DE")].sum()


def test_quality_and_calibration_are_by_lag_and_release(sealed):
    """Labels within a day stand apart from later ones; the canary is compared at equal lag."""
    labelled = ~FAILS
    quick = np.arange(ROWS) % 2 == 1
    measured = {r["measure"]: r for r in answers(sealed, "canary")}
    assert measured["failures"]["ratio"] == pytest.approx(FAILS[by_version == "2"].mean())
    assert measured["failures"]["stable_ratio"] == pytest.approx(FAILS[by_version == "1"].mean())
    # Every second call is labelled at once, and every fourth is the canary's: all of its labels come late.
    assert set(measured) == {"failures", "wrong within 7d"}
    late = labelled & ~quick
    assert measured["wrong within 7d"]["difference"] == pytest.approx(
        (~IS_RIGHT[late & (by_version == "2")]).mean() - (~IS_RIGHT[late & (by_version == "1")]).mean()
    )
    rows = {r["version"]: r for r in answers(sealed, "calibration")}
    for version, row in rows.items():
        here = labelled & (by_version == version)
        bins = np.minimum((CONFIDENCE[here] * 20).astype(int), 19)
        gaps = [abs(IS_RIGHT[here][bins == b].sum() - CONFIDENCE[here][bins == b].sum()) for b in range(20)]
        assert row["labelled"] == here.sum()
        assert row["ece"] == pytest.approx(sum(gaps) / here.sum(), rel=1e-4)  # confidences are kept as 32-bit floats
        assert row["overconfidence"] == pytest.approx(
            CONFIDENCE[here].mean() - IS_RIGHT[here].mean(), rel=1e-3, abs=1e-6
        )


def test_an_interval_holds_its_windows_and_two_add_up(sealed):
    """From t0 on and before t1."""
    middle = START_S + ROWS // 2
    middle -= middle % 60
    first, second, whole = (
        sum(r["calls"] for r in answers(sealed, "failures", *bounds))
        for bounds in ((0, middle), (middle, 2**32), (0, 2**32))
    )
    assert (first, first + second, whole) == (middle - START_S, ROWS, ROWS)


def test_the_tail_is_split_over_its_phases(tmp_path):
    """Of a hundred calls, three are slow in one phase: the tail is those three, and almost all of their time is there."""
    with fly(store=tmp_path / "store.sqlite") as rs:
        for index in range(100):
            slow = index in (10, 20, 30)
            rs.record("delays", 0.9 if slow else 0.012, phases={"fetch": 0.85 if slow else 0.002, "score": 0.01})
    seal(tmp_path / "store.sqlite", tmp_path / "sealed", grace_hours=None)
    with duckdb.connect() as connection:
        connection.execute(f"SET VARIABLE radiosonde = '{tmp_path / 'sealed'}'")
        connection.execute(duckdb_views.make(AssetOptions())[0].content)
        rows = {row["phase"]: row for row in answers(connection, "tail")}
        (latency,) = answers(connection, "latency")
    assert {row["bound_s"] for row in rows.values()} == {0.5}
    assert {row["tail_calls"] for row in rows.values()} == {3}
    assert rows["fetch"]["tail_mean_s"] == pytest.approx(0.85, rel=1e-3)
    assert rows["score"]["tail_mean_s"] == pytest.approx(0.01, rel=1e-3)
    assert rows["total"]["tail_mean_s"] == pytest.approx(0.9, rel=1e-3)
    assert latency["calls"] == 100
    assert latency["p50_s"] < 0.025
    assert 0.75 < latency["p99_s"] <= 1.0
