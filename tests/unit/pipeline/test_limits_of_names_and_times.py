"""Accepted values are counted in a window that every store can hold; others are refused or renamed first."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import root_mean_squared_error

import radiosonde
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


@pytest.mark.parametrize("form", ["seconds", "datetime", "aware", "Timestamp"])
def test_predictions_lie_in_the_windows_that_pandas_gives_them(tmp_path, form):
    """Of event times from 1970 to 2259 in any order and form, as `Series.dt.floor` has them; none is lost."""
    draw = np.random.default_rng(4)
    times = pd.Series(pd.to_datetime(draw.integers(1, 9_151_000_000, 60), unit="s", utc=True).as_unit("us"))
    times = pd.concat([times, times[:20] + pd.Timedelta(seconds=1)], ignore_index=True)
    forms = {
        "seconds": lambda time: time.timestamp(),
        "datetime": lambda time: time.to_pydatetime(),
        "aware": lambda time: time.tz_convert("Asia/Kolkata").to_pydatetime(),
        "Timestamp": lambda time: time,
    }
    with fly(store=tmp_path / "a.db", window_s=3600.0) as rs:
        predict = rs.observe("m")(lambda row: "yes")
        for time in times:
            with rs.at(forms[form](time)):
                predict([1.0])
        assert rs.flush()
        assert not rs.losses()
    found = pd.Series({pd.Timestamp(w.start_ns, tz="UTC"): 0 for w in open_source(tmp_path / "a.db").windows()})
    for window in open_source(tmp_path / "a.db").windows():
        found[pd.Timestamp(window.start_ns, tz="UTC").floor("h")] += window.calls
    assert found.sort_index().to_dict() == times.dt.floor("h").value_counts().sort_index().to_dict()


@pytest.mark.parametrize("largest", [1.0, 1e20, 1e60], ids=str)
def test_the_error_of_very_large_labels_is_that_of_scikit_learn(largest):
    """Up to the largest that is compared; beyond it each label is invalid by name, and nothing is null without a reason."""
    draw = np.random.default_rng(4)
    said, truth = (draw.uniform(-largest, largest, 30) for _ in range(2))
    with fly(labels="memory") as rs:
        answers = iter(said.tolist())
        predict = rs.observe("m", task="regression")(lambda row: next(answers))
        for label in truth.tolist():
            predict([1.0])
            rs.label(radiosonde.current().id, label)
        predict_beyond = rs.observe("m", task="regression")(lambda row: 1.0)
        for label in (1e61, -1e160, 1.7e308):
            predict_beyond([1.0])
            rs.label(radiosonde.current().id, label)
        squared = sum(window.labels.residual_square_sum for window in rs.windows() if window.labels is not None)
        assert {name: count for name, count in rs.statistics().labels.items() if count} == {"joined": 30, "invalid": 3}
    assert np.sqrt(squared / 30) == pytest.approx(root_mean_squared_error(truth, said))
