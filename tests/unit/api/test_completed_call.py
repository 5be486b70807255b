"""Calls that are over are recorded as calls that were watched are."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from opentelemetry.trace import SpanContext, TraceFlags

from radiosonde.errors import ConfigurationError
from radiosonde.model import losses
from radiosonde.testing import fly

START_S = 1_362_096_000


@pytest.fixture
def rs():
    """Return a Radiosonde of the test's own."""
    with fly(cohorts={"plan": ["pro"]}) as flight:
        yield flight


def test_a_call_that_is_over_counts_with_its_duration_and_phases(rs):
    """Traffic, latency and phases are as given, in the window of the given start."""
    rs.record("POST /predict", 0.25, version="2.0", start=START_S + 5, phases={"queue": 0.05, "predict": 0.15})
    (window,) = rs.windows()
    assert (window.key.model, window.key.version, window.calls, window.rows) == ("POST /predict", "2.0", 1, 1)
    assert window.start_ns == START_S * 10**9
    assert window.latency.sums_s.sum() == pytest.approx(0.25)
    sums = dict(zip(window.latency.phases, window.latency.phase_sums_s.sum(axis=1), strict=True))
    assert sums == pytest.approx({"queue": 0.05, "predict": 0.15}, rel=1e-6)
    assert window.features is None


def test_errors_count_by_name_and_give_no_rows(rs):
    """An exception and its type count under the type, a text under itself; all are calls."""
    rs.record("job", 0.0, error=ValueError("x"))
    rs.record("job", 0.0, error=ValueError)
    rs.record("job", 0.0, error="503")
    rs.record("job", 0.0)
    (window,) = rs.windows()
    assert (window.calls, window.rows, dict(window.errors)) == (4, 1, {"ValueError": 2, "503": 1})


def test_the_cohort_in_force_is_counted(rs):
    """A call that is over belongs to the cohort around the statement, as one that is watched does."""
    with rs.cohort(plan="pro"):
        rs.record("job", 0.1)
    rs.record("job", 0.1)
    assert {window.key.cohort: window.calls for window in rs.windows()} == {"plan=pro": 1, "": 1}


def test_without_a_start_it_began_that_long_ago(rs):
    """The default start is the duration before now."""
    before_ns = time.time_ns()
    rs.record("job", 3600.0)
    (window,) = rs.windows()
    assert window.start_ns <= before_ns - 3600 * 10**9 + 10**9 < window.end_ns + 60 * 10**9


def test_exemplars_point_to_the_span_of_the_call(rs):
    """The context that is given is the exemplar of the call's bucket, if its trace is sampled."""
    rs.record("job", 0.1, span=SpanContext(2**127 + 3, 5, is_remote=False, trace_flags=TraceFlags(1)))
    rs.record("job", 3.0, span=SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(0)))
    exemplars = rs.windows()[0].latency.exemplars.values()
    assert [(each.trace_id, each.span_id) for each in exemplars] == [(2**127 + 3, 5)]


def test_the_last_prediction_stays_the_current_one(rs):
    """Recording the past is no prediction of this context."""
    rs.observe("delays")(lambda x: x)([1.0])
    made = rs.current().id
    rs.record("job", 0.1)
    assert rs.current().id == made


@pytest.mark.parametrize("duration_s", [-1.0, math.nan, math.inf, 1e300, 1e10, "1", None, pd.NA, np.ones(2), 10**400])
def test_a_duration_that_is_none_is_refused(rs, duration_s):
    """Negative and unbounded durations would spoil every quantile."""
    with pytest.raises(ConfigurationError, match="give seconds"):
        rs.record("job", duration_s)


def test_names_beyond_the_bound_share_one_series():
    """A route with an id in it must not make a ring per id."""
    with fly(max_series=3) as rs:
        for number in range(10):
            rs.record(f"GET /{number}", 0.1)
        assert {window.key.model: window.calls for window in rs.windows()} == {
            "GET /0": 1, "GET /1": 1, "GET /2": 1, "__overflow__": 7,
        }  # fmt: skip
        assert rs.losses()["cohort_overflow"] == 7


def test_nothing_is_recorded_after_the_end():
    """After shutdown a record is a counted loss, not an error."""
    with fly() as rs:
        rs.record("job", 0.1)
    rs.record("job", 0.1)
    assert rs.statistics().losses["calls_after_end"] == 1


PHASE_TIMES = {
    "text": "0.1", "none": None, "not a number": math.nan, "negative": -0.1, "infinite": math.inf, "too large": 1e39,
    "missing": pd.NA, "a list": [0.1], "bytes": b"1", "two": np.ones(2), "an object": object(),
}  # fmt: skip


@pytest.mark.parametrize("time", PHASE_TIMES.values(), ids=PHASE_TIMES)
def test_a_time_of_a_phase_that_is_none_costs_that_phase(rs, time):
    """The call counts, and so do its other phases; the next calls count as ever."""
    for _ in range(3):
        rs.record("job", 0.5, phases={"queue": time, "predict": 0.25})
    rs.record("job", 0.5, phases={"queue": np.float32(0.125)})
    (window,) = rs.windows()
    assert window.calls == 4
    sums = dict(zip(window.latency.phases, window.latency.phase_sums_s.sum(axis=1), strict=True))
    assert sums == pytest.approx({"queue": 0.125, "predict": 0.75})
    assert rs.losses() == {losses.PHASE_INVALID: 3}


@pytest.mark.parametrize("phases", [[("queue", 0.1)], "queue", np.ones(2), 7], ids=lambda phases: type(phases).__name__)
def test_phases_that_are_no_mapping_cost_the_phases(rs, phases):
    """The call counts."""
    rs.record("job", 0.5, phases=phases)
    (window,) = rs.windows()
    assert (window.calls, rs.losses()) == (1, {losses.PHASE_INVALID: 1})


@pytest.mark.parametrize("phases", [None, {}, pd.Series({"queue": 0.1}), pd.Series(dtype=float)], ids=repr)
def test_phases_by_name_may_be_any_mapping(rs, phases):
    """Their truth value is not used, which a Series does not have."""
    rs.record("job", 0.5, phases=phases)
    (window,) = rs.windows()
    assert (window.calls, rs.losses()) == (1, {})
