"""Status of a diagnosis: healthy never covers unchecked parts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.diagnose import EXIT_CODES, Freshness, check
from radiosonde.diagnose.text import span_words
from tests.factories import HOUR_NS, KEY, START_NS, make_reference, make_window

MINUTE_NS = 60_000_000_000


def made(steps, *, calls, rows=1, failing=0, length_ns=MINUTE_NS, every_ns=None, key=KEY):
    """Return *steps* windows of *calls* calls of which *failing* raise; a call has *rows* rows."""
    windows = []
    for step in range(steps):
        start = START_NS + step * (every_ns or length_ns)
        window = make_window(key, start_ns=start, end_ns=start + length_ns, durations_s=[0.01] * calls)
        errors = {"TimeoutError": failing} if failing else {}
        windows.append(replace(window, calls=calls, rows=rows * (calls - failing), errors=errors, features=None))
    return windows


@pytest.mark.parametrize(
    ("windows", "status", "missing"),
    [
        (made(1, calls=199), "not checked", {"latency"}),
        (made(1, calls=1000), "not checked", {"latency"}),
        (made(1, calls=3), "not checked", {"errors", "latency"}),
        (made(1, calls=1, rows=20_000), "not checked", {"errors", "latency"}),
        (made(30, calls=1, rows=20_000, every_ns=24 * HOUR_NS), "not checked", {"latency"}),
        (made(40, calls=10), "healthy", set()),
        (made(1, calls=1000, failing=1000), "findings", {"latency"}),
        (made(1, calls=20, failing=20), "findings", {"latency"}),
        (made(1, calls=400, failing=200), "findings", {"latency"}),
        (made(40, calls=20, failing=10), "findings", set()),
        (made(30, calls=2, failing=1, every_ns=24 * HOUR_NS), "findings", {"latency"}),
    ],
    ids=[
        "199 calls in one batch", "one window", "three calls", "a batch a night, once", "a batch a night, 30 nights", "40 minutes",
        "all of 1000 fail in one window", "all of 20 fail", "half fail in one window", "half fail from the first window on",
        "half fail at night",
    ],
)  # fmt: skip
def test_the_status_is_what_was_looked_at(windows, status, missing):
    """Little to go on is not health, and a fault needs no history where half of the calls fail."""
    diagnosis = check(windows, {})
    assert diagnosis.status == status
    assert {gap.check for gap in diagnosis.missing} == missing
    assert diagnosis.healthy == (EXIT_CODES[diagnosis.status] == 0)


@pytest.mark.parametrize(
    ("require", "missing"),
    [
        (None, {"features"}),
        (("errors",), set()),
        (("errors", "latency"), set()),
        (("labels", "features"), {"labels", "features"}),
        ((), set()),
    ],
)
def test_a_gate_says_what_it_insists_on(require, missing):
    """By default features are required where a reference was fitted; a provisional one requires nothing."""
    windows = made(40, calls=10)
    fitted = {("delays", "1"): make_reference()}
    assert {gap.check for gap in check(windows, fitted, require=require).missing} == missing
    provisional = {("delays", "1"): make_reference(provisional=True)}
    assert check(windows, provisional).missing == ()


def test_each_model_must_have_been_checked():
    """A healthy model does not hide an unchecked one."""
    other = KEY._replace(model="other")
    diagnosis = check([*made(40, calls=10), *made(1, calls=3, key=other)], {})
    assert diagnosis.status == "not checked"
    assert {(gap.where.model, gap.check) for gap in diagnosis.missing} == {("other", "errors"), ("other", "latency")}


@pytest.mark.parametrize(
    ("late_ns", "length_ns", "stale"),
    [
        (13 * MINUTE_NS, MINUTE_NS, False),
        (13 * MINUTE_NS + 1, MINUTE_NS, True),
        (3 * HOUR_NS + 10 * MINUTE_NS, HOUR_NS, False),
        (3 * HOUR_NS + 10 * MINUTE_NS + 1, HOUR_NS, True),
        (72 * HOUR_NS + 10 * MINUTE_NS, 24 * HOUR_NS, False),
    ],
)
def test_data_are_stale_after_three_windows_and_ten_minutes(late_ns, length_ns, stale):
    """For any length of the windows, and by wall clock only."""
    windows = made(40, calls=10, length_ns=length_ns)
    freshness = Freshness(written_ns=10**18, now_ns=10**18 + late_ns)
    assert check(windows, {}, freshness=freshness).status == ("stale" if stale else "healthy")
    assert check(windows, {}, freshness=freshness, past=True).status == "healthy"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (("delays",), "1 000 calls"),
        (("GET /delays",), "1 000 requests"),
        (("GET /delays", "delays"), "1 000 calls, 1 000 requests"),
        (("GET /delays", "POST /delays", "delays", "cancellations"), "2 000 calls, 2 000 requests"),
    ],
    ids=str,
)
def test_requests_and_the_models_inside_them_are_not_added(models, words):
    """A call within a request is one of each kind, whichever models and routes there are."""
    windows = [window for model in models for window in made(10, calls=100, key=KEY._replace(model=model))]
    assert span_words(check(windows, {})).endswith(f"UTC, {words}")
