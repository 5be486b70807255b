"""A model that is not called for an hour releases its ring; its next call is recorded like the one before."""

from __future__ import annotations

import gc
from contextvars import Context

import numpy as np
import pytest

from radiosonde._clock import NS
from radiosonde._pipeline import idle_models
from radiosonde.testing import fly
from tests.factories import make_feature, make_reference

HOUR_NS = 3600 * NS
ROW = {"wind": 12.0, "carrier": "UA"}


def a_learned_schema(rs):
    """Return a function whose features are those of its first call."""
    return rs.observe("m", classes=["early", "late"])(lambda features: "late")


def a_reference(rs):
    """Return a function with a reference profile."""
    profile = make_reference([make_feature("wind", (40, 60, 0, 0, 0, 0))])
    return rs.observe("m", reference=profile, classes=["early", "late"])(lambda features: "late")


def learned_classes(rs):
    """Return a function whose classes are those of its answers."""
    return rs.observe("m")(lambda features: "late")


def no_features(rs):
    """Return a function of nothing."""
    return rs.observe("m", input=False)(lambda features: "late")


def look(rs, after_ns):
    """Make the consumer check the models, at a time after the beginning."""
    pipeline = rs.pipeline()
    pipeline._idle_models.look(list(pipeline._recorders), pipeline._looked_ns + after_ns)
    gc.collect()
    rs.losses()  # takes a turn


def rings(rs):
    """Return the number of rings, after draining those without a writer."""
    for _ in range(2):
        gc.collect()
        rs.losses()
    return len(rs.pipeline()._ring_consumers)


@pytest.mark.parametrize("make", [a_learned_schema, a_reference, learned_classes, no_features])
@pytest.mark.parametrize("spooled", [False, True])
def test_an_idle_model_gives_its_ring_back(make, spooled, tmp_path):
    """After an hour without a call there is no ring and no file; later calls count under the same features and classes."""
    with fly(spool=str(tmp_path / "spool") if spooled else None) as rs:
        predict = make(rs)
        for _ in range(3):
            Context().run(predict, ROW)  # else this thread's last prediction would hold the ring
        look(rs, HOUR_NS)
        assert rings(rs) == 1
        look(rs, 2 * HOUR_NS + NS)
        assert rings(rs) == 0
        assert not list(tmp_path.glob("spool/*.ring"))
        for _ in range(2):
            Context().run(predict, ROW)
        assert rings(rs) == 1
        windows = rs.windows()
        lost = {"feature_values_unknown": 5} if make is a_reference else {}  # it knows no carrier
        assert (sum(window.calls for window in windows), rs.losses()) == (5, lost)
        answers = {name: 0 for window in windows for name in window.output.classes}
        for window in windows:
            for name, count in zip(window.output.classes, window.output.class_counts, strict=True):
                answers[name] += int(count)
        assert answers["late"] == 5
        names = {name for window in windows if window.features for name in window.features.names}
        assert names == ({"wind"} if make is a_reference else set() if make is no_features else {"wind", "carrier"})


def test_a_model_that_is_called_now_and_then_keeps_its_ring():
    """One call an hour is enough."""
    with fly() as rs:
        predict = a_learned_schema(rs)
        for hour in range(1, 6):
            Context().run(predict, ROW)
            look(rs, hour * HOUR_NS - NS)
            assert rings(rs) == 1


def test_a_prediction_under_way_outlasts_the_hour(monkeypatch):
    """Its record is counted when it ends, in the ring in which it began."""
    with fly() as rs:

        @rs.observe("m")
        def predict(features):
            look(rs, HOUR_NS)
            look(rs, 3 * HOUR_NS)
            return "late"

        Context().run(predict, ROW)
        assert sum(window.calls for window in rs.windows()) == 1
        assert rs.losses() == {}


def test_looks_are_rare(monkeypatch):
    """Marks are read once a minute, independently of the consumer."""
    with fly() as rs:
        predict = a_learned_schema(rs)
        Context().run(predict, np.zeros(2))
        models = idle_models.IdleModels()
        writer = next(iter(rs.pipeline()._recorders)).writer
        models.look(list(rs.pipeline()._recorders), HOUR_NS)
        models.look(list(rs.pipeline()._recorders), HOUR_NS + 59 * NS)
        assert models._seen[writer][1] == HOUR_NS
        assert models._looked_ns == HOUR_NS
