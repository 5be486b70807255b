"""A join store in memory is bounded."""

from __future__ import annotations

from radiosonde._join import memory
from radiosonde._join.joining import Received
from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.store import Label
from radiosonde._join.waiting import WaitingRoom
from tests.unit.join.predictions import BASE_NS, CLASSES, VALUES, S, id_of, predictions

NOW_NS = BASE_NS + 100_000 * S


def joined(store, *ids, now_ns=NOW_NS):
    """Label predictions; return the results."""
    store.receive([Label(each, 1, NOW_NS) for each in ids])
    batch = store.join("me", now_ns=now_ns)
    if batch is None:
        return {}
    store.acknowledge(batch.id)
    return batch.results


def test_the_newest_predictions_of_each_lane_are_kept():
    """Labels of those dropped are expired at once; another lane loses nothing."""
    store = MemoryJoinStore(capacity=4096)
    store.remember([predictions(VALUES, [1])])
    for first in range(0, 8192, 512):
        store.remember([predictions(CLASSES, list(range(first, first + 512)))])
    assert store.pruned == 4096
    assert joined(store, id_of(CLASSES, 4095)) == {"expired": 1}
    assert joined(store, id_of(CLASSES, 4096), id_of(VALUES, 1)) == {"joined": 2}


def test_all_lanes_together_are_bounded(monkeypatch):
    """Workers come and go: the oldest predictions are dropped first."""
    monkeypatch.setattr(memory, "LANES", 2)
    store = MemoryJoinStore(capacity=1000)
    lanes = [CLASSES.__class__(nonce=nonce, model="m", version="", variant="stable") for nonce in (1, 2, 3)]
    for lane in lanes:
        store.remember([predictions(lane, list(range(900)))])
    assert store.pruned == 900
    assert joined(store, *(id_of(lane, 5) for lane in lanes)) == {"expired": 1, "joined": 2}


def test_labels_that_wait_are_bounded(monkeypatch):
    """The one that has waited longest makes room."""
    monkeypatch.setattr(memory, "WAITING", 3)
    store = MemoryJoinStore()
    assert joined(store, *(id_of(CLASSES, index) for index in range(5))) == {"unknown": 2}
    assert store.waiting == 3


def test_callers_names_are_bounded():
    """The oldest go."""
    store = MemoryJoinStore(capacity=2)
    store.remember([predictions(CLASSES, [1])])
    store.alias([(f"order-{number}", id_of(CLASSES, 1)) for number in range(3)])
    assert joined(store, "order-0", "order-2") == {"joined": 1}
    assert store.waiting == 1


def test_old_names_are_forgotten():
    """With the predictions they mean."""
    store = MemoryJoinStore()
    store.remember([predictions(CLASSES, [1])])
    store.alias([("order", id_of(CLASSES, 1))])
    joined(store, now_ns=NOW_NS + 31 * 86_400 * S)
    assert not store._aliases
    assert not store._pages
    assert not store._kept


def test_a_room_of_labels_that_come_and_go_stays_small():
    """Remains of requeued labels are removed."""
    room = WaitingRoom(10)
    for number in range(20_000):
        room.add(Received(f"order-{number}", 1, 0, 1))
        assert [each.id for each in room.wake(f"order-{number}")] == [f"order-{number}"]
    assert len(room) == 0
    assert len(room._by_age) < 2000
    assert not room._wakes
