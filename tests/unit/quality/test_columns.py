"""Labels and answers as columns: a table of chosen columns is the table of the windows that were chosen."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks.quality.label_stream import DAY_S, START_NS, stream, windows
from radiosonde.model import CONFIDENCE_BINS, SeriesKey
from radiosonde.quality import label_columns, label_table
from tests.factories import make_labels, make_output, make_window

HOUR_NS = 3_600_000_000_000


def mixed():
    """Return windows of two versions: one counts two classes and joins labels, the other three, a class never predicted, and a regression's."""
    seen = windows(stream(4, seed=3), as_of_s=4 * DAY_S, step_s=3600.0)
    other = [replace(window, key=SeriesKey("delays", "2")) for window in seen[::3]]
    zeros = np.zeros((CONFIDENCE_BINS + 1, 3))
    zeros[3] = (2.0, 0.4, 0.1)
    strange = make_window(
        SeriesKey("delays", "3"),
        start_ns=START_NS + HOUR_NS,
        end_ns=START_NS + 2 * HOUR_NS,
        output=make_output([("a", 0.2), ("a", 0.9), ("b", None), ("c", 0.5)]),
        labels=make_labels(lags_s={"d": [60.0, 7200.0]}, joint={("a", "d"): zeros, ("b", "d"): 0 * zeros}),
    )
    valued = make_window(
        SeriesKey("delays", "4"), start_ns=START_NS, labels=make_labels(lags_s={"value": [5.0]}, residuals=[2.0, -3.0])
    )
    return [*seen, *other, strange, valued, make_window(SeriesKey("delays", "5"), start_ns=START_NS)]


def same(one, other):
    """Return whether two tables hold the same."""
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)]
    return all(
        all(np.allclose(*part) for part in zip(mine, theirs, strict=True))
        if isinstance(mine, tuple) and not isinstance(mine[0] if mine else "", str)
        else np.array_equal(mine, theirs) if not isinstance(mine, np.ndarray) else mine.shape == theirs.shape and np.allclose(mine, theirs)
        for mine, theirs in pairs
    )  # fmt: skip


@pytest.mark.parametrize("version", ["1", "2", "3", "4", "5", "none"])
@pytest.mark.parametrize("part", ["all", "old", "young"])
def test_chosen_columns_are_the_columns_of_chosen_windows(version, part):
    """By version and by time, to the classes and pairs that the chosen windows name."""
    made = mixed()
    edge = START_NS + 2 * 86_400 * 10**9
    kept = {"all": lambda w: True, "old": lambda w: w.end_ns <= edge, "young": lambda w: w.start_ns >= edge}[part]
    columns = label_columns(made)
    mine = columns.of(key for key in columns.keys if key.version == version)
    mine = mine.where(np.array([kept(w) for w in made if w.key.version == version], dtype=bool))
    fresh = [window for window in made if window.key.version == version and kept(window)]
    at = START_NS + 5 * 86_400 * 10**9
    assert same(label_table(mine, as_of_ns=at), label_table(fresh, as_of_ns=at))
    assert mine.latest_ns == label_columns(fresh).latest_ns
    assert mine.present == tuple(sorted({window.key for window in fresh}))


def test_a_pair_without_a_row_keeps_its_name():
    """A pair that a correction emptied is known still, with zeros."""
    table = label_table([window for window in mixed() if window.key.version == "3"])
    named = [(table.classes[predicted], table.classes[true]) for predicted, true in table.pairs]
    assert named == [("a", "d"), ("b", "d")]
    assert table.joint[..., 0].sum(axis=(0, 2)).tolist() == [2.0, 0.0]
    assert table.classes == ("a", "b", "c", "d")
    assert table.predicted[..., 0].sum(axis=(0, 2)).tolist() == [2.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("classes", [2, 7, 150])
def test_many_classes_are_added_up_as_a_loop_does(classes):
    """For any number of classes, and any number of windows at a time."""
    rng = np.random.default_rng(classes)
    made = []
    for at in range(90):
        output = make_output([(f"c{index}", float(rng.uniform())) for index in rng.integers(0, classes, 20)])
        start = START_NS + at * HOUR_NS
        made.append(
            make_window(start_ns=start, end_ns=start + HOUR_NS, rows_per_call=[20], durations_s=[0.1], output=output)
        )
    table = label_table(made)
    expected: dict[str, float] = {}
    for window in made:
        for name, count in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
            expected[name] = expected.get(name, 0.0) + count
    found = dict(zip(table.classes, table.predicted[..., 0].sum(axis=(0, 2)).tolist(), strict=True))
    assert found == expected
    assert table.rows.sum() == 90 * 20
