from __future__ import annotations

import contextvars
import logging
import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import radiosonde._record.record_writer as writer_module
import radiosonde._record.recorder as recorder_module
import radiosonde._ring.arena as arena_module
from radiosonde import current
from radiosonde._record.blocks import kept_rows
from radiosonde._record.token import INDEX
from radiosonde.model import losses
from radiosonde.testing import fly
from tests.unit.record.kinds import KINDS, drive, make
from tests.unit.record.slots import last_header, last_token


class BrokenError(Exception):
    """What our own code raises in these tests."""


class UsersError(Exception):
    """The exception of the user's function."""


def broken(*_, **__):
    """Raise."""
    raise BrokenError


def nonzero(counts):
    """Return the counts that are not zero."""
    return {name: count for name, count in counts.items() if count}


def predict_both_ways(rs, kind, **options):
    """Predict once with a result and once with an exception; return nothing, check that both came through."""
    answer, error = object(), UsersError("mine")

    def body(features):
        if features[0] < 0:
            raise error
        return answer

    predict = rs.observe("m", output=options.pop("output", lambda _: "yes"), **options)(make(kind, body))
    yield predict
    assert drive(kind, predict, [1.0]) is answer
    with pytest.raises(UsersError) as raised:
        drive(kind, predict, [-1.0])
    assert raised.value is error
    assert error.__context__ is None
    yield predict


def survives(rs, kind, inject, **options):
    """Run both ways before and after *inject* broke something; return the statistics afterwards."""
    steps = predict_both_ways(rs, kind, **options)
    inject(next(steps))
    next(steps)
    rs.losses()
    return rs.statistics()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "part",
    [
        "radiosonde._ring.ring.slots_for",
        "radiosonde._record.record_writer.InputWriter",
        "radiosonde._record.recorder.OutputReader",
    ],
)
def test_a_lane_that_cannot_be_opened(kind, part, monkeypatch):
    """No memory for the ring, or a bug while a writer is built: every call is lost by name."""
    monkeypatch.setattr(part, broken)
    with fly(reraise=False) as rs:
        statistics = survives(rs, kind, lambda predict: None)
        assert nonzero(statistics.losses) == {losses.RECORD_FAILED: 2}
        assert statistics.guarded == {"open_writer": 4}  # with the features, and then without
        assert statistics.records == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_clock_at_begin(kind, monkeypatch):
    """A clock that raises before the user's function ran costs the record."""
    monkeypatch.setattr(writer_module, "monotonic_ns", broken)
    with fly(reraise=False) as rs:
        statistics = survives(rs, kind, lambda predict: None)
        assert (nonzero(statistics.losses), statistics.guarded) == ({losses.RECORD_FAILED: 2}, {"begin": 2})


class FlakyClock:
    """A clock whose second reading of each prediction raises."""

    def __init__(self):
        self.readings = 0

    def __call__(self):
        self.readings += 1
        if self.readings % 2 == 0:
            raise BrokenError
        return self.readings


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_clock_at_the_end(kind, monkeypatch):
    """A clock that raises after the user's function ran costs the record, not the result or the exception."""
    monkeypatch.setattr(writer_module, "monotonic_ns", FlakyClock())
    with fly(reraise=False) as rs:
        statistics = survives(rs, kind, lambda predict: None)
        assert nonzero(statistics.losses) == {losses.RECORD_FAILED: 2}
        assert statistics.guarded == {"finish": 1, "fail": 1}


class Exploding:
    """A struct whose pack raises."""

    def __init__(self, size=0):
        self.size = size

    def pack_into(self, *_):
        raise BrokenError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layout", "places"),
    [(("BEGIN", "BEGIN_BARE"), {"begin": 2}), (("END", "END_ROW"), {"finish": 1, "fail": 1})],
    ids=["begin", "end"],
)
def test_a_header_that_cannot_be_packed(kind, layout, places, monkeypatch):
    """A failing pack costs the record it was for."""
    for name in layout:
        monkeypatch.setattr(writer_module, name, Exploding())
    with fly(reraise=False) as rs:
        statistics = survives(rs, kind, lambda predict: None)
        assert (nonzero(statistics.losses), statistics.guarded) == ({losses.RECORD_FAILED: 2}, places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_that_cannot_be_learned(kind, monkeypatch):
    """A bug while the schema is learned costs the features, not the call."""
    monkeypatch.setattr(recorder_module, "learn", broken)
    with fly(reraise=False) as rs:
        statistics = survives(rs, kind, lambda predict: None)
        assert (nonzero(statistics.losses), statistics.guarded) == ({losses.FEATURES_WIDTH: 2}, {})
        assert statistics.records == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_callable_that_raises(kind):
    """The user's `input=` raising at every call costs the features; the calls are counted with their outputs."""
    with fly() as rs:
        statistics = survives(rs, kind, lambda predict: None, input=broken)
        assert nonzero(statistics.losses) == {losses.FEATURES_UNREADABLE: 2}
        (window,) = rs.windows()
        assert (window.calls, window.output.class_counts.tolist(), window.features) == (2, [1], None)
        assert sum(window.errors.values()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_callable_that_raises(kind):
    """The user's `output=` raising costs the output of the call that had one."""
    with fly() as rs:
        statistics = survives(rs, kind, lambda predict: None, output=broken)
        assert (nonzero(statistics.losses), statistics.records) == ({losses.OUTPUT_UNREADABLE: 1}, 2)
        assert rs.windows()[0].output.unreadable == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_reference_file(kind, tmp_path):
    """A reference that cannot be read at the first call is logged; predictions are counted without it."""
    with fly(reraise=False) as rs:
        rs.pipeline().settings.references["m"] = str(tmp_path / "absent.json")
        statistics = survives(rs, kind, lambda predict: None)
        assert nonzero(statistics.losses) == {}
        assert set(statistics.guarded) == {"reference"}
        assert statistics.records == 2


def test_an_error_type_that_cannot_be_named():
    """An exception whose class raises when it is looked up is counted by its name, and arrives as it is."""

    class Hostile(type):
        def __hash__(cls):
            raise BrokenError

    class AwkwardError(Exception, metaclass=Hostile):
        pass

    error = AwkwardError()

    def predict(features):
        raise error

    with fly(reraise=False) as rs:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - its class cannot be looked up
            rs.observe("m")(predict)([1.0])
        assert raised.value is error
        (window,) = rs.windows()
        ((name, count),) = window.errors.items()
        assert (name.rpartition(".")[2], count) == ("AwkwardError", 1)
        assert (rs.losses(), rs.statistics().guarded) == ({}, {})


def test_error_types_beyond_the_bound():
    """The 200th error type and all after it are counted under _OTHER."""

    def predict(features):
        raise type(f"Error{int(features[0])}", (Exception,), {"__module__": "builtins"})

    with fly() as rs:
        observed = rs.observe("m")(predict)
        for number in range(202):
            with pytest.raises(Exception):  # noqa: B017, PT011 - a type per call
                observed([float(number)])
        errors = rs.windows()[0].errors
        assert (errors["Error0"], errors["Error198"], errors["_OTHER"], len(errors)) == (1, 1, 3, 200)
        assert rs.losses() == {losses.ERROR_OVERFLOW: 3}


def test_a_log_handler_that_raises():
    """A failure of the host's log handler while a loss is logged does not reach the prediction."""

    class Failing(logging.Handler):
        def emit(self, record):
            raise BrokenError

    logger = logging.getLogger("radiosonde")
    handler = Failing()
    logger.addHandler(handler)
    try:
        with fly() as rs:
            assert rs.observe("m", task="regression")(lambda features: 1)(object()) == 1
            assert rs.losses() == {losses.FEATURES_UNREADABLE: 1}
            assert rs.statistics().guarded == {"log": 1}
    finally:
        logger.removeHandler(handler)


def test_a_fold_that_fails(monkeypatch):
    """A bug in the aggregator costs the telemetry of its slice and is counted; later predictions go on."""
    monkeypatch.setattr("radiosonde._aggregate.aggregator.Aggregator.fold", broken)
    with fly(reraise=False) as rs:
        predict = rs.observe("m")(lambda features: 1)
        assert predict([1.0]) == 1
        assert rs.windows() == ()
        assert rs.statistics().guarded["fold"] >= 1
        monkeypatch.undo()
        assert predict([1.0]) == 1
        assert rs.windows()[0].calls == 1


# Losses for lack of room ---------------------------------------------------------------------------


def elsewhere(predict, value):
    """Predict in a context of its own, as another thread would: inside a prediction of the model it would be a part of that."""
    contextvars.Context().run(predict, value)


def test_a_slot_reclaimed_while_in_flight():
    """A prediction around more nested ones than the ring has slots is counted when it ends, with its id and its phases."""
    with fly(ring_bytes=65_536) as rs:
        inner = rs.observe("inner")(lambda features: 1)

        @rs.observe("outer")
        def outer(features):
            with rs.stage("nested"):
                for _ in range(features[0]):
                    elsewhere(outer, [0])
            return inner([1])

        assert outer([1]) == 1
        capacity = last_token()[0].ring.capacity
        for around in (capacity - 1, capacity + 5, 3 * capacity):
            outer([around])
            rs.label(current().id, 1)
        rs.flush()
        statistics = rs.statistics()
        outers = 2 + (capacity) + (capacity + 6) + (3 * capacity + 1)
        assert (statistics.records, rs.losses()) == (2 * outers, {})
        windows = [window for window in rs.windows() if window.key.model == "outer"]
        assert sum(window.calls for window in windows) == sum(window.rows for window in windows) == outers
        longest = max(np.flatnonzero(window.latency.counts).max() for window in windows)
        assert sum(window.latency.phase_sums_s[0, longest] for window in windows) > 0


def test_a_failing_prediction_whose_slot_was_reclaimed():
    """A late exception is counted by its type, and is unchanged."""
    with fly(ring_bytes=65_536) as rs:

        @rs.observe("m")
        def predict(features):
            if features[0]:
                for _ in range(features[0]):
                    elsewhere(predict, [0])
                raise UsersError
            return 1

        predict([0])
        with pytest.raises(UsersError):
            predict([last_token()[0].ring.capacity])
        assert rs.losses() == {}
        (name,) = {name for window in rs.windows() for name in window.errors}
        assert name.endswith("UsersError")
        assert sum(sum(window.errors.values()) for window in rs.windows()) == 1


def test_features_told_too_late():
    """Features given after the slot was reclaimed, or after the end, are a named loss and do not touch other rows."""
    kept = []
    with fly(ring_bytes=65_536) as rs:

        @rs.observe("m", input=False)
        def predict(nested):
            mine = current()
            kept.append(mine)
            for _ in range(nested):
                elsewhere(predict, 0)
            mine.features([1.0, 2.0])

        predict(0)
        predict(0)
        predict(last_token()[0].ring.capacity)
        lost = rs.losses()
        assert (lost[losses.FEATURES_LEARNING], lost[losses.FEATURES_LATE]) == (1, 1)
        kept[0].features([3.0, 4.0])
        assert rs.losses()[losses.FEATURES_UNREADABLE] == 1


def test_phases_beyond_six_and_stages_outside():
    """The seventh phase name of a model, and a stage where nothing is predicted, are counted and harmless."""
    with fly() as rs:

        @rs.observe("m")
        def predict(features):
            for number in range(8):
                with rs.stage(f"phase{number}"):
                    pass
            return 1

        assert predict([1.0]) == 1
        with rs.stage("outside"):
            pass
        assert rs.losses() == {losses.PHASE_OVERFLOW: 2, losses.STAGE_OUTSIDE: 1}
        assert rs.windows()[0].latency.phases == tuple(f"phase{number}" for number in range(6))


def test_cohorts_beyond_the_bound():
    """Cohort cells beyond max_series are counted under one overflow cohort."""
    with fly(max_series=3, cohorts={"user": ["*"]}) as rs:
        predict = rs.observe("m")(lambda features: 1)
        for number in range(5):
            with rs.cohort(user=f"u{number}"):
                predict([1.0])
        calls = {window.key.cohort: window.calls for window in rs.windows()}
        assert calls == {"user=u0": 1, "user=u1": 1, "__overflow__": 3}
        assert rs.losses() == {losses.COHORT_OVERFLOW: 3}


# Batches -----------------------------------------------------------------------------------------------------------------


def test_a_batch_that_interrupts_a_reservation_is_refused():
    """The features of a batch predicted by a signal handler inside a reservation are refused; all else of it counts."""
    with fly() as rs:
        predict = rs.observe("m", features=["a", "b"])(lambda features: ["yes"] * len(features))
        predict(np.zeros((4, 2)))
        arena = last_token()[0].ring.arena
        arena._owner = threading.get_ident()
        predict(np.zeros((5, 2)))
        arena._owner = 0
        predict(np.zeros((6, 2)))
        assert rs.losses() == {losses.BATCH_REFUSED: 5}
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.output.class_counts.tolist()) == (3, 15, [15])


def test_a_batch_wider_than_the_arena_is_refused():
    """Rows so wide that not one fits are refused by name; the call still counts."""
    with fly(ring_bytes=65_536) as rs:
        names = [f"v{place}" for place in range(5000)]
        rs.observe("m", features=names)(lambda features: None)(np.zeros((3, 5000)))
        assert rs.losses() == {losses.BATCH_REFUSED: 3}
        assert [(window.calls, window.rows) for window in rs.windows()] == [(1, 3)]


@pytest.mark.parametrize("rows", [1365, 1366, 2730, 2731, 5461, 40_000])
def test_a_batch_larger_than_the_arena_is_thinned_not_refused(rows):
    """A batch of any number of rows is recorded, its features thinned where they must be; rows and outputs are exact."""
    with fly(ring_bytes=65_536) as rs:
        predict = rs.observe("m", features=["a"])(lambda features: np.full(len(features), "yes"))
        predict(np.arange(rows, dtype=np.float64).reshape(-1, 1))
        header = last_header()
        step, kept = int(header["step"]), int(header["kept"])
        assert kept * 3 <= 65_536 // 8 // 2
        assert step == -(-rows // 1365)
        expected = np.arange(rows)[kept_rows(last_token()[INDEX], rows, step)]
        block = last_token()[0].ring.arena.block(int(header["batch"]) - 1, kept, 1)
        assert block[:, 0].tolist() == expected.tolist()
        assert rs.losses() == {}
        windows = rs.windows()
        assert sum(window.rows for window in windows) == rows
        assert sum(int(window.output.class_counts.sum()) for window in windows) == rows


@pytest.mark.parametrize("step", [2, 3, 7, 12, 30])
def test_thinning_is_unbiased(step):
    """Each row of a batch is kept with probability 1/step (five standard errors), those of a short last stratum too."""
    calls, rows = 128 * step, 3 * step + 1
    hits = np.zeros(rows)
    for index in range(calls):
        hits[kept_rows(index, rows, step)] += 1
    spread = (calls * (1 / step) * (1 - 1 / step)) ** 0.5
    assert (abs(hits - 128) <= 5 * spread).all()


def test_a_batch_overwritten_in_the_arena():
    """Only features of a batch are overwritten before the drain; a slow one never writes its outputs over another's."""
    with fly(ring_bytes=65_536) as rs:

        @rs.observe("m", features=["a"])
        def predict(features):
            if features[0, 0] == 5.0:
                return ["quick"] * len(features)
            for _ in range(2):  # the arena has room for two batches of 1000 rows and 2 outputs, the third wraps around
                elsewhere(predict, np.full((1000, 1), 5.0))
            return ["slow"] * len(features)

        rs.pipeline()._turn.acquire()  # not drained meanwhile
        try:
            predict(np.full((1000, 1), 4.0))
        finally:
            rs.pipeline()._turn.release()
        rs.flush()
        answers, calls, rows, cells = Counter(), 0, 0, 0
        for window in rs.windows():
            calls, rows = calls + window.calls, rows + window.rows
            answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
            cells += int(window.features.cells.sum()) if window.features else 0
        assert (calls, rows, rs.losses()) == (3, 3000, {})
        assert +answers == {"quick": 2000, "slow": 1000}
        assert cells in (1000, 2000)  # whichever blocks the last one went over


def test_memory_that_cannot_be_had_for_batches(monkeypatch):
    """No memory for the arena costs the features of that batch only; the next one is tried again."""
    with fly() as rs:
        predict = rs.observe("m", features=["a"])(lambda features: ["yes"] * len(features))
        monkeypatch.setattr(arena_module, "mmap", SimpleNamespace(mmap=broken))
        assert predict(np.zeros((2, 1))) == ["yes", "yes"]
        monkeypatch.undo()
        predict(np.zeros((3, 1)))
        assert rs.losses() == {losses.FEATURES_UNREADABLE: 2}
        (window,) = rs.windows()
        assert (window.calls, window.rows, window.output.class_counts.tolist()) == (2, 5, [5])


def test_nothing_is_recorded_after_a_shutdown():
    """Observed functions go on working after a shutdown, silently, and record again after the next start."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: 1)
        predict([1.0])
        rs.shutdown()
        assert predict([1.0]) == 1
        rs.start(prometheus=False)
        assert predict([1.0]) == 1
        assert [window.calls for window in rs.windows()] == [1]
