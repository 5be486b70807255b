"""Losses of a watch."""

from __future__ import annotations

from radiosonde._guard import Guard
from radiosonde.model import losses
from radiosonde.watch.channels.channel import ChannelResult
from radiosonde.watch.delivery import DeliveryCounts, QueueSender
from radiosonde.watch.state import Note, StoredStep, WatchState, owner
from tests.factories import make_event
from tests.laws.provocations import provokes


class Refusing:
    """A channel whose receiver will never take anything."""

    name = "refusing"

    def send(self, event):
        return ChannelResult("refused", "400")


@provokes(losses.NOTIFICATIONS_DROPPED)
def _(folder, patch):
    """A notification that its receiver refuses for good."""
    guard, state = Guard(reraise=True), WatchState(folder / "state.sqlite", owner("me"))
    assert state.take_lease(1, 10**18)
    state.save(StoredStep({}, (), [Note("refusing", "i", "opened", True, make_event().to_text())], 1, 1))
    QueueSender(Refusing(), state, guard, DeliveryCounts(), 60).turn()
    return guard.losses()
