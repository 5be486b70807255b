"""``radiosonde label``: rows of a file become labels in a store, and those that cannot are named and counted."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radiosonde._join.receipt import Receipt, sign
from radiosonde._join.store import Label
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde._settings import Settings
from radiosonde.cli import label as command
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.model import SeriesKey
from tests.unit.join.recording import RecordingStore

NS = 10**9
KEYS = "k1=" + "5e" * 32
ID = "18a1b2c3d4e5f60718a1b2c3d4e5f607"


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Stop the clock, so that a label without a time has one that a test can name."""
    monkeypatch.setattr(command, "wall_ns", lambda: 1_800_000_000 * NS)


@pytest.fixture
def store():
    """Return a store that records its arguments."""
    return RecordingStore()


def load(path, store, *options, settings=Settings(labels="l.sqlite")):  # noqa: B008 - frozen
    """Run ``radiosonde label PATH ...`` on a store."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    opened = []

    def open_store(target):
        opened.append(target)
        return store

    try:
        return command.load(parser.parse_args(["label", str(path), *options]), open_store, settings)
    finally:
        assert store.is_closed == bool(opened)
        store.target = opened


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes a CSV file."""

    def write(text, *, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return write


def test_a_csv_file_is_received(csv, store, capsys):
    """Ids, labels as they are written and times, whatever the order and number of columns; a mark of byte order and blank lines are none."""
    path = csv(
        "\ufefftime,label,other,id\r\n2013-03-01T00:00Z,late,x,a\r\n\r\n1362096000.5,1,,b\r\n,0.5,,c\r\n,True,,d\r\n"
    )
    assert load(path, store) == 0
    assert store.labels == [
        Label("a", "late", 1_362_096_000 * NS),
        Label("b", "1", 1_362_096_000 * NS + NS // 2),
        Label("c", "0.5", 1_800_000_000 * NS + 2),
        Label("d", "True", 1_800_000_000 * NS + 3),
    ]
    assert capsys.readouterr().out == f"{path}: 4 labels received into l.sqlite\n"
    assert store.target == ["l.sqlite"]


def test_columns_are_named(csv, store):
    """Each option names its column; a label of numbers alone can be text."""
    path = csv('key,"what, truly",when,id\na,007,10,x\nb,1,20,y\n')
    options = ["--id-column", "key", "--label-column", "what, truly", "--time-column", "when", "--label-type", "text"]
    assert load(path, store, *options) == 0
    assert store.labels == [Label("a", "007", 10 * NS), Label("b", "1", 20 * NS)]


def test_labels_can_all_be_numbers(csv, store, capsys):
    """What is none is refused."""
    assert load(csv("id,label\na,007\nb,many\n"), store, "--label-type", "number") == 0
    assert store.labels == [Label("a", "007", 1_800_000_000 * NS)]
    assert "line 3: the label 'many' is not a number" in capsys.readouterr().out


def test_a_parquet_file_is_received(tmp_path, store):
    """Typed columns are taken as they are; a timestamp with a zone is an instant."""
    path = tmp_path / "labels.PARQUET"
    time = datetime(2013, 3, 1, tzinfo=UTC)
    for label, values in (
        ("late", ["late", "ok"]),
        ("number", [1.5, 2.5]),
        ("truth", [True, False]),
        ("count", [1, 0]),
    ):
        table = pa.table(
            {
                "prediction_id": pa.array(["a", "b"]).dictionary_encode(),
                label: values,
                "time": pa.array([time, time], pa.timestamp("ns", "UTC")),
            }
        )
        pq.write_table(table, path)
        assert load(path, store, "--label-column", label) == 0
        assert store.chunks[-1] == [
            Label(name, value, 1_362_096_000 * NS) for name, value in zip("ab", values, strict=True)
        ]
        store.is_closed = False


def test_decimals_naive_times_and_missing_fields_of_parquet(tmp_path, store, capsys):
    """A decimal is a number; a time without a zone is refused unless it is said to be UTC; a null is no label."""
    import decimal

    path = tmp_path / "labels.parquet"
    times = [datetime(2013, 3, 1)] * 3  # noqa: DTZ001
    labels = [decimal.Decimal("1.50"), None, decimal.Decimal("2.50")]
    pq.write_table(pa.table({"id": [7, 8, 9], "label": labels, "time": times}), path)
    with pytest.raises(ConfigurationError, match=r"none of the 3 rows .*; row 1: .*no time zone"):
        load(path, store)
    store.is_closed = False
    assert load(path, store, "--utc") == 0
    assert store.labels == [Label("7", "1.5", 1_362_096_000 * NS), Label("9", "2.5", 1_362_096_000 * NS)]
    assert "first row 2: None is not a label" in capsys.readouterr().out


def test_bad_rows_are_counted_by_reason_and_the_rest_is_received(csv, store, capsys):
    """Each reason with the line of its first row; nothing is fatal."""
    text = b"id,label,time\na,yes,soon\nb,yes,1\n,yes,1\n\xff,yes,1\nc\nd,yes,later\ne,,1\nf,yes\n"
    assert load(csv(text + b'g,"' + b"x" * 140_000 + b'",1\nh,yes,1\n'), store) == 0
    assert store.labels == [Label("b", "yes", NS), Label("f", "yes", 1_800_000_000 * NS + 7), Label("h", "yes", NS)]
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0] == "7 rows rejected:"
    assert [line.split(": ")[0].split() for line in lines[1:]] == [
        ["3", "unreadable", "first", "line", "5"],
        ["2", "invalid_time", "first", "line", "2"],
        ["1", "invalid_id", "first", "line", "4"],
        ["1", "invalid_value", "first", "line", "8"],
    ]
    assert "contains bytes that are not utf-8 text; pass its encoding" in lines[1]


def test_strict_stops_at_the_first_bad_row(csv, store):
    """It names the row, and the labels received before."""
    with pytest.raises(
        ConfigurationError, match=r"line 3: 'soon' is not a time.* \(invalid_time\); 0 labels were received"
    ):
        load(csv("id,label,time\na,yes,1\nb,yes,soon\n"), store, "--strict")
    assert store.labels == []


def test_a_large_file_goes_in_chunks_and_a_failing_store_says_how_far_it_came(csv, tmp_path):
    """10 000 labels per chunk, from both kinds of file; labels received before the failure are reported."""
    path = csv("id,label\n" + "".join(f"{row},yes\n" for row in range(25_000)))
    store = RecordingStore()
    assert load(path, store) == 0
    assert [len(chunk) for chunk in store.chunks] == [10_000, 10_000, 5_000]
    table = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": list(range(25_000)), "label": ["yes"] * 25_000}), table, row_group_size=7_000)
    again = RecordingStore()
    assert load(table, again) == 0
    assert again.chunks == store.chunks
    with pytest.raises(StoreError, match="the disk is full; 20,000 labels were received before; run it again"):
        load(path, RecordingStore(failing=3))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", [], "has no column of ids; it has none: select one with --id-column"),
        ("a,b\n1,2\n", [], "has no column of ids; it has 'a', 'b'"),
        ("id,b\n1,2\n", [], "has no column 'label'; it has 'id', 'b': select one with --label-column"),
        ("id,label\n1,2\n", ["--time-column", "t"], "has no column 't'; .*--time-column"),
        ("id,label\n1,2\n", ["--id-column", ""], "has no column of ids"),
    ],
)
def test_a_missing_column_is_told(csv, store, text, options, message):
    """With those there are, and the option that names one; no store is opened for it."""
    if options == ["--id-column", ""]:
        text = "key,label\n1,2\n"
    with pytest.raises(ConfigurationError, match=message):
        load(csv(text), store, *options)
    assert store.target == []


def test_files_that_are_none_are_told(tmp_path, csv, store, monkeypatch):
    """Missing, a folder, no Parquet, or Parquet without pyarrow."""
    for name in ("gone.csv", "gone.parquet", "."):
        with pytest.raises(ConfigurationError, match="cannot read"):
            load(tmp_path / name, store)
    broken = csv("id,label\n").rename(tmp_path / "labels.parquet")
    with pytest.raises(ConfigurationError, match=r"cannot read .* as Parquet"):
        load(broken, store)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'radiosonde\[desk\]'"):
        load(broken, store)


def test_csv_needs_no_extra(csv, store, monkeypatch, capsys):
    """Without rich and pyarrow there is no bar, and the labels are received."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert load(csv("id,label\na,yes\n"), store) == 0
    assert "1 labels received" in capsys.readouterr().out


def test_the_place_of_the_labels(csv, store, capsys):
    """As named, else as set, else beside the store; with none of them the message says what to give. A password is not shown."""
    path = csv("id,label\na,yes\n")
    address = "redis://me:secret@127.0.0.1:6379/0"
    for options, settings, target in (
        (["--to", "here.sqlite"], Settings(labels="there.sqlite"), "here.sqlite"),
        ([], Settings(labels=address, store="windows.sqlite"), address),
        ([], Settings(store="windows.sqlite"), "windows.labels.sqlite"),
    ):
        store.is_closed = False
        assert load(path, store, *options, settings=settings) == 0
        assert store.target == [target]
    assert "into redis://127.0.0.1:6379/0\n" in (shown := capsys.readouterr().out)
    assert "secret" not in shown
    store.is_closed = False
    with pytest.raises(ConfigurationError, match="pass --to PATH, or set RADIOSONDE_LABELS"):
        load(path, store, settings=Settings())


@pytest.mark.parametrize("options", [[], ["--create"]], ids=["to load", "to create"])
@pytest.mark.parametrize("target", ["/", ".", "labels", "labels/"])
def test_a_folder_is_no_join_store(csv, target, options, monkeypatch):
    """The message says that it is a folder and which file to pass; nothing is created in it."""
    path = csv("id,label\na,yes\n")
    (path.parent / "labels").mkdir()
    monkeypatch.chdir(path.parent)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    with pytest.raises(ConfigurationError, match=f"{target.rstrip('/')}.* is a folder; pass the file"):
        command.run(parser.parse_args(["label", str(path), "--to", target, *options]))
    assert list((path.parent / "labels").iterdir()) == []


def test_a_column_of_receipts(csv, store, capsys):
    """Good ones are passed on whole, the others refused by reason."""
    keys = ReceiptKeys.parse(KEYS)
    receipt = Receipt(ID, SeriesKey("delays"), 1_700_000_000 * NS, "late")
    good, old = sign(receipt, keys, 1_900_000_000 * NS), sign(receipt, keys, 1_750_000_000 * NS)
    path = csv(f"receipt,label\n{good},late\n{old},late\n{good[:-1]},late\n{good[:-2]}AA,late\n")
    assert load(path, store, settings=Settings(labels="l", receipt_keys=KEYS)) == 0
    assert store.labels == [Label(good, "late", 1_800_000_000 * NS)]
    shown = capsys.readouterr().out
    assert all(reason in shown for reason in ("receipt_expired", "receipt_truncated", "receipt_forged"))


def test_a_bar_shows_how_far_it_is(csv, tmp_path, monkeypatch):
    """Bytes of a text file, rows of a table."""
    from radiosonde.cli import _label_rows as rows

    seen = []
    path = csv("id,label\n" + "".join(f"{row},yes\n" for row in range(2_500)))
    for _ in rows.read_rows(
        path, rows.ColumnChoice(), lambda done, total: seen.append((done, total)), rows.FileFormat()
    ):
        pass
    size_bytes = path.stat().st_size
    assert len(seen) == 2
    assert all(0 < done <= total == size_bytes for done, total in seen)
    seen.clear()
    table = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": list(range(12_000)), "label": ["yes"] * 12_000}), table)
    for _ in rows.read_rows(
        table, rows.ColumnChoice(), lambda done, total: seen.append((done, total)), rows.FileFormat()
    ):
        pass
    assert seen == [(10_000, 12_000), (12_000, 12_000)]
