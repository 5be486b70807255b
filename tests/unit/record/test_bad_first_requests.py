"""However many of a model's first requests are bad, calls are counted from the first, and the first good one teaches the model."""

from __future__ import annotations

import pytest

import radiosonde._guard as guard_module
from radiosonde._record import ring_factory
from radiosonde.model import losses
from radiosonde.testing import fly

GOOD = {"a": 1.0, "b": 2.0}


class Unprintable:
    """A key that cannot be shown."""

    def __str__(self):
        raise RuntimeError("no text")


def refuse(names):
    """Return an opener of rings that fails if the schema has a feature of *names*, simulating a bug with certain names."""
    open_ring = ring_factory.open_ring

    def refusing(recorder, schema, outputs):
        if names & set(schema.names):
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "refused")
        return open_ring(recorder, schema, outputs)

    return refusing


BAD = {
    "a name that breaks the opening": {"bad": 1.0, "a": 2.0},
    "another width": {"bad": 1.0},
    "as wide as the good ones": {"bad": 1.0, "worse": 2.0},
    "unprintable": {Unprintable(): 1.0},
    "empty": {},
    "none": None,
    "no features at all": object(),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("count", [1, 150, 1000])
def test_bad_first_requests_leave_the_model_on(value, count, monkeypatch):
    """All calls are counted, and the features of all good ones but the first, which teaches them."""
    monkeypatch.setattr("radiosonde._record.record_writer.open_ring", refuse({"bad"}))
    with fly(reraise=False) as rs:
        predict = rs.observe("delays")(lambda features: 1.0)
        for _ in range(count):
            predict(value)
        for _ in range(50):
            predict(GOOD)
        assert rs.flush()
        windows = rs.windows()
        assert sum(window.calls for window in windows) == count + 50
        lost = rs.losses()
        lost.pop(losses.CALLS_PAUSED, None)
        assert sum(lost.values()) == count + 1, "each bad row is a loss by name, and the row that taught the schema"
        assert losses.RECORD_FAILED not in lost
        assert [window.features.names for window in windows if window.features is not None] == [("a", "b")]


def test_one_model_does_not_pause_another(monkeypatch):
    """A thousand bad first requests of one model leave the first request of the next one alone."""
    monkeypatch.setattr("radiosonde._record.record_writer.open_ring", refuse({"bad"}))
    with fly(reraise=False) as rs:
        for _ in range(1000):
            rs.observe("bad")(lambda _: 1.0)({"bad": 1.0})
        rs.observe("good")(lambda _: 1.0)(GOOD)
        assert sum(window.calls for window in rs.windows() if window.key.model == "good") == 1
        rs.losses()


def test_a_model_that_cannot_be_opened_is_tried_again(monkeypatch):
    """While no ring can be opened calls are lost by name; once one can, the model is on again within the pause."""
    now_ns = [10**12]
    with fly(reraise=False) as rs:
        monkeypatch.setattr(guard_module, "monotonic_ns", lambda: now_ns[0])
        predict = rs.observe("delays")(lambda _: 1.0)
        with monkeypatch.context() as broken:
            broken.setattr("radiosonde._record.record_writer.open_ring", refuse({"a"} | set()))
            broken.setattr("radiosonde._record.record_writer.InputWriter", None)
            for _ in range(300):
                predict(GOOD)
        assert rs.statistics().guarded["open_writer"] == 200, "a hundred with features and a hundred without"
        predict(GOOD)
        now_ns[0] += 1_100_000_000
        for _ in range(5):
            predict(GOOD)
        lost = rs.losses()
        assert lost[losses.RECORD_FAILED] == 301
        assert rs.statistics().records == 5


@pytest.mark.parametrize("name", [[1], {"a": 1}, {1}, bytearray(b"x")], ids=repr)
def test_stages_with_bad_names_leave_the_others_on(name):
    """A name that cannot be hashed costs its own phase, however often it comes."""
    with fly(reraise=False) as rs:

        def predict(features):
            with rs.stage(name):
                pass
            with rs.stage("fetch"):
                pass
            return 1.0

        observed = rs.observe("delays")(predict)
        for _ in range(300):
            assert observed([1.0]) == 1.0
        (window,) = rs.windows()
        assert (window.calls, "fetch" in window.latency.phases) == (300, True)
        rs.losses()
