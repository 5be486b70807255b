"""Notifications are tried again, in bounds, and removed once their receiver has answered."""

from __future__ import annotations

import pytest

from radiosonde._clock import NS, wall_ns
from radiosonde._guard import Guard
from radiosonde.errors import StoreError
from radiosonde.model import losses
from radiosonde.watch import delivery as deliveries
from radiosonde.watch.channels.channel import ChannelResult
from radiosonde.watch.delivery import DeliveryCounts, QueueSender, Rate, SendingThread
from radiosonde.watch.state import Note, StoredStep, WatchState, owner
from tests.e2e._receivers import wait_for
from tests.factories import make_event, make_incident


class Receiver:
    """A channel whose answers are given beforehand."""

    name = "slack"

    def __init__(self, *answers: ChannelResult) -> None:
        self.answers, self.had = list(answers), []

    def takes(self, event):
        return True

    def send(self, event):
        self.had.append(event.event_id)
        return self.answers.pop(0) if self.answers else ChannelResult("delivered")

    def show(self, event):
        return event.title

    def close(self):
        """Do nothing."""


@pytest.fixture
def state(tmp_path) -> WatchState:
    """Return a state whose lease is held."""
    made = WatchState(tmp_path / "state.sqlite", owner("me"))
    assert made.take_lease(wall_ns(), 3600 * NS)
    return made


def keep(state: WatchState, *numbers: int, written_ns: int | None = None) -> None:
    """Let notifications of that many incidents wait."""
    notes = [
        Note("slack", f"i{number}", "opened", True, make_event(incident=make_incident(number)).to_text())
        for number in numbers
    ]
    assert state.save(StoredStep({}, (), notes, written_ns or wall_ns(), 1)) == 0


def sender(state: WatchState, receiver: Receiver, per_hour: int = 10_000) -> QueueSender:
    """Return the senders."""
    return QueueSender(receiver, state, Guard(reraise=True), DeliveryCounts(), per_hour)


def test_what_is_delivered_is_removed(state):
    """Each once, in order; then there is nothing to do for a while."""
    keep(state, 1, 2)
    receiver = Receiver()
    mine = sender(state, receiver)
    assert [mine.turn() for _ in range(3)] == [0.0, 0.0, deliveries.IDLE_S]
    assert receiver.had == ["20130301-000001-1", "20130301-000002-1"]
    assert state.pending() == {}


def test_what_fails_is_tried_again_later_and_later(state):
    """The next attempt is in the store before this one is made, twice as far away each time, and no more than five minutes."""
    keep(state, 1)
    receiver = Receiver(*[ChannelResult("retry", "503")] * 12)
    mine, waits = sender(state, receiver), []
    for _ in range(10):
        mine.turn()
        waiting = state.next_delivery("slack", wall_ns())
        waits.append(round((waiting.next_ns - wall_ns()) / NS))
        state.postpone(waiting, 0)
    assert waits[:4] == pytest.approx([2, 4, 8, 16], abs=1.5)
    assert max(waits) <= deliveries.LONGEST_S
    assert len(receiver.had) == 10


def test_a_receiver_says_how_long_it_wants_to_be_left_alone(state):
    """Retry-After wins over our own interval."""
    keep(state, 1)
    sender(state, Receiver(ChannelResult("retry", "429", 500.0))).turn()
    assert state.next_delivery("slack", 0).next_ns - wall_ns() > 400 * NS


@pytest.mark.parametrize(
    ("receiver", "written_ns"),
    [(Receiver(ChannelResult("refused", "400")), None), (Receiver(), 1)],
    ids=["refused", "older than a day"],
)
def test_what_is_given_up_is_counted(state, receiver, written_ns):
    """Refused notifications, and those undelivered within a day."""
    keep(state, 1, written_ns=written_ns)
    guard, counts = Guard(reraise=True), DeliveryCounts()
    QueueSender(receiver, state, guard, counts, 60).turn()
    assert guard.losses() == {losses.NOTIFICATIONS_DROPPED: 1}
    assert counts.read(["slack"])["slack", "dropped"] == 1
    assert state.pending() == {}


def test_a_damaged_row_is_dropped_and_holds_up_nothing(state):
    """The next notification leaves."""
    state.save(StoredStep({}, (), [Note("slack", "a", "opened", True, "no JSON")], wall_ns(), 1))
    keep(state, 2)
    receiver = Receiver()
    mine = sender(state, receiver)
    while mine.turn() == 0.0:
        pass
    assert receiver.had == ["20130301-000002-1"]


def test_a_channel_gets_no_more_than_its_rate(state):
    """Of thirty an hour ten may come at once; the others wait, and none is dropped."""
    keep(state, *range(12))
    receiver = Receiver()
    mine = sender(state, receiver, per_hour=30)
    waits = [mine.turn() for _ in range(12)]
    assert len(receiver.had) == 10
    assert 60 < waits[-1] <= 120
    assert state.pending() == {"slack": 2}


def test_a_delivered_one_whose_removal_failed_is_not_sent_again(state, monkeypatch):
    """The store was locked when the answer came; it is removed later, without another attempt."""
    keep(state, 1)
    receiver = Receiver()
    mine, remove = sender(state, receiver), state.remove

    def locked(delivery):
        raise StoreError("locked")

    monkeypatch.setattr(state, "remove", locked)
    assert mine.turn() == deliveries.BROKEN_S
    monkeypatch.setattr(state, "remove", remove)
    assert mine.turn() == 0.0
    assert state.pending() == {}
    assert len(receiver.had) == 1


def test_a_thread_sends_what_comes_when_it_is_woken(state):
    """And one that is stopped ends."""
    receiver = Receiver()
    thread = SendingThread(sender(state, receiver), Guard(reraise=True))
    thread.start()
    try:
        keep(state, 1)
        thread.wake()
        wait_for(lambda: receiver.had, "the notification")
    finally:
        thread.stop()
        thread.join(30)
    assert state.pending() == {}


@pytest.mark.parametrize(("per_hour", "at_once"), [(1, 1), (30, 10), (3600, 1200)])
def test_a_third_of_an_hour_may_come_at_once(per_hour, at_once):
    """And at least one."""
    rate = Rate(per_hour)
    taken = 0
    while not rate.wait_s() and taken <= at_once:
        rate.take()
        taken += 1
    assert taken in (at_once, at_once + 1)  # another may have come meanwhile
