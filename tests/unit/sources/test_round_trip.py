"""Windows are read back as written: from SQLite, from Parquet, and from both at once."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radiosonde.model import Window
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests.factories import HOUR_NS, make_features, make_reference, make_window
from tests.unit.store.strategies import assert_same
from tests.window_strategies import windows

THOROUGH = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_same_parts(stored: Sequence[Window], written: Sequence[Window]) -> None:
    """Compare two lists of parts, equal starts and series included, in the order a source promises."""
    expected = sorted(written, key=lambda window: (window.start_ns, window.key, window.process))
    assert len(stored) == len(expected)
    for left, right in zip(stored, expected, strict=True):
        assert_same(left, right)


@THOROUGH
@given(st.lists(windows(), max_size=3))
def test_sqlite_and_parquet_give_back_every_field_of_every_window(written: list[Window]) -> None:
    """Windows read from SQLite, then from Parquet after sealing, equal those written, bit by bit."""
    with tempfile.TemporaryDirectory() as folder:
        store, sealed = Path(folder, "store.sqlite"), Path(folder, "sealed")
        StoreWriter(store).write(written)
        assert_same_parts(open_source(store).windows(), written)
        assert sum(hour.windows for hour in seal(store, sealed, everything=True)) == len(written)
        assert open_source(store).windows() == []
        assert_same_parts(open_source([store, sealed]).windows() if written else [], written)


def test_a_store_that_does_not_say_how_many_rows_were_looked_at_counts_each_for_itself(tmp_path: Path) -> None:
    """Parts written before samples were noted, beside newer ones: read from SQLite and from Parquet, in one folder."""
    reference = make_reference()
    counts = replace(make_features(reference, {"wind": [40, 60, 0, 0, 0, 0]}), counted_rows=10, weight_square_sum=1000)
    older, newer = (replace(make_window(features=counts), start_ns=hour * HOUR_NS, end_ns=(hour + 1) * HOUR_NS)
                    for hour in (0, 1))  # fmt: skip
    store, sealed = tmp_path / "store.sqlite", tmp_path / "sealed"
    StoreWriter(store).write([older, newer])
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(
            "UPDATE windows SET feature_rows = NULL, feature_weight_square_sum = NULL WHERE window_id = 1"
        )
    for place in (store, sealed):
        found = [window.features for window in open_source(place).windows()]
        assert [(part.counted_rows, part.weight_square_sum) for part in found if part] == [(100, 100), (10, 1000)]
        if place == store:
            seal(store, sealed, everything=True)
