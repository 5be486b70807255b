"""Accepted values are counted in a window that every store can hold; others are refused or renamed first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from radiosonde.diagnose import check
from radiosonde.model import RUNTIME_MODEL, losses
from radiosonde.sources import open_source
from radiosonde.testing import fly


@pytest.mark.parametrize("window_s", [1.0, 60.0, 31_536_000.0], ids=["second", "minute", "year"])
def test_the_first_and_the_last_time_are_stored_in_windows_of_any_length(tmp_path, window_s):
    """From a nanosecond after the epoch to the end of 2259; nothing is refused by the store, and diagnose reads it."""
    times = [1e-9, 1.0, datetime(1970, 1, 2, tzinfo=UTC), 1e9, datetime(2259, 12, 31, 23, 59, 59, tzinfo=UTC)]
    with fly(store=tmp_path / "a.db", window_s=window_s) as rs:
        predict = rs.observe("delays")(lambda row: "yes")
        for time in times:
            with rs.at(time):
                predict([1.0])
            rs.record("GET /rows", 0.25, start=time)
        assert rs.flush()
        assert not rs.losses()
    windows = list(open_source(tmp_path / "a.db").windows())
    counted = {model: sum(w.calls for w in windows if w.key.model == model) for model in ("delays", "GET /rows")}
    assert counted == {"delays": len(times), "GET /rows": len(times)}
    diagnosis = check(open_source(tmp_path / "a.db").windows(), {})
    assert (diagnosis.calls, diagnosis.requests) == (len(times), len(times))


@pytest.mark.parametrize("way", ["observe", "record"])
def test_a_model_named_like_the_windows_of_health_is_renamed(tmp_path, way):
    """It is counted, stored and diagnosed under a name of its own, and the change is counted as that of any other name."""
    with fly(store=tmp_path / "a.db") as rs:
        if way == "observe":
            rs.observe(RUNTIME_MODEL)(lambda row: "yes")([1.0])
        else:
            rs.record(RUNTIME_MODEL, 0.25)
        assert rs.flush()
        assert rs.losses() == {losses.NAME_CHANGED: 1}
    (name,) = {window.key.model for window in open_source(tmp_path / "a.db").windows()}
    assert name.startswith(f"{RUNTIME_MODEL}~")
    assert {gap.where.model for gap in check(open_source(tmp_path / "a.db").windows(), {}).not_checked} == {name}
