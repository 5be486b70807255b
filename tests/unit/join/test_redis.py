"""A join store on Redis: concurrent changes, and expiry by the server."""

from __future__ import annotations

import itertools

import pytest

from radiosonde._join import redis as redis_store
from radiosonde._join.joining import join_labels
from radiosonde._join.redis import RedisJoinStore
from radiosonde._join.store import Label
from radiosonde.errors import StoreError
from tests.redis_server import running_redis
from tests.unit.join.predictions import BASE_NS, CLASSES, S, id_of, predictions

NOW_NS = BASE_NS + 3600 * S
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def redis_url(require_program, tmp_path_factory):
    """Run a server for the module."""
    with running_redis(require_program("redis-server"), tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def stores(redis_url):
    """Return two clients of one store."""
    prefix = f"{next(NUMBERS)}:"
    opened = [RedisJoinStore(redis_url, prefix=prefix) for _ in range(2)]
    yield opened
    for store in opened:
        store.close()


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("name", [id_of(CLASSES, 1), "order-1"])
def test_a_prediction_that_comes_while_it_is_looked_for_is_found(stores, monkeypatch, moment, name):
    """After the first lookup or just before the label begins to wait: it does not wait for a stored prediction."""
    calls = []

    def look(labels, lookup):
        found = join_labels(labels, lookup)
        calls.append(1)
        if len(calls) == moment:
            stores[1].remember([predictions(CLASSES, [1])])
            stores[1].alias([("order-1", id_of(CLASSES, 1))])
        return found

    monkeypatch.setattr(redis_store, "join_labels", look)
    stores[0].receive([Label(name, "yes", NOW_NS)])
    batch = stores[0].join("me", now_ns=NOW_NS)
    assert batch.results == {"joined": 1}
    assert stores[0].waiting == 0


def test_a_joiner_that_is_always_overtaken_gives_up_and_says_so(stores, monkeypatch):
    """Nothing of its join is done."""

    def look(labels, lookup):
        stores[1].acknowledge("some")
        return join_labels(labels, lookup)

    monkeypatch.setattr(redis_store, "join_labels", look)
    monkeypatch.setattr(redis_store, "ATTEMPTS", 3)
    stores[0].receive([Label(id_of(CLASSES, 1), "yes", NOW_NS)])
    with pytest.raises(StoreError, match="3 joins in a row conflicted"):
        stores[0].join("me", now_ns=NOW_NS)
    assert stores[0].waiting == 1


def test_what_is_kept_of_predictions_ends_by_itself(stores):
    """Pages, names, labels and aliases have a time to live; unjoined labels have none."""
    store = stores[0]
    store.remember([predictions(CLASSES, [1])])
    store.alias([("order", id_of(CLASSES, 1))])
    store.receive([Label("order", "yes", NOW_NS), Label("other", "yes", NOW_NS)])
    batch = store.join("me", now_ns=NOW_NS)
    store.receive([Label("order", "no", NOW_NS)])
    assert batch.results == {"joined": 1}
    prefix = store._keys.prefix.encode()
    lives = {
        key.removeprefix(prefix).split(b":")[0]: store._client.ttl(key)
        for key in store._client.scan_iter(prefix + b"*")
    }
    mortal = {name for name, ttl_s in lives.items() if 30 * 86_400 < ttl_s <= 31 * 86_400}
    assert mortal == {b"page", b"lane", b"stated", b"alias", b"aliased", b"wake"}
    eternal = {b"received", b"waiting", b"waiting_by_age", b"ages", b"batches", b"batch", b"joins"}
    assert {name for name, ttl_s in lives.items() if ttl_s == -1} == eternal


def test_a_page_the_server_has_dropped_is_passed_over(stores):
    """Its predictions say nothing any more, and the list of ages forgets them."""
    store = stores[0]
    store.remember([predictions(CLASSES, [1]), predictions(CLASSES, [2000])])
    store._client.delete(store._keys.page((CLASSES.nonce, 0)))
    batch = store.join("me", now_ns=NOW_NS + 31 * 86_400 * S)
    assert len(batch.outcomes) == 1
    assert store._client.zcard(store._keys.ages) == 0


def test_labels_that_wait_are_bounded(stores, monkeypatch):
    """Those that have waited longest are unknown."""
    monkeypatch.setattr(redis_store, "WAITING", 3)
    store = stores[0]
    store.receive([Label(f"order-{number}", "yes", NOW_NS) for number in range(3)])
    assert store.join("me", now_ns=NOW_NS) is None
    store.receive([Label(f"order-{number}", "yes", NOW_NS) for number in range(3, 5)])
    batch = store.join("me", now_ns=NOW_NS + S)
    assert batch.results == {"unknown": 2}
    assert store.waiting == 3
