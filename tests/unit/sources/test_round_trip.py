"""What is written is what is read: from SQLite, from Parquet, and from both at once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radiosonde.model import Window
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests.unit.store.strategies import assert_same, windows

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
