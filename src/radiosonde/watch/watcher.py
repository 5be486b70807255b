"""The watch: diagnoses new data, tracks and stores incidents, and wakes the senders.

One thread diagnoses; each channel has its own thread, and so have the lease and the metrics over OTLP. A watch without the lease is a
standby: it diagnoses and sends nothing, and exports that it is a standby. A watch that cannot reach the store continues to export its last
state, and the age of that state.

A look costs what the store holds. After one that took long the next is put off, so that a watch never takes more than `MOST_SHARE` of a
core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from radiosonde._clock import NS, monotonic_ns, thread_time_ns, wall_ns
from radiosonde.errors import RadiosondeError, StoreError
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import losses
from radiosonde.model.watched import IncidentEvent, Watched
from radiosonde.watch.blind import NAME, blinded, sighted
from radiosonde.watch.life import KnownIncident, Links, Moment, Turned, known_from_text, shown_incidents, turn
from radiosonde.watch.showing import floors_of, results_of, statuses_of
from radiosonde.watch.state import Note, StoredStep

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde.diagnose import Diagnosis
    from radiosonde.watch.channels.channel import Channel
    from radiosonde.watch.delivery import DeliveryCounts
    from radiosonde.watch.looking import Look, Looker
    from radiosonde.watch.state import WatchState

LEASE_NS = 30 * NS
RENEW_S = 10.0
LONGEST_PAUSE = 5
"""Looks come at least once in so many intervals: what people declare changes, and a source that stopped is stale."""
MOST_SHARE = 0.1
BLIND_AFTER = 3
"""Intervals without a diagnosis after which the watch opens an incident of its own."""


class Lease:
    """Holds the lease of the source, in a separate thread: a diagnosis may take longer than the lease is valid.

    Args:
        state: where it is.
        guard: logs.

    Attributes:
        is_held: whether this watch held it at the last check.
    """

    name = "lease"

    def __init__(self, state: WatchState, guard: Guard) -> None:
        self._state, self._guard = state, guard
        self.is_held = False

    def turn(self) -> float:
        """Take or prolong it; return the seconds until the next time."""
        try:
            self.is_held = self._state.take_lease(wall_ns(), LEASE_NS)
        except StoreError as error:
            # No other watch can get it either. The last state is kept.
            self._guard.warn("lease", "The watch cannot reach its state: %s", error)
        return RENEW_S

    def close(self) -> None:
        """Give it back."""
        if self.is_held:
            failed = self._guard.attempt(self._state.give_back)
            if isinstance(failed, Exception):
                self._guard.warn("lease", "The lease could not be given back and runs out by itself: %s", failed)
        self.is_held = False


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a watch works.

    Attributes:
        every_s: shortest time between two diagnoses, in seconds.
        severities: severities that are notified.
        links: creates the links of events of a diagnosis.
        tell: callback for each event, to print it.
    """

    every_s: float
    severities: frozenset[str]
    links: Callable[[Look], Links]
    tell: Callable[[IncidentEvent], None]


class Watcher:
    """Looks, for one thread; `snapshot` and `known` may be called from others.

    Args:
        looker: runs the diagnoses.
        state: persistent state.
        lease: the lease.
        channels: destinations of events.
        counts: results of notifications.
        options: the options.
        guard: logs, and counts losses.
    """

    def __init__(
        self, looker: Looker, state: WatchState, lease: Lease, channels: Sequence[Channel], counts: DeliveryCounts,
        options: WatchOptions, guard: Guard,
    ) -> None:  # fmt: skip
        self._looker, self._state, self._lease, self._channels = looker, state, lease, list(channels)
        self._counts, self._options, self._guard = counts, options, guard
        self._start_ns = wall_ns()
        self._known: dict[str, KnownIncident] | None = None  # None: to be read, after the lease was taken
        self._shown: tuple[dict[str, KnownIncident], Diagnosis | None] | None = None
        # Of the watch itself, while the state cannot be reached.
        self._untold: list[tuple[KnownIncident, IncidentEvent]] = []
        self._failing_ns = 0  # wall clock of the first of the failures in a row
        self._end_ns = self._kept_end_ns = self._last_look_ns = 0
        self._not_before_ns = self._tried_ns = 0  # monotonic
        self._window_ns = 0
        self._looks = Counter(done=0, failed=0)
        self.feeds: Sequence[str] = ()

    def turn(self) -> bool:
        """Look if it is time to; return whether something is to be sent."""
        if not self._lease.is_held:
            self._known = self._shown = None
            return False
        try:
            return self._is_due() and self.look() is not None
        except RadiosondeError as error:
            return self._failed(error)

    def look(self) -> Diagnosis | None:
        """Diagnose, and store the result; return the diagnosis, None if another watch has the lease.

        Raises:
            StoreError: the source or the state cannot be reached.
            ConfigurationError: the configuration cannot be read.
        """
        self._tried_ns, began_ns, now_ns = monotonic_ns(), thread_time_ns(), wall_ns()
        known = self._remembered()
        look = self._looker.look(now_ns)
        moment = Moment(now_ns, look.window_ns, lambda model: look.before_ns.get(model, self._kept_end_ns))
        turned = turn(known, look.diagnosis, moment, self._options.links(look))
        for own, event in (*self._untold, *self._sighted(now_ns)):
            turned.known[own.incident.id] = own
            turned.changed.add(own.incident.id)
            turned.events.append(event)
        end_ns = max(self._end_ns, look.diagnosis.end_ns)
        changed = {each: turned.known[each].to_text() for each in turned.changed}
        dropped = self._state.save(StoredStep(changed, turned.forgotten, self._notes(turned), now_ns, end_ns))
        cost_ns = thread_time_ns() - began_ns
        every_ns = 0 if look.is_partial else int(self._options.every_s * NS)
        self._not_before_ns = self._tried_ns + max(every_ns, int(cost_ns / MOST_SHARE))
        if dropped is None:
            self._lease.is_held = False
            self._known = self._shown = None
            return None
        if dropped:
            self._guard.lose(losses.NOTIFICATIONS_DROPPED, dropped)
        self._known, self._end_ns, self._window_ns = turned.known, end_ns, look.window_ns
        self._shown = (turned.known, look.diagnosis)
        self._last_look_ns = wall_ns()
        self._looks["done"] += 1
        told = {id(event) for _, event in self._untold}
        self._untold, self._failing_ns = [], 0
        for event in turned.events:
            if id(event) not in told:
                self._options.tell(event)
        return look.diagnosis

    def known(self) -> Iterable[KnownIncident] | None:
        """Return the incidents; None if this watch is a standby, or before the first diagnosis."""
        shown = self._shown
        return None if shown is None or not self._lease.is_held else list(shown[0].values())

    def snapshot(self) -> Snapshot:
        """Return the exported state."""
        shown, now_ns = self._shown, wall_ns()
        is_leading = self._lease.is_held
        watched = Watched(
            is_leading=is_leading,
            last_look_ns=self._last_look_ns,
            last_window_ns=self._end_ns,
            looks=dict(self._looks),
            notifications=self._counts.read([*(each.name for each in self._channels), *self.feeds]),
            pending=self._pending(),
        )
        if shown is not None and is_leading:
            known, diagnosis = shown
            watched = replace(watched, incidents=tuple(shown_incidents(known.values(), now_ns)))
            if diagnosis is not None:
                watched = replace(
                    watched,
                    floors=floors_of(diagnosis),
                    results=results_of(diagnosis),
                    statuses=statuses_of(diagnosis),
                )
        return Snapshot(self._start_ns, now_ns, (), statistics=None, watched=watched)

    def _pending(self) -> dict[str, int]:
        if not self._channels:
            return {}
        waiting = self._guard.attempt(self._state.pending)
        found = {} if isinstance(waiting, Exception) else waiting
        return {each.name: found.get(each.name, 0) for each in self._channels}

    def _is_due(self) -> bool:
        now = monotonic_ns()
        if self._tried_ns and now < self._not_before_ns:
            return False
        longest_ns = LONGEST_PAUSE * max(int(self._options.every_s * NS), self._window_ns)
        return bool(self._failing_ns) or now - self._tried_ns >= longest_ns or self._looker.has_grown(wall_ns())

    def _failed(self, error: RadiosondeError) -> bool:
        """Report a failed diagnosis; open an incident of the watch itself if failures persist. Return whether there is something to send."""
        now_ns = wall_ns()
        self._looks["failed"] += 1
        self._failing_ns = self._failing_ns or now_ns
        self._not_before_ns = monotonic_ns() + int(min(self._options.every_s, RENEW_S) * NS)
        self._guard.warn("look", "The watch could not look: %s", error)
        known = self._known
        if known is None or any(each.incident.name == NAME and each.is_open for each in known.values()):
            return False
        is_long = now_ns - self._failing_ns >= BLIND_AFTER * self._options.every_s * NS
        if is_long:
            since_ns = self._last_look_ns or self._failing_ns
            own, event = blinded(str(self._state.path), since_ns, now_ns, str(error))
            self._known = {**known, own.incident.id: own}
            self._shown = (self._known, None if self._shown is None else self._shown[1])
            self._options.tell(event)
            self._tell_now(own, event)
        return is_long

    def _tell_now(self, own: KnownIncident, event: IncidentEvent) -> None:
        """Store an event of the watch itself: now, if the state is reachable although the source is not, or with the next diagnosis."""
        known = dict(self._known or {})
        notes = self._notes(Turned(known, set(), set(), [event]))
        step = StoredStep({own.incident.id: own.to_text()}, (), notes, self._last_look_ns, self._end_ns)
        saved = self._guard.attempt(self._state.save, step)
        if isinstance(saved, Exception):
            self._untold.append((own, event))
        elif saved is None:
            self._lease.is_held = False

    def _sighted(self, now_ns: int) -> list[tuple[KnownIncident, IncidentEvent]]:
        """Return the incidents of the watch itself that end with this diagnosis."""
        return [
            sighted(each, now_ns)
            for each in (self._known or {}).values()
            if each.incident.name == NAME and each.is_open
        ]

    def _remembered(self) -> dict[str, KnownIncident]:
        if self._known is None:
            kept = self._state.load()
            self._known, self._end_ns = {}, kept.end_ns
            self._kept_end_ns = kept.end_ns
            self._last_look_ns = self._last_look_ns or kept.looked_ns
            for incident, text in kept.incidents.items():
                known = self._guard.attempt(known_from_text, text)
                if isinstance(known, Exception):
                    self._guard.warn("kept incident", "What is kept of incident %s cannot be read: %s", incident, known)
                else:
                    self._known[incident] = known
        return self._known

    def _notes(self, turned: Turned) -> list[Note]:
        notes = []
        for event in turned.events:
            told = turned.known[event.incident.id].severities
            if not self._options.severities.intersection(told):
                continue
            is_page = event.incident.severity == "page"
            notes += [
                Note(channel.name, event.incident.id, event.kind, is_page, event.to_text())
                for channel in self._channels
                if channel.takes(event)
            ]
        return notes
