"""Sends notifications: one thread per channel, so that one that hangs delays neither others nor the diagnosis.

An attempt is counted in the store before it is made, with the time of the next: doubling from `FIRST_S` to `LONGEST_S`, or as requested by
the receiver. After `GIVE_UP_NS` a notification is dropped, counted and logged. A notification is removed only after a response; one whose
response could not be stored is remembered, so that only a kill between the response and the commit can repeat it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from radiosonde._clock import NS, monotonic_ns, wall_ns
from radiosonde._native import Empty, SimpleQueue, Thread, allocate_lock
from radiosonde.errors import StoreError
from radiosonde.model import losses
from radiosonde.model.watched import event_from_text
from radiosonde.watch.channels.alertmanager import AGAIN_S, AlertmanagerFeed
from radiosonde.watch.channels.channel import masked, post

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.watch.channels.channel import Channel, ChannelResult
    from radiosonde.watch.life import KnownIncident
    from radiosonde.watch.state import PendingDelivery, WatchState

FIRST_S, LONGEST_S = 2.0, 300.0
GIVE_UP_NS = 86_400 * NS
IDLE_S = 30.0
BROKEN_S = 5.0
"""Seconds until an unreadable store is retried."""


class DeliveryCounts:
    """Counts the results of notifications, by channel. Thread-safe."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, channel: str, became: str, count: int = 1) -> None:
        """Count."""
        with self._lock:
            self._counts[channel, became] += count

    def read(self, channels: Iterable[str]) -> dict[tuple[str, str], int]:
        """Return the counts, zeros included, so that a series is there before the first failure."""
        with self._lock:
            return {(each, became): self._counts[each, became] for each in channels for became in BECAME}


BECAME = ("delivered", "failed", "dropped")


class Rate:
    """A token bucket: some at once, and *per_hour* in the long run.

    Args:
        per_hour: tokens an hour; a third of them may come at once.
    """

    def __init__(self, per_hour: int) -> None:
        self._most = max(1.0, per_hour / 3)
        self._every_s = 3600 / per_hour
        self._tokens, self._at_ns = self._most, monotonic_ns()

    def wait_s(self) -> float:
        """Return how long to wait for the next token; 0 where there is one."""
        now = monotonic_ns()
        self._tokens = min(self._most, self._tokens + (now - self._at_ns) / NS / self._every_s)
        self._at_ns = now
        return max(0.0, (1 - self._tokens) * self._every_s)

    def take(self) -> None:
        """Take a token."""
        self._tokens -= 1


class Sending(Protocol):
    """A task for a separate thread, which returns the number of seconds until its next run."""

    name: str

    def turn(self) -> float:
        """Do it."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class QueueSender:
    """Sends the notifications of one channel, one after the other.

    Args:
        channel: where they go.
        state: holds the pending notifications.
        guard: counts dropped notifications.
        counts: counts the results.
        per_hour: largest long-term rate.
    """

    def __init__(
        self, channel: Channel, state: WatchState, guard: Guard, counts: DeliveryCounts, per_hour: int
    ) -> None:
        self.name = channel.name
        self._channel, self._state, self._guard, self._counts = channel, state, guard, counts
        self._rate = Rate(per_hour)
        self._settled: set[int] = set()  # answered, and not yet removed

    def turn(self) -> float:
        """Send the next one; return the seconds until the one after it."""
        try:
            return self._next()
        except StoreError as error:
            self._guard.warn(f"outbox {self.name}", "Notifications for %s wait: %s", self.name, error)
            return BROKEN_S

    def _next(self) -> float:
        now = wall_ns()
        delivery = self._state.next_delivery(self.name, now)
        if delivery is None:
            return IDLE_S
        if delivery.delivery_id in self._settled:
            self._settle(delivery)
            return 0.0
        if delivery.next_ns > now:
            return (delivery.next_ns - now) / NS
        if now - delivery.written_ns > GIVE_UP_NS:
            self._drop(delivery, "it was not delivered within a day")
            return 0.0
        wait_s = self._rate.wait_s()
        if wait_s:
            return wait_s
        back_s = min(LONGEST_S, FIRST_S * 2.0 ** min(delivery.attempts, 16))
        if not self._state.begin(delivery, now + int(back_s * NS)):
            return BROKEN_S  # another watch has the lease
        self._rate.take()
        try:
            event = event_from_text(delivery.event)
        except ValueError as error:
            self._drop(delivery, str(error))
            return 0.0
        return self._answered(delivery, self._channel.send(event), back_s)

    def _answered(self, delivery: PendingDelivery, answer: ChannelResult, back_s: float) -> float:
        if answer.outcome == "delivered":
            self._counts.add(self.name, "delivered")
            self._settle(delivery)
            return 0.0
        if answer.outcome == "refused":
            self._drop(delivery, answer.said)
            return 0.0
        self._counts.add(self.name, "failed")
        self._guard.warn(f"channel {self.name}", "A notification for %s is sent again: %s", self.name, answer.said)
        if answer.wait_s is not None and answer.wait_s > back_s:
            self._state.postpone(delivery, wall_ns() + int(answer.wait_s * NS))
        return 0.0  # another incident may be due

    def _drop(self, delivery: PendingDelivery, why: str) -> None:
        self._counts.add(self.name, "dropped")
        self._guard.lose(losses.NOTIFICATIONS_DROPPED)
        self._guard.warn(f"dropped {self.name}", "A notification for %s is dropped: %s", self.name, why)
        self._settle(delivery)

    def _settle(self, delivery: PendingDelivery) -> None:
        self._settled.add(delivery.delivery_id)
        self._state.remove(delivery)
        self._settled.discard(delivery.delivery_id)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class FeedSender:
    """Sends the firing alerts to one Alertmanager.

    Args:
        feed: makes the requests.
        known: returns all incidents, or None while another watch has the lease.
        guard: logs.
        counts: counts the results of requests.
    """

    def __init__(
        self,
        feed: AlertmanagerFeed,
        known: Callable[[], Iterable[KnownIncident] | None],
        guard: Guard,
        counts: DeliveryCounts,
    ) -> None:
        self.name = feed.name
        self._feed, self._known, self._guard, self._counts = feed, known, guard, counts
        self._failures = 0

    def turn(self) -> float:
        """Send all alerts; return the seconds until the next transmission."""
        known = self._known()
        request = None if known is None else self._feed.request(known, wall_ns())
        if request is None:
            return AGAIN_S
        answer = post(request)
        if answer.outcome == "delivered":
            self._counts.add(self.name, "delivered")
            self._failures = 0
            return AGAIN_S
        self._counts.add(self.name, "failed")
        self._guard.warn(f"channel {self.name}", "Alerts for %s are sent again: %s", self.name, answer.said)
        self._failures += 1
        return min(AGAIN_S, FIRST_S * 2.0 ** min(self._failures, 5))

    def show(self, known: Iterable[KnownIncident], now_ns: int) -> str:
        """Return a readable form of the alerts."""
        request = self._feed.request(known, now_ns)
        return (
            "nothing" if request is None else f"POST {masked(request.url)}\n{request.body.decode('utf-8', 'replace')}"
        )

    def close(self) -> None:
        """Do nothing."""


class SendingThread:
    """Runs a sender until it is stopped.

    Args:
        sender: the task.
        guard: contains its errors.
    """

    def __init__(self, sender: Sending, guard: Guard) -> None:
        self._sender, self._guard = sender, guard
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._is_stopping = False
        self._thread = Thread(self._run, f"radiosonde-watch-{sender.name}")

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def wake(self) -> None:
        """Run the task now."""
        self._wake.put(None)

    def stop(self) -> None:
        """End the thread after its current run."""
        self._is_stopping = True
        self.wake()

    def join(self, timeout_s: float) -> None:
        """Wait for its end; a thread that hangs in a request is abandoned, and its notification is sent again."""
        if self._thread.join(timeout_s):
            self._sender.close()

    def _run(self) -> None:
        while not self._is_stopping:
            wait_s = BROKEN_S
            with self._guard("watch_send"):
                wait_s = self._sender.turn()
            if wait_s <= 0:
                continue
            with suppress(Empty):
                self._wake.get(timeout=wait_s)
                while not self._wake.empty():
                    self._wake.get_nowait()
