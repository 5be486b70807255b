"""``radiosonde label`` on realistic files, into a real store: its counts are those of scikit-learn and pandas."""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import uuid

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

import radiosonde
from radiosonde._labels.label_route import LabelRoute
from radiosonde.cli import FAILED, main
from radiosonde.cli.label import UNMET
from radiosonde.testing import fly

KEYS = "k1=" + "5e" * 32
SAMPLE = {"00123": "late", "a b": "ok", "\u00e9-1": "ok", 'q"1': "late"}


@pytest.fixture
def served(tmp_path):
    """Return a function that predicts *answers* under *ids* into a store, and later returns the results of its labels."""
    path = tmp_path / "s.labels.sqlite"
    flights = []

    def serve(ids, answers, **options):
        flight = fly(labels=str(path), **options)
        flights.append(flight)
        rs = flight.__enter__()
        predict = rs.observe("m", id="own", input=lambda answer, own: {"x": 1.0})(lambda answer, own: answer)
        made = []
        for own, answer in zip(ids, answers, strict=True):
            predict(answer, own)
            made.append(radiosonde.current())
        rs.flush()
        return rs, path, made

    yield serve
    for flight in flights:
        flight.__exit__(None, None, None)


def counted(rs):
    """Join what waits; return the results, and the labels that are right and wrong by now."""
    rs.flush()
    net = {"correct": 0, "incorrect": 0}
    for window in rs.windows():
        if window.labels is not None:
            for sign, table in ((1, window.labels.outcomes), (-1, window.labels.retractions)):
                for (result, _), count in table.items():
                    net[result] += sign * count
    return {name: count for name, count in rs.statistics().labels.items() if count}, net["correct"], net["incorrect"]


def written(rows, *, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\r\n"):
    """Return rows as the csv module writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


def packed(rows):
    """Return the file of *rows* packed by gzip, alike in every process: cases are named after it."""
    return gzip.compress(written(rows).encode(), mtime=0)


ROWS = [["id", "label", "note"], *([own, label, "a,b;c\td\ne"] for own, label in SAMPLE.items())]


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("l.csv", written(ROWS).encode(), []),
        ("l.csv", written(ROWS, end="\n").encode("utf-8-sig"), []),
        ("l.csv", written(ROWS, delimiter=";").encode(), []),
        ("l.csv", written(ROWS, delimiter="\t", quoting=csv.QUOTE_ALL).encode("utf-16"), []),
        ("l.tsv", written(ROWS, delimiter="\t").encode(), []),
        ("l.txt", written(ROWS, delimiter="|").encode(), []),
        ("l.csv", b"sep=;\r\n" + written(ROWS, delimiter=";").encode(), []),
        ("l.csv", b"\r\n\r\n" + written(ROWS).replace("\r\n", "\r\n\r\n").encode(), []),
        ("l.csv", b"\n" + written(ROWS, delimiter=";", end="\r").encode("utf-8"), []),
        ("l.csv", written(ROWS, delimiter="\x01").encode(), ["--delimiter", "\x01"]),
        ("l.csv", written(ROWS).encode("cp1252"), ["--encoding", "cp1252"]),
        ("l.csv", written(ROWS).encode("utf-16-le"), ["--encoding", "utf-16-le"]),
        ("l.csv", written(ROWS).encode("utf-32"), []),
        ("l.csv.gz", packed(ROWS), []),
        ("l", bz2.compress(written(ROWS, delimiter=";").encode("utf-16")), []),
        ("l.csv", lzma.compress(written(ROWS).encode()), []),
        ("l.csv", written([["ID", "Label"], *ROWS[1:]]).encode(), []),
        ("l.csv", written([["id", "label", "", ""], *([f" {own} ", f" {label} ", ""] for own, label in SAMPLE.items())]).encode(), []),
    ],
)  # fmt: skip
def test_a_text_file_is_read_however_it_is_written(served, tmp_path, capsys, name, data, options):
    """Delimiters, encodings, packings, quotes, ends of lines: four labels, as the csv module wrote them."""
    rs, store, _ = served(list(SAMPLE), ["late", "ok", "ok", "late"])
    file = tmp_path / name
    file.write_bytes(data)
    assert main(["label", str(file), "--to", str(store), *options]) == 0, capsys.readouterr()
    assert counted(rs) == ({"joined": 4}, 4, 0)


@pytest.mark.parametrize(
    ("bad", "read"),
    [('b,"ok\nc,ok\nd,ok\n', 1), ('b,"ok" x\nc,ok\n', 2), ('"b""x,ok\nc,ok\n', 1), ('b,o"k\nc,ok\n', 3)],
    ids=["never closed", "text after it", "closed in the wrong place", "inside of a field"],
)
def test_a_quote_in_the_wrong_place_costs_its_rows_and_is_told(served, tmp_path, capsys, bad, read):
    """Rows that the strict csv reader refuses are rejected with their line; no row disappears in the label of another."""
    text = f"id,label\na,ok\n{bad}"
    with pytest.raises(csv.Error) if read < 3 else contextlib.nullcontext():
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    _, store, _ = served(list("abcd"), ["ok"] * 4)
    file = tmp_path / "l.csv"
    file.write_text(text)
    assert main(["label", str(file), "--to", str(store)]) == 0
    said = "".join(capsys.readouterr())
    assert f"{read} " in said
    assert ("a quote inside is written twice" in said) == (read < 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "a zip archive, such as an Excel workbook, .*save the sheet as CSV"),
        (b"ARROW1\0\0", "an Arrow .*write it as Parquet"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b'[{"id": 1, "label": 2}]', "like JSON; convert it to CSV"),
        (written(ROWS).encode("utf-16-be"), "--encoding utf-16-be"),
        (written(ROWS).encode("utf-16-le"), "--encoding utf-16-le"),
        ("id,\u00e9tat,label\n1,2,3\n".encode("cp1252"), "--encoding cp1252"),
        (written(ROWS).encode("cp1252").replace(b"00123", b"\xe9"), None),
        (packed(ROWS * 1000)[:-20], "cannot read"),
        (packed(ROWS * 1000)[:60] + b"x" * 40, "cannot read"),
        (b"id,label,label\n1,a,b\n", "more than one column 'label'"),
        (b"key#label\n1#a\n", "has no column of ids; it has 'key#label': .*--delimiter"),
        (b"", "has no column of ids; it has none"),
    ],
)
def test_a_file_that_is_something_else_is_refused_with_what_to_do(served, tmp_path, capsys, data, said):
    """What was seen, and what to pass; never with the codes of success and of findings."""
    rs, store, _ = served(["a"], ["late"])
    file = tmp_path / "l.csv"
    file.write_bytes(data)
    code = main(["label", str(file), "--to", str(store)])
    error = capsys.readouterr().err
    if said is None:
        assert code == UNMET
        return
    assert code == FAILED
    assert pd.Series([error.replace("\n", " ")]).str.contains(said).all(), error
    assert counted(rs)[0] == {}


def carriers(values):
    """Yield the columns that pandas makes of *values*, by the type it gives them."""
    yield "object", pd.Series(values, dtype=object)
    if all(isinstance(value, bool) for value in values):
        yield from ((kind, pd.Series(values, dtype=kind)) for kind in ("bool", "boolean"))
        yield "int", pd.Series(values).astype(int)
    elif all(isinstance(value, int) for value in values):
        yield from (
            (kind, pd.Series(values, dtype=kind))
            for kind in ("int64", "uint8", "Int64", "float64", "string", "category")
        )
    elif all(isinstance(value, str) for value in values):
        yield from ((kind, pd.Series(values, dtype=kind)) for kind in ("string", "category", "string[pyarrow]"))


@pytest.mark.parametrize("way", ["label", "columns", "csv", "parquet", "http", "receipt"])
@pytest.mark.parametrize(
    "kind", [[True, False], [0, 1], [3, 7, 12], ["1e5", "1E10", "2.0", "1.10", "007"], ["late", "ok", "NA"], ["t", "f"], ["yes", "no"]],
    ids=lambda kind: str(kind[0]),
)  # fmt: skip
def test_right_and_wrong_are_what_scikit_learn_says_by_every_way(served, tmp_path, capsys, kind, way):
    """For every carrier of labels: one by one, a column, a file of either kind, a request, receipts."""
    generator = np.random.default_rng(3)
    truths = [kind[place] for place in generator.integers(len(kind), size=60)]
    answers = [kind[place] for place in generator.integers(len(kind), size=60)]
    for kind_name, column in carriers(truths):
        ids = [uuid.UUID(int=int(number) << 64 | 7) for number in generator.integers(1, 1 << 60, size=60)]
        rs, store, made = served(ids, answers, receipt_keys=KEYS)
        before, right, wrong = counted(rs)
        names = [prediction.receipt() for prediction in made] if way == "receipt" else ids
        if way in ("label", "receipt"):
            for own, label in zip(names, column, strict=True):
                rs.label(own, label)
        elif way == "columns":
            rs.label(pd.Series(names), column)
        elif way == "http":
            route = LabelRoute("s3cret", rs.pipeline().receive)
            body = json.dumps(
                [{"id": str(own).upper(), "label": label} for own, label in zip(ids, column.tolist(), strict=True)]
            )
            assert route.answer(body.encode(), "Bearer s3cret").status == 202
        else:
            frame, file = pd.DataFrame({"id": [str(own) for own in ids], "label": column}), tmp_path / f"l.{way}"
            frame.to_csv(file, index=False) if way == "csv" else frame.astype({"id": str}).to_parquet(file)
            assert main(["label", str(file), "--to", str(store)]) == 0, (kind_name, capsys.readouterr())
        results, now_right, now_wrong = counted(rs)
        expected = int(accuracy_score([str(each) for each in truths], [str(each) for each in answers], normalize=False))
        assert results.get("joined", 0) - before.get("joined", 0) == 60, kind_name
        assert (now_right - right, now_wrong - wrong) == (expected, 60 - expected), kind_name


@pytest.mark.parametrize(("text", "value"), [(".5", 0.5), ("1.", 1.0), ("+1", 1.0), ("5e-1", 0.5), (" 2.50 ", 2.5)])
def test_numbers_of_a_regression_are_read_in_every_clear_notation(served, tmp_path, text, value):
    """The residual is that of pandas' number."""
    rs, store, _ = served(["a"], [3.0])
    file = tmp_path / "l.csv"
    file.write_text(f"id,label\na,{text}\n")
    assert pd.read_csv(file)["label"][0] == value
    assert main(["label", str(file), "--to", str(store)]) == 0
    assert counted(rs)[0] == {"joined": 1}
    assert [window.labels.residual_sum for window in rs.windows() if window.labels] == [value - 3.0]


@pytest.mark.parametrize(
    ("text", "value"), [('"3,5"', 3.5), ("1.234,5", 1234.5), ("-0,5", -0.5), ("2", 2.0), ("1.000.000", 1e6)]
)
def test_a_decimal_comma_is_read_where_it_is_said(served, tmp_path, capsys, text, value):
    """As pandas reads it; where it is not said the labels are told as invalid, with the option."""
    rs, store, _ = served(["a", "b"], [0.0, 0.0])
    file = tmp_path / "l.csv"
    file.write_text(f"id;label\na;{text}\n")
    assert float(pd.read_csv(file, sep=";", decimal=",", thousands=".")["label"][0]) == value
    if "," in text:
        assert main(["label", str(file), "--to", str(store)]) == UNMET
        assert "where model 'm' predicts numbers" in (said := capsys.readouterr().out)
        assert "pass --decimal ," in said
        assert main(["label", str(file), "--to", str(store), "--label-type", "number"]) == FAILED
    assert main(["label", str(file), "--to", str(store), "--decimal", ","]) == 0
    assert counted(rs)[0]["joined"] == 1
    assert sum(window.labels.residual_sum for window in rs.windows() if window.labels) == value


def test_the_later_of_two_rows_wins(served, tmp_path):
    """Without times, in a file, a column and a request; for any text."""
    rs, store, _ = served(["a", "b", "c"], ["late"] * 3)
    file = tmp_path / "l.csv"
    file.write_text("id,label\na,ok\na,late\n")
    assert main(["label", str(file), "--to", str(store)]) == 0
    rs.label(["b", "b"], ["ok", "late"])
    route = LabelRoute("s3cret", lambda labels: rs.pipeline().receive(labels))
    assert route.answer(b'[{"id": "c", "label": "ok"}, {"id": "c", "label": "late"}]', "Bearer s3cret").status == 202
    assert counted(rs) == ({"joined": 3, "corrected": 3}, 3, 0)


def _repeated(rows):
    """Return rows of ids written in several ways, many of them for one prediction, and what pandas keeps of each."""
    draw = np.random.default_rng(7)
    frame = pd.DataFrame({"id": draw.integers(0, 9, rows), "label": draw.choice(["late", "ok", "never", "a"], rows)})
    kept = frame.drop_duplicates("id", keep="last").set_index("id")["label"].to_dict()
    written_ids = [(str(each), f" {each} ", f"{each}.0")[place % 3] for place, each in enumerate(frame["id"])]
    return frame, written_ids, kept


@pytest.mark.parametrize("kind", ["csv", "parquet of ints", "parquet of texts", "parquet in groups"])
def test_of_rows_for_one_prediction_the_last_of_the_file_wins(served, tmp_path, monkeypatch, kind):
    """As `DataFrame.drop_duplicates` keeps them, over the ends of chunks and row groups, however their ids are written."""
    monkeypatch.setattr("radiosonde.cli.label.BATCH_ROWS", 7)
    monkeypatch.setattr("radiosonde.cli._label_rows.BATCH_ROWS", 5)
    frame, written_ids, kept = _repeated(60)
    ids = sorted(kept)
    rs, store, _ = served(ids, ["late"] * len(ids))
    file = tmp_path / "labels"
    if kind != "parquet of ints":
        frame["id"] = written_ids
    if kind == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file, index=False, row_group_size=4 if kind == "parquet in groups" else None)
    assert main(["label", str(file), "--to", str(store)]) == 0
    _, correct, incorrect = counted(rs)
    right = round(accuracy_score([kept[each] for each in ids], ["late"] * len(ids)) * len(ids))
    assert (correct, incorrect) == (right, len(ids) - right)


@pytest.mark.parametrize("kind", ["csv", "blank lines", "gz", "UTF-16", "parquet", "parquet without types"])
def test_a_file_of_a_header_alone_is_told_and_ends_with_its_own_code(served, tmp_path, capsys, kind):
    """An export that broke off is no success: nothing is received, and the message names the file."""
    rs, store, _ = served(["a"], ["late"])
    file = tmp_path / "labels"
    empty = pd.DataFrame({"id": [], "label": []}, dtype=object if kind == "parquet without types" else str)
    text = written([["id", "label"]])
    {"csv": lambda: file.write_text(text), "blank lines": lambda: file.write_text(f"\n{text}\n\n\n"),
     "gz": lambda: file.write_bytes(gzip.compress(text.encode())), "UTF-16": lambda: file.write_text(text, "utf-16")
     }.get(kind, lambda: empty.to_parquet(file, index=False))()  # fmt: skip
    assert main(["label", str(file), "--to", str(store)]) == UNMET
    out, said = capsys.readouterr()
    assert f"{file} has no rows below its header" in said
    assert "0 labels received" in out
    assert counted(rs) == ({}, 0, 0)


@pytest.mark.parametrize("missing", ["NA", "NaN", "NULL", "nan", "None", "<NA>", "n/a"])
def test_rows_that_say_there_is_no_label_are_no_class(served, tmp_path, capsys, missing):
    """They are reported and counted as invalid; a file of nothing else ends with its own exit code."""
    rs, store, _ = served(["a", "b", "c"], ["late"] * 3)
    file = tmp_path / "l.csv"
    file.write_text(f"id,label\na,late\nb,{missing}\n")
    assert pd.read_csv(file)["label"].isna().tolist() == [False, True]
    assert main(["label", str(file), "--to", str(store)]) == 0
    assert f"1 label is invalid, and counts as such: {missing!r} (1)" in capsys.readouterr().out
    assert counted(rs) == ({"joined": 1, "invalid": 1}, 1, 0)
    file.write_text(f"id,label\nc,{missing}\n")
    assert main(["label", str(file), "--to", str(store)]) == UNMET


@pytest.mark.parametrize(
    ("answers", "labels", "said"),
    [
        (["late", "ok"], ["Late", "OK"], "'Late' (1; did you mean 'late'?)"),
        ([True, False], ["yes", "no"], "'yes' (1)"),
        (["on_time", "late"], ["on time", "late"], "1 of the 2 labels of model 'm' are classes that it never predicts: 'on time' (1; did you mean 'on_time'?)"),
        (["cancelled", "late"], ["canceled", "late"], "did you mean 'cancelled'?"),
        ([3, 7], ["three", "seven"], "all of its labelled predictions count as incorrect"),
    ],
)  # fmt: skip
def test_classes_that_the_model_writes_otherwise_are_said_and_counted(served, tmp_path, capsys, answers, labels, said):
    """From the first file on, with what the model answers; the labels count all the same."""
    rs, store, _ = served(["a", "b"], answers)
    file = tmp_path / "l.csv"
    pd.DataFrame({"id": ["a", "b"], "label": labels}).to_csv(file, index=False)
    assert main(["label", str(file), "--to", str(store)]) == 0
    assert said in capsys.readouterr().out
    assert counted(rs)[0] == {"joined": 2}


def test_a_store_that_is_not_there_is_not_made(tmp_path, monkeypatch, capsys):
    """A path with a slip in it, given or set, is an error that says so; --create makes the store."""
    file = tmp_path / "l.csv"
    file.write_text("id,label\na,late\n")
    monkeypatch.delenv("RADIOSONDE_LABELS", raising=False)
    for arguments, store in ((["--to", str(tmp_path / "typo.sqlite")], None), ([], str(tmp_path / "typo.sqlite"))):
        if store:
            monkeypatch.setenv("RADIOSONDE_STORE", store)
        assert main(["label", str(file), *arguments]) == FAILED
        assert "typo" in (said := capsys.readouterr().err)
        assert "--create" in said
    assert [path.name for path in tmp_path.iterdir()] == ["l.csv"]
    assert main(["label", str(file), "--create"]) == UNMET
    assert "none of the 1 ids" in capsys.readouterr().err


def test_the_store_of_windows_is_not_that_of_labels(served, tmp_path, capsys):
    """Whoever names it is told the other, which lies beside it."""
    _, store, _ = served(["a"], ["late"], store=str(tmp_path / "s.sqlite"))
    (tmp_path / "l.csv").write_text("id,label\na,late\n")
    assert main(["label", str(tmp_path / "l.csv"), "--to", str(tmp_path / "s.sqlite")]) == FAILED
    assert f"--to {store}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own_id", "label", "words"),
    [
        ([1], "late", None),
        (object(), "late", "an id of type object"),
        ("a", [1], "a value of type list"),
        ("a", "NA", "2 labels are invalid: their text"),
    ],
)
def test_a_label_that_cannot_be_used_is_told_once(served, caplog, own_id, label, words):
    """With what is wrong and what to give; and counted."""
    rs, _, _ = served(["a"], ["late"])
    if words is None:
        rs.label([own_id], [label])
        words = "an id of type list"
    else:
        rs.label(own_id, label)
        rs.label(own_id, label)
    assert counted(rs)[0]["invalid"] >= 1
    assert sum(words in record.getMessage() for record in caplog.records) == 1


def test_a_file_of_other_ids_ends_with_its_own_code(served, tmp_path, capsys):
    """Neither success nor findings; one id that is known is enough for success, and the others are counted."""
    rs, store, _ = served(["a"], ["late"])
    file = tmp_path / "l.csv"
    file.write_text("id,label\nx,late\ny,ok\n")
    assert main(["label", str(file), "--to", str(store)]) == UNMET == 3
    assert "none of the 2 ids" in capsys.readouterr().err
    file.write_text("id,label\nx,late\na,late\n")
    assert main(["label", str(file), "--to", str(store)]) == 0
    assert "1 of them match a prediction; 1 have an unknown id" in capsys.readouterr().out
    assert counted(rs)[0] == {"joined": 1}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [1e160, 1e308, "1e200", -1e61, np.float64(1e99)])
def test_a_number_without_a_finite_square_is_invalid(served, label):
    """It takes no score with it, and warns nobody."""
    rs, _, _ = served(["a", "b", "c"], [3.0, 3.0, 1e200])
    rs.label(["a", "b", "c"], [label, 4.0, 4.0])
    assert counted(rs)[0] == {"joined": 1, "invalid": 1, "unanswered": 1}
    assert [window.labels.residual_square_sum for window in rs.windows() if window.labels] == [1.0]
