"""What all join stores do, by example; `tests/laws/test_join_laws.py` has the laws."""

from __future__ import annotations

import itertools

import pytest

from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.redis import RedisJoinStore
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde._join.store import Label
from tests.redis_server import running_redis
from tests.unit.join.predictions import BASE_NS, CLASSES, VALUES, S, id_of, predictions

NOW_NS = BASE_NS + 3600 * S
HOUR_NS, MONTH_NS = 3601 * S, 31 * 86_400 * S


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def open_store(request, require_program, tmp_path_factory):
    """Return an opener of each kind of store in turn, empty."""
    folder, numbers = tmp_path_factory.mktemp("stores"), itertools.count()
    if request.param == "memory":
        yield MemoryJoinStore
    elif request.param == "sqlite":
        yield lambda: SqliteJoinStore(folder / f"{next(numbers)}.sqlite")
    else:
        with running_redis(require_program("redis-server"), folder) as url:
            yield lambda: RedisJoinStore(url, prefix=f"{next(numbers)}:")


@pytest.fixture
def store(open_store):
    """Return an empty store."""
    opened = open_store()
    yield opened
    opened.close()


def results(store, now_ns=NOW_NS):
    """Join and acknowledge everything; return the labels by result and the outcomes."""
    totals, outcomes = {}, []
    while (batch := store.join("me", now_ns=now_ns)) is not None:
        store.acknowledge(batch.id)
        outcomes += batch.outcomes
        for result, count in batch.results.items():
            totals[result] = totals.get(result, 0) + count
    return totals, outcomes


def test_nothing_to_do_is_none(store):
    """An empty store hands out nothing and forgets unknown batches in silence."""
    assert store.join("me", now_ns=NOW_NS) is None
    store.acknowledge("none")
    store.receive([])
    store.remember([])
    store.alias([])
    assert store.waiting == 0


def test_a_batch_comes_again_until_it_is_acknowledged(store):
    """To its owner at once, to others when the owner has been silent for a minute; the same one, then never."""
    store.remember([predictions(CLASSES, [1, 2])])
    store.receive([Label(id_of(CLASSES, 1), "yes", NOW_NS)])
    batch = store.join("me", now_ns=NOW_NS)
    store.receive([Label(id_of(CLASSES, 2), "yes", NOW_NS)])
    assert repr(store.join("me", now_ns=NOW_NS)) == repr(batch)
    other = store.join("you", now_ns=NOW_NS)
    assert other.id != batch.id
    taken = store.join("they", now_ns=NOW_NS + 61 * S)
    assert repr(taken) in (repr(batch), repr(other))
    store.acknowledge(batch.id)
    store.acknowledge(other.id)
    assert store.join("they", now_ns=NOW_NS + 600 * S) is None


def test_a_label_waits_an_hour_for_its_prediction(store):
    """Then it is unknown; one whose prediction comes in time is joined."""
    store.receive([Label(id_of(CLASSES, index), "yes", NOW_NS) for index in (1, 2)])
    assert results(store) == ({}, [])
    assert store.waiting == 2
    store.remember([predictions(CLASSES, [1])])
    assert results(store)[0] == {"joined": 1}
    assert results(store, NOW_NS + HOUR_NS)[0] == {"unknown": 1}
    assert store.waiting == 0


def test_an_old_id_is_expired_at_once(store):
    """The id tells its time."""
    store.receive([Label(id_of(CLASSES, 1), "yes", NOW_NS)])
    assert results(store, NOW_NS + MONTH_NS)[0] == {"expired": 1}


def test_an_old_id_waits_where_callers_have_names_of_their_own(store):
    """A hexadecimal name may look like an old id, and its prediction may come yet."""
    name = f"{5:032x}"
    store.alias([("order-1", id_of(CLASSES, 1))])
    store.receive([Label(name, "yes", NOW_NS), Label(f"{6:032x}", "yes", NOW_NS)])
    assert results(store) == ({}, [])
    store.remember([predictions(CLASSES, [2])])
    store.alias([(name, id_of(CLASSES, 2))])
    assert results(store)[0] == {"joined": 1}
    assert results(store, NOW_NS + HOUR_NS)[0] == {"expired": 1}


def test_a_name_that_is_known_before_its_prediction(store):
    """A label by that name waits for the prediction, as one by our id does."""
    store.alias([("order", id_of(CLASSES, 1))])
    store.receive([Label("order", "yes", NOW_NS)])
    assert results(store) == ({}, [])
    store.remember([predictions(CLASSES, [1])])
    assert results(store)[0] == {"joined": 1}


def test_the_first_meaning_of_a_name_stays(store):
    """A request that was sent twice has one outcome, with its first answer; other ids have no effect."""
    store.remember([predictions(CLASSES, [1, 2])])
    store.alias(
        [("order", "no id"), ("order", id_of(CLASSES, 2)), ("order", id_of(CLASSES, 1)), ("\0", id_of(CLASSES, 1))]
    )
    store.receive([Label("order", "yes", NOW_NS), Label(id_of(CLASSES, 2), "yes", NOW_NS)])
    assert results(store)[0] == {"joined": 1, "duplicate": 1}


def test_what_cannot_be_read_is_invalid(store):
    """Ids that are none, values that are none, times beyond 64 bits."""
    good = id_of(CLASSES, 1)
    bad = [
        Label("", 1, 1), Label(None, 1, 1), Label("x" * 257, 1, 1), Label("\ud800", 1, 1), Label("a\0b", 1, 1),
        Label(good, None, 1), Label(good, float("nan"), 1), Label(good, [1], 1), Label(good, "yes", 1 << 63),
    ]  # fmt: skip
    store.receive(bad)
    assert results(store)[0] == {"invalid": 9}


def test_two_lanes_with_one_nonce_are_told_apart_by_the_start(store):
    """A nonce is 32 random bits; the id holds the start as well."""
    twin = VALUES.__class__(nonce=CLASSES.nonce, model="twin", version="", variant="stable")
    store.remember([predictions(CLASSES, [1]), predictions(twin, [1], BASE_NS + 5, class_code=-1, score=3.0)])
    store.receive([Label(id_of(twin, 1, BASE_NS + 5), 4, NOW_NS)])
    _, (outcome,) = results(store)
    assert (outcome.key.model, outcome.value, outcome.label) == ("twin", 3.0, 4.0)


def test_names_that_a_lane_adds_are_known(store):
    """A cohort or class that came later is found with its own chunk, and earlier ones keep theirs."""
    grown = CLASSES.__class__(
        **{name: getattr(CLASSES, name) for name in CLASSES.__slots__} | {"cohorts": ("", "plan=pro", "plan=free")}
    )
    store.remember([predictions(CLASSES, [1])])
    store.remember([predictions(grown, [3], series=2), predictions(CLASSES, [5])])
    store.receive([Label(id_of(CLASSES, index), "yes", NOW_NS) for index in (1, 3, 5)])
    found = sorted((each.event_ns, each.key.cohort) for each in results(store)[1])
    assert [cohort for _, cohort in found] == ["plan=pro", "plan=free", "plan=pro"]


def test_a_prediction_that_is_there_twice_shows_its_cells(store):
    """A receipt contains less than its record."""
    receipt = CLASSES.__class__(
        nonce=7, model="delays", version="2", variant="stable", cohorts=("plan=pro",), classes=("yes",)
    )
    store.remember([predictions(receipt, [1], class_code=0, series=0)])
    store.remember([predictions(CLASSES, [1])])
    store.receive([Label(id_of(CLASSES, 1), "yes", NOW_NS)])
    _, (outcome,) = results(store)
    assert (outcome.cells, outcome.key.cohort, outcome.predicted) == (b"\x01\x02\x03", "plan=pro", "yes")


def test_what_is_never_labelled_is_said_once(store):
    """A month later; a prediction that is there twice, too. Labels that came before, and were not joined, still count."""
    store.remember([predictions(CLASSES, [1, 2, 3]), predictions(CLASSES, [2, 3, 4])])
    store.receive([Label(id_of(CLASSES, 3), "yes", NOW_NS)])
    _, outcomes = results(store, NOW_NS + MONTH_NS)
    assert sorted((each.event_ns - BASE_NS) // S + 60 for each in outcomes if each.label is None) == [1, 2, 4]
    assert [each.label for each in outcomes if each.label is not None] == ["yes"]
    assert results(store, NOW_NS + 2 * MONTH_NS) == ({}, [])
    store.receive([Label(id_of(CLASSES, 3), "no", NOW_NS)])
    assert results(store, NOW_NS + MONTH_NS)[0] == {"expired": 1}


def test_a_page_is_given_up_in_pieces(store):
    """The limit bounds the predictions of a batch."""
    store.remember([predictions(CLASSES, list(range(1000, 1050)))])
    counts = []
    while (batch := store.join("me", now_ns=NOW_NS + MONTH_NS, limit=20)) is not None:
        counts.append(len(batch.outcomes))
        store.acknowledge(batch.id)
    assert sum(counts) == 50
    assert max(counts) <= 20
