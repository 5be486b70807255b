"""Losses of a host are a gap, and are listed with every required check that they weaken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.diagnose import check
from radiosonde.model import OVERFLOW_COHORT, SeriesKey
from radiosonde.model.lost import LostCounts
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.compact import DAY_NS, MINUTE_NS, Tiers
from tests.factories import START_NS, make_runtime_window, make_window

HOURS = 30


def traffic(minute: int, model: str = "delays"):
    """Return a minute of a hundred calls."""
    start_ns = START_NS + minute * MINUTE_NS
    return make_window(SeriesKey(model, "1"), start_ns=start_ns, end_ns=start_ns + MINUTE_NS, durations_s=[0.25] * 100)


def told(first: int, end: int, calls: int, model: str = "delays", process: str = "p1"):
    """Return the record of a process that lost windows of those minutes."""
    window = make_runtime_window(
        START_NS + first * MINUTE_NS, START_NS + end * MINUTE_NS, process=process, observed_s=0.0
    )
    place = (model, "store_failed")
    return replace(window, lost=LostCounts({place: end - first}, {place: calls}))


SERVED = [traffic(minute) for minute in range(60)]


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (
            [told(10, 20, 250)],
            "20 % of the calls between 2013-03-01 00:10 and 2013-03-01 00:20 UTC were lost: 10 windows",
        ),
        ([told(10, 12, 0)], "labels between 2013-03-01 00:10 and 2013-03-01 00:12 UTC were lost: 2 windows"),
        (
            [told(10, 20, 250), told(30, 31, 10, process="p2")],
            "11 % of the calls between 2013-03-01 00:10 and 2013-03-01 00:31",
        ),
        ([told(10, 20, 250), told(0, 60, 9, "prices")], "20 % of the calls between 2013-03-01 00:10"),
        ([told(10, 20, 5, OVERFLOW_COHORT)], "0.5 % of the calls between 2013-03-01 00:10"),
    ],
    ids=["windows", "labels", "two processes", "another model's", "of too many models"],
)
def test_a_loss_is_a_gap_and_weakens_what_is_required(lost, words):
    """The share is that of the calls of the span; each check that a gate can require lists it."""
    found = check([*SERVED, *lost], {}, model="delays")
    assert [gap.because.startswith(words) for gap in found.not_checked if gap.check == "what was lost"] == [True]
    required = [passed for passed in found.checked if passed.subject in ("errors", "latency")]
    assert required
    assert all(words in passed.weakened for passed in required)


def test_without_a_loss_nothing_is_weakened():
    """The same windows alone, and with the health of a process that lost nothing."""
    for health in ([], [make_runtime_window(process="p1")]):
        found = check([*SERVED, *health], {})
        assert not any(gap.check == "what was lost" for gap in found.not_checked)
        assert not any(passed.weakened for passed in found.checked)


@pytest.mark.parametrize("others", [SERVED, []], ids=["beside another model", "alone"])
def test_a_model_that_was_lost_whole_is_not_healthy(others):
    """Nothing of it was stored, so only its loss says that it exists."""
    found = check([*others, told(0, 60, 6000, "prices")], {})
    assert found.status == "not checked"
    (gap,) = [gap for gap in found.missing if gap.where.model == "prices"]
    assert gap.because.startswith("100 % of the calls between 2013-03-01 00:00 and 2013-03-01 01:00 UTC were lost")


@pytest.mark.parametrize("age_days", [0, 3, 90], ids=["minutes", "hours", "days"])
def test_the_share_stays_when_windows_are_added_up(age_days, tmp_path):
    """Counts of losses merge like other counts; the span is that of the tier."""
    writer = StoreWriter(tmp_path / "a.db", clock_ns=lambda: START_NS, tiers=Tiers())
    writer.write([*SERVED, told(0, 60, 2000, process="p1"), told(0, 60, 4000, process="p2")])
    writer.compact(START_NS + age_days * DAY_NS + DAY_NS // 24)
    source = open_source(tmp_path / "a.db")
    found = check([*source.windows(), *source.runtime_windows()], {})
    (gap,) = [gap for gap in found.not_checked if gap.check == "what was lost"]
    assert gap.because.startswith("50 % of the calls between 2013-03-01 00:00 and")
    assert gap.because.endswith("120 windows were counted and could not be stored (store_failed 120)")
