"""`radiosonde compare`: served windows against the tables of a producer, and tables against each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import radiosonde as rs
from radiosonde.cli import main
from radiosonde.store.seal import seal
from radiosonde.testing import fly

START_S = 1_793_491_200  # 2026-11-01T00:00:00Z
HOURS, ROWS = 4, 30


def made() -> dict[str, np.ndarray]:
    """Return what the producer made: four hours of rows in two countries."""
    rng = np.random.default_rng(5)
    count = HOURS * 2 * ROWS
    return {
        "time": START_S + np.repeat(np.arange(HOURS), 2 * ROWS) * 3600.0 + rng.integers(0, 3599, count),
        "country": np.tile(np.repeat(["DE", "FR"], ROWS), HOURS).astype(object),
        "income": rng.normal(size=count),
        "rent": rng.normal(size=count),
        "plan": rng.choice(["7", "pro", "größe"], count).astype(object),
    }


FEATURES = ("income", "rent", "plan")


def written(path: Path, table: dict[str, np.ndarray]) -> Path:
    """Write a table."""
    pq.write_table(pa.table({name: pa.array(values.tolist()) for name, values in table.items()}), path)
    return path


def chosen(table: dict[str, np.ndarray], hour: int, country: str) -> np.ndarray:
    """Return the places of the rows of an hour and a country."""
    hours = (table["time"] - START_S) // 3600
    return np.flatnonzero((hours == hour) & (table["country"] == country))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Return the store of a server that was given the rows of the producer."""
    path = tmp_path_factory.mktemp("served") / "store.sqlite"
    table = made()
    reference = rs.Reference.fit({name: table[name] for name in FEATURES}, model="loans")
    tiers = (30_000.0, 33_000.0, 36_000.0)  # whatever the date is, no windows are merged
    with fly(store=path, window_s=3600, store_tiers=tiers, cohorts={"country": ["DE", "FR"]}) as flight:
        predict = flight.observe("loans", reference=reference)(lambda row: 1)
        for place in range(len(table["time"])):
            with flight.at(float(table["time"][place])), flight.cohort(country=table["country"][place]):
                predict({name: table[name][place] for name in FEATURES})
    return path


BY = ["--time", "time", "--by", "country"]


def compared(capsys, a: Path, b: Path, *more: str) -> tuple[int, dict]:
    """Return the exit code and the JSON of a comparison."""
    code = main(["compare", str(a), str(b), *more, "--json"])
    return code, json.loads(capsys.readouterr().out)


def spoil_scaled(table):
    """Scale income in one cohort and hour."""
    table["income"][chosen(table, 2, "DE")] *= 1.01


def spoil_stuck(table):
    """Repeat one value."""
    table["rent"][chosen(table, 1, "FR")] = 3.0


def spoil_merged(table):
    """Merge two categories."""
    places = chosen(table, 0, "FR")
    table["plan"][places] = np.where(table["plan"][places] == "pro", "7", table["plan"][places])


def spoil_one_cell(table):
    """Change one value by one bit."""
    place = chosen(table, 3, "DE")[0]
    table["rent"][place] = np.nextafter(table["rent"][place], 9)


def spoil_join(table):
    """Exchange two rows' values of one feature."""
    first, second = chosen(table, 2, "FR")[:2]
    table["income"][[first, second]] = table["income"][[second, first]]


def spoil_exchanged(table):
    """Exchange two columns."""
    places = chosen(table, 1, "DE")
    table["income"][places], table["rent"][places] = table["rent"][places].copy(), table["income"][places].copy()


SPOILED = {
    "scaled": (spoil_scaled, (2, "DE"), ["income"], False),
    "stuck": (spoil_stuck, (1, "FR"), ["rent"], False),
    "merged": (spoil_merged, (0, "FR"), ["plan"], False),
    "one bit": (spoil_one_cell, (3, "DE"), ["rent"], False),
    "wrong join": (spoil_join, (2, "FR"), [], True),
    "exchanged": (spoil_exchanged, (1, "DE"), ["income", "rent"], False),
}


def test_served_windows_equal_the_table_of_the_producer(store, tmp_path, capsys):
    """Store and sealed hours agree with the table and with a file of its fingerprints, by window and cohort."""
    table = written(tmp_path / "features.parquet", made())
    prints = tmp_path / "fp.parquet"
    keys = ["--time", "time", "--window", "3600", "--by", "country", "--features", ",".join(FEATURES)]
    assert main(["fingerprint", str(table), *keys, "--out", str(prints)]) == 0
    copy = tmp_path / "store.sqlite"
    copy.write_bytes(store.read_bytes())
    seal(copy, tmp_path / "sealed", everything=True)
    capsys.readouterr()
    for side in (store, tmp_path / "sealed"):
        for other in (table, prints):
            code, found = compared(capsys, side, other, *BY)
            assert (code, found["verdict"], found["counts"]["equal"]) == (0, "equal", HOURS * 2)
            assert found["compares_rows"]
    code, found = compared(capsys, prints, table, *BY, "--window", "7200")
    assert (code, found["counts"]["equal"]) == (0, HOURS)
    code, found = compared(capsys, store, table)  # without times or cohorts: all rows together
    assert (code, found["counts"]["equal"], found["by"]) == (0, 1, [])


@pytest.mark.parametrize("kind", SPOILED)
def test_a_corruption_is_found_with_its_hour_cohort_and_feature(kind, store, tmp_path, capsys):
    """Only the group that was spoiled differs, in the feature that was spoiled or in its rows alone."""
    spoil, (hour, country), features, is_rejoined = SPOILED[kind]
    table = made()
    spoil(table)
    code, found = compared(capsys, store, written(tmp_path / "features.parquet", table), *BY)
    start_ns = (START_S + hour * 3600) * 10**9
    assert code == 1
    assert [(group["key"], group["verdict"], group["features"], group["is_rejoined"]) for group in found["groups"]] == [
        ([start_ns, country], "different", features, is_rejoined)
    ]
    assert found["exchanged"] == ([["income", "rent"]] if kind == "exchanged" else [])


def test_dropped_doubled_and_missing_rows_are_found(store, tmp_path, capsys):
    """A row that is missing, one that is there twice, and a cohort that is not there at all are named."""
    table = made()
    keep = np.ones(len(table["time"]), dtype=int)
    keep[chosen(table, 0, "DE")[0]] = 0
    keep[chosen(table, 1, "DE")[0]] = 2
    keep[chosen(table, 2, "FR")] = 0
    spoiled = {name: np.repeat(values, keep) for name, values in table.items()}
    code, found = compared(capsys, store, written(tmp_path / "features.parquet", spoiled), *BY)
    assert code == 1
    assert [(group["key"][1], group["verdict"], group["rows_a"], group["rows_b"]) for group in found["groups"]] == [
        ("DE", "different", ROWS, ROWS - 1),
        ("DE", "different", ROWS, ROWS + 1),
        ("FR", "only in A", ROWS, 0),
    ]


def test_bounds_of_time_leave_the_rest_out(store, tmp_path, capsys):
    """Only windows that start within the bounds are compared."""
    table = made()
    spoil_stuck(table)
    path = written(tmp_path / "features.parquet", table)
    assert compared(capsys, store, path, *BY, "--since", "2026-11-01T02:00")[0] == 0
    code, found = compared(capsys, store, path, *BY, "--until", "2026-11-01T02:00", "--since", "2026-11-01T01:00")
    assert (code, found["counts"]["equal"], found["counts"]["different"]) == (1, 1, 1)


def test_rows_that_were_not_hashed_are_not_comparable(tmp_path, capsys):
    """Windows of which only a part of the rows was hashed are neither equal nor different: exit code 3, and the reason."""
    path = tmp_path / "store.sqlite"
    rows = [{"wind": float(number)} for number in range(50)]
    reference = rs.Reference.fit({"wind": [row["wind"] for row in rows]}, model="delays")
    with fly(store=path, reraise=False) as flight:
        predict = flight.observe("delays", reference=reference)(lambda row: 1)
        for row in [*rows, {"storm": 1}]:  # a row whose features are unreadable
            predict(row)
    table = written(tmp_path / "features.parquet", {"wind": np.arange(51.0)})
    assert main(["compare", str(path), str(table)]) == 3
    assert "the fingerprints of A cover 50 of 51 rows" in " ".join(capsys.readouterr().out.split())


def test_the_text_names_what_differs_since_when_and_where(store, tmp_path, capsys):
    """At most 80 columns, with feature, hours and cohort in one sentence."""
    table = made()
    spoil_scaled(table)
    spoil_join(table)
    assert main(["compare", str(store), str(written(tmp_path / "f.parquet", table)), *BY]) == 1
    text = capsys.readouterr().out
    said = " ".join(text.split())
    assert "3 features compared: income, rent, plan" in said
    assert "different: 8 groups by window, country: 6 equal, 2 different" in said
    assert "income differs in 1 of 8 groups: 2026-11-01 02:00:00 to 2026-11-01 03:00:00 UTC, country=DE" in said
    assert "rows differ in 1 of 8 groups where no feature does" in said
    assert "country=FR: values are joined to other rows" in said
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith(("A: ", "B: ")))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["STORE", "missing.parquet"], "cannot read missing.parquet as a table"),
        (["missing.sqlite", "TABLE"], "missing.sqlite"),
        (["STORE", "TABLE", "--since", "2026-11-01"], "has no times to select by; name its column with --time"),
        (["STORE", "TABLE", "--time", "time", "--window", "60"], "windows of STORE last 3600 seconds"),
        (["STORE", "TABLE", "--features", "age"], "has no feature age; it has: income, rent, plan"),
        (["STORE", "OTHER"], "have no feature in common"),
        (["STORE", "TABLE", "--by", "planet"], "has no column 'planet'"),
        (["STORE", "TABLE", "--window", "-1"], "windows of -1.0 seconds are not possible"),
        (["STORE", "TABLE", "--since", "2026-11-02", "--until", "2026-11-01"], "--since must be before --until"),
    ],
    ids=["no table", "no store", "no times", "short windows", "no feature", "nothing common", "no column", "negative", "bounds"],
)  # fmt: skip
def test_what_cannot_be_compared_is_reported(arguments, says, store, tmp_path, capsys):
    """The exit code is 2, and one sentence says what is wrong."""
    paths = {
        "STORE": str(store),
        "TABLE": str(written(tmp_path / "features.parquet", made())),
        "OTHER": str(written(tmp_path / "other.parquet", {"x": np.arange(3)})),
    }
    assert main(["compare", *(paths.get(each, each) for each in arguments)]) == 2
    assert says.replace("STORE", str(store)) in capsys.readouterr().err
