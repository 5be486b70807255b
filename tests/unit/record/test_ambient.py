from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from radiosonde import current
from radiosonde._api.surface import Surface
from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.model import OVERFLOW_COHORT, losses, name_of
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly
from tests.unit.record.slots import last_header, last_row

COHORTS = {"carrier": ["UA", "AA"], "user": ["*"]}


@pytest.fixture
def rs():
    """A flight with an allow-list for carriers and an open one for users."""
    with fly(cohorts=COHORTS) as flight:
        yield flight


@pytest.fixture
def predict(rs):
    """An observed function."""
    return rs.observe("m")(lambda features: 1)


def cohorts(rs):
    """Return the calls by cohort."""
    return {window.key.cohort: window.calls for window in rs.windows()}


@pytest.mark.parametrize(
    ("dimensions", "cohort"),
    [
        ({}, ""),
        ({"carrier": "UA"}, "carrier=UA"),
        ({"carrier": "ZZ"}, "carrier=other"),
        ({"carrier": None}, ""),
        ({"user": "anyone"}, "user=anyone"),
        ({"user": 7}, "user=7"),
        ({"user": True}, "user=True"),
        ({"user": 0.5}, "user=0.5"),
        ({"user": "a,b=c%"}, "user=a%2Cb%3Dc%25"),
        ({"user": "x" * 256}, "user=" + "x" * 256),
        # "1 " and the surrogate, computed with `printf "1 \xed\xa0\x80" | b2sum -l 32`
        ({"user": "\ud800"}, "user=\ufffd~a4cb0bf4"),
        ({"user": b"any"}, "user=any"),
        ({"user": UUID(int=7)}, "user=00000000-0000-0000-0000-000000000007"),
        ({"user": Path("a/b")}, "user=a/b"),
        ({"user": np.int64(7)}, "user=7"),
        ({"user": "u", "carrier": "AA"}, "carrier=AA,user=u"),
        # blake2b("secret", 4 bytes), computed with `printf secret | b2sum -l 32`
        ({"email": "secret"}, "email=a89b013c"),
    ],
)
def test_what_a_cohort_is_counted_under(rs, predict, dimensions, cohort):
    """Allowed values pass, others are `other`, dimensions without a list are hashed, None is left out."""
    with rs.cohort(**dimensions):
        predict([1.0])
    assert cohorts(rs) == {cohort: 1}
    assert rs.losses() == ({losses.NAME_CHANGED: 1} if "\ufffd" in cohort else {})


@pytest.mark.parametrize("name", ["\ud800", "x" * 300, "a\nb"])
def test_a_dimension_whose_name_no_carrier_could_hold_is_renamed(rs, predict, name):
    """The name passes the same door as all others."""
    with rs.cohort(**{name: None}), rs.cohort(**{name: "secret"}):
        predict([1.0])
    assert cohorts(rs) == {f"{name_of(name)}=a89b013c": 1}
    assert rs.losses() == {losses.NAME_CHANGED: 1}


def test_a_cohort_cell_longer_than_any_label_is_the_overflow_cell(rs, predict):
    """Each dimension is bounded, and all of them together."""
    dimensions = {f"dimension {number}": number for number in range(60)}
    with rs.cohort(**dimensions):
        predict([1.0])
    assert cohorts(rs) == {OVERFLOW_COHORT: 1}
    assert rs.losses() == {losses.COHORT_OVERFLOW: 1}


@pytest.mark.parametrize("value", [["a"], {"a": 1}, np.zeros(2), object()])
def test_a_value_without_a_text_of_its_own_is_left_out(rs, predict, value):
    """Containers, arrays and objects known by their address are no cohort values."""
    with rs.cohort(user=value):
        predict([1.0])
    assert cohorts(rs) == {"": 1}
    assert rs.losses() == {losses.COHORT_INVALID: 1}


def test_a_value_that_is_no_text_or_number_is_left_out_and_counted(rs, predict):
    """Lists and objects are no cohort values."""
    with rs.cohort(user=["a"], carrier="UA"):
        predict([1.0])
    assert cohorts(rs) == {"carrier=UA": 1}
    assert rs.losses() == {losses.COHORT_INVALID: 1}


def test_nested_cohorts_add_up_and_inner_values_win(rs, predict):
    """A nested scope adds its dimensions and hides outer values until it ends, also by an exception."""
    with rs.cohort(carrier="UA"):
        with rs.cohort(user="u"):
            predict([1.0])
        with suppress(KeyError), rs.cohort(carrier="AA"):
            predict([1.0])
            raise KeyError
        predict([1.0])
    predict([1.0])
    assert cohorts(rs) == {"carrier=UA,user=u": 1, "carrier=AA": 1, "carrier=UA": 1, "": 1}


def test_cohorts_do_not_leak_into_other_threads(rs, predict):
    """A thread started inside a cohort is outside of it; a copied context is inside."""
    with rs.cohort(user="u"):
        inside = contextvars.copy_context()
        threads = [
            threading.Thread(target=predict, args=([1.0],)),
            threading.Thread(target=inside.run, args=(predict, [1.0])),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert cohorts(rs) == {"": 1, "user=u": 1}


def test_cohorts_do_not_leak_between_tasks(rs):
    """Each of many interleaved tasks keeps its own cohort and its own current prediction."""

    @rs.observe("m")
    async def predict(features):
        before = current().id
        await asyncio.sleep(0)
        assert current().id == before
        return before

    async def one(number):
        with rs.cohort(user=f"u{number}"):
            await asyncio.sleep(0)
            ours = await predict([1.0])
            assert current().id == ours
            return ours

    async def main():
        return await asyncio.gather(*(one(number) for number in range(50)))

    assert len(set(asyncio.run(main()))) == 50
    assert cohorts(rs) == {f"user=u{number}": 1 for number in range(50)}


def test_a_scope_left_in_another_context_is_harmless(rs, predict):
    """A framework may leave a `yield` dependency in another context than it entered it in: nothing is raised."""

    def dependency():
        with rs.cohort(user="u"), rs.at(1e9):
            yield

    steps = dependency()
    contextvars.copy_context().run(next, steps)
    assert next(steps, "left") == "left"
    predict([1.0])
    assert cohorts(rs) == {"": 1}


UTC_NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "timestamp",
    [
        UTC_NOON,
        UTC_NOON.astimezone(timezone(timedelta(hours=-5))),
        1_362_139_200,
        1_362_139_200.0,
        np.float64(1_362_139_200),
        np.int64(1_362_139_200),
        Fraction(1_362_139_200),
    ],
)
def test_event_time(rs, predict, timestamp):
    """An aware datetime or epoch seconds is the event time of the predictions inside, to the nanosecond for seconds."""
    with rs.at(timestamp):
        predict([1.0])
    assert last_header()["event_ns"] == 1_362_139_200_000_000_000
    (window,) = rs.windows()
    assert (window.start_ns, window.end_ns) == (1_362_139_200_000_000_000, 1_362_139_260_000_000_000)
    predict([1.0])
    assert last_header()["event_ns"] == 0


def test_event_time_and_cohort_nest_either_way(rs, predict):
    """Cohort in event time and event time in cohort are the same."""
    with rs.at(1e9), rs.cohort(user="u"):
        predict([1.0])
        assert last_header()["event_ns"] == 10**18
    with rs.cohort(user="u"), rs.at(1e9), rs.at(2e9):
        predict([1.0])
        assert last_header()["event_ns"] == 2 * 10**18
    assert cohorts(rs) == {"user=u": 2}


@pytest.mark.parametrize(
    "timestamp",
    [
        datetime(2013, 3, 1),  # noqa: DTZ001
        date(2013, 3, 1), datetime(1600, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, tzinfo=UTC),
        datetime(2260, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), np.datetime64("2013-03-01"), 0, -1, True,
        float("nan"), float("inf"), 1e10, 1e12, 10**400, np.int64(-5), np.float32("nan"), "2013-03-01", None,
    ],
)  # fmt: skip
def test_what_is_no_time_is_told(rs, timestamp):
    """A naive datetime names no instant; milliseconds, text and dates are no times."""
    with pytest.raises(ConfigurationError, match="time"):
        rs.at(timestamp)


def test_the_current_prediction(rs):
    """Inside a prediction and after it, `current` names it; nested predictions come and go."""
    assert contextvars.Context().run(lambda: (current().id, current().is_in_progress)) == ("", False)
    seen = []

    @rs.observe("inner", version="2")
    def inner(features):
        seen.append(current().id)
        return current().model, current().version, current().is_in_progress

    @rs.observe("outer", version="1")
    def outer(features):
        mine = current().id
        assert inner(features) == ("inner", "2", True)
        assert (current().id, current().model, current().is_in_progress) == (mine, "outer", True)
        seen.append(mine)

    outer([1.0])
    assert (current().id, current().version, current().is_in_progress) == (seen[1], "1", False)
    assert len(set(seen)) == 2


def test_features_recorded_by_the_function_itself(rs):
    """With input=False the function says what its features were; the first ones teach the schema."""

    @rs.observe("m", input=False)
    def predict(key):
        current().features({"a": key, "b": 2.0})
        return "yes"

    for key in (1.0, 3.0, 5.0):
        predict(key)
    assert last_row() == [5.0, 2.0]
    assert rs.losses() == {losses.FEATURES_LEARNING: 1}
    rs.flush()
    assert sum(window.calls for window in rs.windows()) == 3
    assert sum(int(w.features.cells.sum()) for w in rs.windows() if w.features) == 4


def test_where_the_features_are(rs):
    """`input=` is a parameter's name or a callable; defaults, keyword-only and catch-all parameters are found."""

    def two(user, features):
        return 1

    def optional(features=(7.0, 8.0)):
        return 1

    def keyword(*, scale=1, features):
        return 1

    def named(**features):
        return 1

    rs.observe("name", input="features")(two)("u", [1.0, 2.0])
    assert last_row() == [1.0, 2.0]
    rs.observe("name", input="features")(two)(features=[1.0, 3.0], user="u")
    assert last_row() == [1.0, 3.0]
    rs.observe("callable", input=lambda user, features: {"a": features[0]})(two)("u", [4.0])
    assert last_row() == [4.0]
    rs.observe("default")(optional)()
    assert last_row() == [7.0, 8.0]
    rs.observe("keyword", input="features")(keyword)(features=[5.0])
    assert last_row() == [5.0]
    rs.observe("catch-all")(named)(a=1.0, b=2.0)
    assert last_row() == [1.0, 2.0]
    rs.observe("first of all")(lambda *args: 1)([6.0], "more")
    assert last_row() == [6.0]
    assert rs.losses() == {}
    with pytest.raises(ConfigurationError, match="is not a parameter of"):
        rs.observe("m", input="nothing")(two)


def test_stages_add_up(rs):
    """Stages of one name add up per prediction; nested predictions have their own; the sum is within the total."""

    @rs.observe("inner")
    def inner(features):
        with rs.stage("fetch"):
            return 1

    @rs.observe("outer")
    def outer(features):
        for _ in range(2):
            with rs.stage("fetch"):
                inner(features)
        with pytest.raises(KeyError), rs.stage("score"):
            raise KeyError
        return 1

    outer([1.0])
    latency = {window.key.model: window.latency for window in rs.windows()}
    assert (latency["outer"].phases, latency["inner"].phases) == (("fetch", "score"), ("fetch",))
    fetch_s, score_s = latency["outer"].phase_sums_s.sum(axis=1).tolist()
    assert 0 < fetch_s < latency["outer"].sums_s.sum()
    assert 0 < score_s < latency["outer"].sums_s.sum()
    assert latency["inner"].phase_sums_s.sum() < fetch_s
    assert latency["inner"].counts.sum() == 2
    assert rs.losses() == {}


@pytest.mark.parametrize("how", ["environment", "start", "start after decoration"])
def test_off_is_harmless_everywhere(how):
    """Switched off, every function of the surface works, raises nothing, and starts nothing."""
    rs = Surface(Guard(reraise=True), environment={"OTEL_SDK_DISABLED": "TRUE"} if how == "environment" else {})
    if how == "start":
        rs.start(disabled=True)
    threads = threading.active_count()
    predict = rs.observe("m")(lambda features: 1)
    if how == "start after decoration":
        rs.start(disabled=True)
    with rs.stage("s"), rs.cohort(user=["odd"]), rs.at("no time"):
        assert predict([1.0]) == 1
    current().features([1.0])
    rs.label("id", 1, time="no time")
    assert (rs.flush(), rs.shutdown()) == (True, True)
    assert (rs.statistics().records, sum(rs.statistics().losses.values())) == (0, 0)
    assert threading.active_count() == threads
    if how != "start after decoration":
        assert rs._pipeline is None


@pytest.mark.parametrize("calls", [1, 20])
def test_switched_off_in_between_delivers_what_was_recorded(calls, tmp_path):
    """Calls before are in the store, calls while it is switched off are neither recorded nor lost."""
    store = tmp_path / "store.sqlite"
    rs = Surface(Guard(reraise=True), environment={"RADIOSONDE_STORE": str(store)})
    predict = rs.observe("m")(lambda features: 1)
    for _ in range(calls):
        predict([1.0])
    rs.start(disabled=True)
    predict([1.0])
    rs.record("other", 0.1)
    assert sum(window.calls for _, window in StoreReader(store).parts(Interval())) == calls
    assert (rs.statistics().records, sum(rs.statistics().losses.values())) == (calls, 0)


def test_off_can_be_switched_on_again():
    """A start without `disabled` after one with it records."""
    rs = Surface(Guard(reraise=True), environment={})
    predict = rs.observe("m")(lambda features: 1)
    rs.start(disabled=True)
    predict([1.0])
    rs.start(prometheus=False)
    try:
        predict([1.0])
        rs.flush()
        assert rs.statistics().records == 1
    finally:
        rs.shutdown()
