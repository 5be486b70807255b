"""A failure while windows close or are delivered costs only its window; everything else continues, and the loss is counted."""

from __future__ import annotations

import pytest

from radiosonde._aggregate.state import SeriesState
from radiosonde.export.store_exporter import StoreExporter
from radiosonde.model import losses
from radiosonde.sketches import merge
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly
from tests.unit.pipeline.test_delivery import ROW

MODELS = ("a", "b", "c", "d", "e")
CALLS = 101


class InjectedError(Exception):
    """The raised exception."""


def stored(path):
    """Return the calls in a store by model."""
    found = {}
    for _, window in StoreReader(path).parts(Interval()):
        found[window.key.model] = found.get(window.key.model, 0) + window.calls
    return found


@pytest.mark.parametrize("bad", ["a", "c", "e"])
@pytest.mark.parametrize("with_sketches", [False, True], ids=["totals", "sketches"])
def test_a_window_that_cannot_be_frozen_costs_itself(tmp_path, monkeypatch, bad, with_sketches):
    """505 calls of five models, one of whose windows raises: 404 are stored, and one window is counted as lost."""
    freeze = SeriesState.freeze

    def fragile(self, **options):
        if self.key.model == bad and options["with_sketches"] == with_sketches:
            raise InjectedError
        return freeze(self, **options)

    with fly(reraise=False, store=tmp_path / "a.db", runtime=False) as rs:
        for model in MODELS:
            predict = rs.observe(model, input=False)(lambda: "yes")
            for _ in range(CALLS):
                predict()
        rs.pipeline().take_turn()
        with monkeypatch.context() as broken:
            broken.setattr(SeriesState, "freeze", fragile)
            rs.flush()
        assert rs.statistics().records == len(MODELS) * CALLS
        assert rs.losses() == {losses.WINDOWS_FAILED: 1}
        assert rs.statistics().guarded == {"close_window": 1}
    assert stored(tmp_path / "a.db") == {model: CALLS for model in MODELS if model != bad}


def test_totals_that_do_not_add_up_cost_their_series(monkeypatch):
    """The cumulative counts of the other models are exact."""
    merge_windows = merge.merge_windows

    def fragile(windows, **options):
        windows = list(windows)
        if {window.key.model for window in windows} == {"c"}:
            raise InjectedError
        return merge_windows(windows, **options)

    with fly(reraise=False, runtime=False) as rs:
        for model in MODELS:
            rs.observe(model, input=False)(lambda: "yes")()
        with monkeypatch.context() as broken:
            broken.setattr(merge, "merge_windows", fragile)
            rs.flush()
        assert {window.key.model for window in rs.windows()} == set(MODELS) - {"c"}
        assert rs.losses() == {losses.WINDOWS_FAILED: 1}


def test_an_exporter_that_takes_no_windows_costs_its_export(tmp_path, monkeypatch):
    """The turn goes on; labels are joined and the next windows are kept."""
    with fly(reraise=False, store=tmp_path / "a.db", runtime=False) as rs:
        predict = rs.observe("a")(lambda _: "yes")
        predict(ROW)
        with monkeypatch.context() as broken:
            broken.setattr(StoreExporter, "export", lambda *_: 1 / 0)
            rs.flush()
        assert rs.losses() == {losses.EXPORT_FAILED: 1}
        predict(ROW)
        assert rs.flush()
    assert stored(tmp_path / "a.db") == {"a": 1}
