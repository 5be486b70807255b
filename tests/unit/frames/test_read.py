"""`radiosonde.read`: the windows of a store as frames of three libraries, with the same numbers in each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from importlib import util

import pyarrow as pa
import pytest

import radiosonde as rs
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.store import StoreWriter
from radiosonde.testing import fly
from tests.factories import HOUR_NS, START_NS, make_feature, make_output, make_reference
from tests.unit.store.strategies import make_part

DAY = datetime(2024, 3, 1, tzinfo=UTC)
LIBRARIES = ("pandas", "polars", "arrow")


def lines(frame, *columns):
    """Return *columns* of a frame of any library as a list of tuples."""
    if isinstance(frame, pa.Table):
        held = [frame.column(name).to_pylist() for name in columns]
    elif hasattr(frame, "rows"):
        held = [frame[name].to_list() for name in columns]
    else:
        held = [frame[name].tolist() for name in columns]
    return list(zip(*held, strict=True))


@pytest.fixture
def store(tmp_path):
    """Return a store of three hours: 4 calls each, one of which fails in the second; labels, phases, two versions."""
    path = tmp_path / "s.sqlite"
    reference = rs.Reference.fit({"x": [0.0, 1.0, 2.0, 3.0], "g": ["a", "a", "b", "b"]}, model="m")
    with fly(store=path, window_s=3600) as flight:

        def predict(row, *, fails=False):
            with flight.stage("fetch"):
                pass
            if fails:
                raise ValueError("no x")
            return "late" if row["x"] > 1 else "ok"

        first, second = (
            flight.observe("m", version=version, reference=reference, input=lambda row, **_: row)(predict)
            for version in ("1", "2")
        )
        for hour in range(3):
            with flight.at(DAY + timedelta(hours=hour)):
                for x in (0.5, 2.5, 2.5):
                    first({"x": x, "g": "a"})
                    if hour == 0:
                        flight.label(flight.current().id, "late", time=DAY + timedelta(hours=2))
                if hour == 1:
                    with pytest.raises(ValueError, match="no x"):
                        first({"x": None, "g": "a"}, fails=True)
                else:
                    second({"x": 0.5, "g": "new"})
        flight.flush()
    return path


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_frame_holds_the_counts_that_were_made(store, library):
    """Calls, failures, phases, cells, answers, outcomes and labels are those of the server, in each library."""
    frames = rs.read(store, library=library)
    assert lines(frames.traffic, "version", "calls", "rows", "failed") == [
        ("1", 3, 3, 0),
        ("2", 1, 1, 0),
        ("1", 4, 3, 1),
        ("1", 3, 3, 0),
        ("2", 1, 1, 0),
    ]
    assert lines(frames.errors, "version", "type", "calls") == [("1", "ValueError", 1)]
    assert [calls for (calls,) in lines(frames.latency, "calls")] == [3, 1, 4, 3, 1]
    assert all(0 <= p50 <= p99 for p50, p99 in lines(frames.latency, "p50_s", "p99_s"))
    assert {phase for (phase,) in lines(frames.phases, "phase")} == {"fetch", ""}
    cells = lines(frames.features, "version", "feature", "cell", "values", "rows", "reference")
    assert ("1", "g", "c00", "a", 3, pytest.approx(2.5 / 6)) in cells
    assert [row[:5] for row in cells if row[2] == "unseen"] == [("2", "g", "unseen", "", 1)] * 2
    assert [row[:5] for row in cells if row[2] == "null"] == [("1", "x", "null", "", 1)]
    answers = lines(frames.answers, "version", "class", "rows")
    assert sum(rows for _, name, rows in answers if name == "late") == 6
    assert sum(rows for _, name, rows in answers if name == "ok") == 5
    assert sorted(lines(frames.outcomes, "result", "lag", "rows")) == [("correct", "1d", 2), ("incorrect", "1d", 1)]
    assert lines(frames.labels, "label", "rows") == [("late", 3)]
    (start,) = lines(frames.traffic, "start")[0]
    assert start == DAY
    assert start.utcoffset() == timedelta(0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_without_rows_have_their_columns_and_types(store, library):
    """An interval without windows gives empty frames of the same columns and types, so that code for them goes on working."""
    full, empty = rs.read(store, library=library), rs.read(store, library=library, until="2020-01-01")
    for name in ("traffic", "errors", "latency", "phases", "features", "answers", "outcomes", "labels"):
        some, none = getattr(full, name), getattr(empty, name)
        assert len(none) == 0
        if library == "pandas":
            assert none.dtypes.to_dict() == some.dtypes.to_dict()
        else:
            assert none.schema == some.schema


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2024-03-01T01:00", None, [1, 2]),
        (None, "2024-03-01T02:00Z", [0, 1]),
        (DAY + timedelta(hours=1), DAY + timedelta(hours=2), [1]),
        (datetime(2024, 3, 1, 2, tzinfo=timezone(timedelta(hours=1))), None, [1, 2]),
        (datetime(2024, 3, 1, 1), None, [1, 2]),  # noqa: DTZ001  # without a zone it is UTC
        (date(2024, 3, 1), date(2024, 3, 2), [0, 1, 2]),
        ("2024-03-01T00:30", "2024-03-01T02:30", [1]),
    ],
    ids=["since", "until", "both", "zone", "naive", "dates", "inside windows"],
)
def test_bounds_take_whole_windows(store, since, until, hours):
    """Windows that lie within the bounds are read; those that only overlap them are not."""
    starts = {start.hour for (start,) in lines(rs.read(store, since=since, until=until).traffic, "start")}
    assert sorted(starts) == hours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"since": "2024-03-02", "until": "2024-03-01"}, "since must be before until; swap them"),
        ({"since": "yesterday"}, "since='yesterday' is not a time; pass a datetime, or text such as"),
        ({"until": 5}, "until=5 is not a time"),
        ({"since": "0001-01-01"}, "outside the supported years"),
        ({"library": "numpy"}, "'numpy' is not a library of frames; choose from pandas, polars, arrow"),
    ],
    ids=["swapped", "no time", "number", "year one", "library"],
)
def test_arguments_that_cannot_be_used(store, arguments, message):
    """The error names the argument and what to pass instead."""
    with pytest.raises(ConfigurationError, match=message):
        rs.read(store, **arguments)


@pytest.mark.parametrize(("library", "package"), [("pandas", "pandas"), ("polars", "polars"), ("arrow", "pyarrow")])
def test_a_library_that_is_not_installed(store, library, package, monkeypatch):
    """The error holds the command that installs it."""
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    with pytest.raises(ConfigurationError, match=f"pip install {package}"):
        rs.read(store, library=library)


def test_bad_stores(tmp_path):
    """A store that is missing or no store raises the error of every command; no store at all is refused."""
    with pytest.raises(StoreError):
        rs.read(tmp_path / "gone.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database, but a text of some length" * 200)
    with pytest.raises(StoreError):
        rs.read(str(tmp_path / "text.sqlite"))
    with pytest.raises(ConfigurationError, match="no store is named"):
        rs.read([])


def test_a_model_and_several_stores(tmp_path):
    """Parts of one window in two stores are one row; a model that is asked for excludes the others."""
    for number in range(2):
        part = make_part(5, start_ns=START_NS, end_ns=START_NS + HOUR_NS)
        other = make_part(7, key=part.key._replace(model="fares"), start_ns=START_NS, end_ns=START_NS + HOUR_NS)
        StoreWriter(tmp_path / f"{number}.sqlite", clock_ns=lambda: START_NS).write([part, other])
    assert lines(rs.read(tmp_path).traffic, "model", "rows") == [("delays", 10), ("fares", 14)]
    several = [tmp_path / "0.sqlite", str(tmp_path / "1.sqlite")]
    assert lines(rs.read(several, model="fares").traffic, "model", "rows") == [("fares", 14)]


def test_numbers_are_answered_in_bins(tmp_path):
    """The answers of a regression are counted by bin; without a stored reference, cells have no values and no share."""
    output = make_output(values=[0.5, 1.0, 9.0], value_edges=[0.0, 1.0])
    part = make_part(3, start_ns=START_NS, end_ns=START_NS + HOUR_NS, output=output)
    StoreWriter(tmp_path / "s.sqlite", clock_ns=lambda: START_NS).write([part], {("other", "1"): make_reference([make_feature("x", (1, 2, 3, 4, 5, 6))])})  # fmt: skip
    frames = rs.read(tmp_path / "s.sqlite")
    assert lines(frames.answers, "class", "rows") == [("(0, 1]", 2), ("(1, inf]", 1)]
    assert all(values == "" and share != share for values, share in lines(frames.features, "values", "reference"))  # noqa: PLR0124


def test_frames_describe_themselves(store):
    """The text is one line, and the HTML lists the frames."""
    frames = rs.read(store)
    assert repr(frames) == "<Frames (pandas): 5 windows of m, 2024-03-01 00:00 to 2024-03-01 03:00>"
    assert "<code>.features</code>" in frames._repr_html_()
    assert len(frames.windows) == 5
