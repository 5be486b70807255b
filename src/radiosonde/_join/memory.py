"""A join store in memory: for one process, gone with it. The default where no path was given."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from radiosonde._clock import NS
from radiosonde._join.joining import (
    MAX_AGE_S,
    WAIT_S,
    Findings,
    Patience,
    Received,
    give_up,
    join_labels,
    known_names,
    readable,
    target_of,
)
from radiosonde._join.matching import LaneCodes, Stated
from radiosonde._join.prediction_chunks import Key, Place, PredictionChunk, cut, merged_lane
from radiosonde._join.preview import Preview, preview
from radiosonde._join.store import LEASE_S, UNKNOWN, Batch, Label, LaneNames, Predictions
from radiosonde._join.waiting import WaitingRoom, wakes_of
from radiosonde.model import Outcome

CAPACITY = 131_072
"""Predictions per lane that can still be labelled: 9.7 MB with the cells of 30 features, 5.8 MB without."""

LANES = 8
"""Full lanes that are kept in all; beyond it the chunks that came first go. Bounds an agent whose workers come and go."""

WAITING = 65_536
"""Largest number of waiting labels, and of callers' own ids; the oldest are dropped beyond it."""


class _Kept(NamedTuple):
    number: int
    place: Place
    chunk: PredictionChunk
    newest_ns: int


class _Leased(NamedTuple):
    batch: Batch
    owner: str
    leased_ns: int


class MemoryJoinStore:
    """Keeps the newest predictions of each lane, and the labels that are early, in this process.

    Args:
        capacity: predictions per lane; the oldest go beyond it, and their labels are expired.
        max_age_s: age at which a prediction expires.
        wait_s: how long a label waits for its prediction.

    Attributes:
        pruned: predictions dropped beyond the capacity.
    """

    def __init__(self, *, capacity: int = CAPACITY, max_age_s: float = MAX_AGE_S, wait_s: float = WAIT_S) -> None:
        self._capacity, self._max_age_s, self._wait_s = capacity, max_age_s, wait_s
        self._codes: dict[int, list[LaneCodes]] = {}
        self._kept: dict[int, deque[_Kept]] = {}  # by nonce, in the order they came
        self._counts: dict[int, int] = {}
        self._pages: dict[Place, list[PredictionChunk]] = {}
        self._stated: dict[tuple[int, Key], Stated] = {}
        self._aliases: OrderedDict[str, str] = OrderedDict()
        self._received: deque[Received] = deque()
        self._room = WaitingRoom(WAITING)
        self._leased: dict[str, _Leased] = {}
        self._horizons_ns: dict[int, int] = {}
        self._number = self._rows = 0
        self.pruned = 0

    def remember(self, predictions: Sequence[Predictions]) -> None:
        """See `JoinStore`."""
        for part in predictions:
            nonce = part.lane.nonce
            for place, chunk in cut(part, self._lane(part.lane)):
                self._add(place, chunk)
                self._received.extend(self._room.wake(place))
            self._prune(nonce)

    def alias(self, names: Sequence[tuple[str, str]]) -> None:
        """See `JoinStore`."""
        for own, target, _ in known_names(names):
            self._aliases.setdefault(own, target)
            for wake in wakes_of(own):
                self._received.extend(self._room.wake(wake))
        while len(self._aliases) > self._capacity:
            self._aliases.popitem(last=False)

    def receive(self, labels: Sequence[Label]) -> None:
        """See `JoinStore`."""
        self._received.extend(readable(label) for label in labels)

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        """See `JoinStore`."""
        preview(labels, self, into)

    def join(self, owner: str, *, now_ns: int, limit: int = 10_000) -> Batch | None:
        """See `JoinStore`."""
        for leased in self._leased.values():
            if leased.owner == owner or leased.leased_ns <= now_ns - LEASE_S * NS:
                self._leased[leased.batch.id] = _Leased(leased.batch, owner, now_ns)
                return leased.batch
        found = self._find(now_ns, limit)
        while found.is_empty:  # labels that begin to wait make no batch: on to the next ones
            if not self._received:
                return None
            found = self._find(now_ns, limit)
        batch = found.batch()
        self._leased[batch.id] = _Leased(batch, owner, now_ns)
        return batch

    def acknowledge(self, batch_id: str) -> None:
        """See `JoinStore`."""
        self._leased.pop(batch_id, None)

    @property
    def waiting(self) -> int:
        """See `JoinStore`."""
        return len(self._received) + len(self._room)

    def close(self) -> None:
        """See `JoinStore`. The contents stay in memory as long as the store exists."""

    # Lookups for `join_labels` -------------------------------------------------------------------------------------

    def aliases(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `JoinLookup`."""
        return {name: self._aliases[name] for name in names if name in self._aliases}

    def chunks(self, places: Sequence[Place]) -> Iterable[Sequence[PredictionChunk]]:
        """See `JoinLookup`."""
        return [self._pages.get(place, ()) for place in places]

    def stated(self, nonce: int, keys: Sequence[Key]) -> Mapping[Key, Stated]:
        """See `JoinLookup`."""
        return {key: found for key in keys if (found := self._stated.get((nonce, key))) is not None}

    # ------------------------------------------------------------------------------------------------------------------

    def _find(self, now_ns: int, limit: int) -> Findings:
        labels = [self._received.popleft() for _ in range(min(limit, len(self._received)))]
        found = join_labels(labels, self)
        self._stated.update(found.stated)
        patience = Patience.at(
            now_ns, self._max_age_s, self._wait_s, horizons_ns=self._horizons_ns, has_aliases=bool(self._aliases)
        )
        for label in patience.sort(found.unfound, found.results):
            if self._room.add(label) is not None:
                found.results[UNKNOWN] += 1
        if not self._received:
            for label in self._room.due(patience.waited_out_ns, limit - len(labels)):
                found.results[patience.fate(label) or UNKNOWN] += 1
            found.outcomes.extend(self._age(patience.oldest_ns, limit))
        return found

    def _age(self, oldest_ns: int, room: int) -> Iterator[Outcome]:
        """Expire old predictions, oldest first; yield an outcome for each missing label."""
        for nonce, kept in list(self._kept.items()):
            while room > 0 and kept and kept[0].newest_ns < oldest_ns:
                first = self._forget(nonce)
                given = give_up(first.chunk, self._pages.get(first.place, ()), self._labelled(nonce, first), room)
                self._unstate(nonce, given.gone)
                if given.rest is not None:
                    self._add(first.place, given.rest, first=True)
                room -= len(given.outcomes)
                yield from given.outcomes
            if not kept:
                del self._kept[nonce], self._counts[nonce], self._codes[nonce]
                self._horizons_ns.pop(nonce, None)
        while self._aliases and self._is_old(next(iter(self._aliases.values())), oldest_ns):
            self._aliases.popitem(last=False)

    @staticmethod
    def _is_old(prediction_id: str, oldest_ns: int) -> bool:
        target = target_of(prediction_id)
        return target is None or target[1][1] < oldest_ns

    def _labelled(self, nonce: int, kept: _Kept) -> list[Key]:
        return [key for key in kept.chunk.keys() if (nonce, key) in self._stated]  # noqa: SIM118 - a method

    def _unstate(self, nonce: int, keys: Iterable[Key]) -> None:
        for key in keys:
            self._stated.pop((nonce, key), None)

    def _lane(self, names: LaneNames) -> LaneCodes:
        known = self._codes.setdefault(names.nonce, [])
        for codes in known:
            if codes.names is names:
                return codes
        for place, codes in enumerate(known):
            merged = merged_lane(codes.names, names)
            if merged is not None:
                # Earlier chunks keep their codes: added names do not change their meaning.
                known[place] = LaneCodes(merged)
                return known[place]
        known.append(LaneCodes(names))
        return known[-1]

    def _add(self, place: Place, chunk: PredictionChunk, *, first: bool = False) -> None:
        self._number += 1
        kept = self._kept.setdefault(place[0], deque())
        entry = _Kept(self._number, place, chunk, chunk.newest_ns)
        kept.appendleft(entry) if first else kept.append(entry)
        self._pages.setdefault(place, []).append(chunk)
        self._counts[place[0]] = self._counts.get(place[0], 0) + len(chunk.rows)
        self._rows += len(chunk.rows)

    def _forget(self, nonce: int) -> _Kept:
        """Take out the chunk of a lane that came first."""
        first = self._kept[nonce].popleft()
        page = self._pages[first.place]
        # By identity: chunks hold arrays, which have no one answer to being equal.
        page[:] = [chunk for chunk in page if chunk is not first.chunk]
        if not page:
            del self._pages[first.place]
        self._counts[nonce] -= len(first.chunk.rows)
        self._rows -= len(first.chunk.rows)
        return first

    def _prune(self, nonce: int) -> None:
        while self._counts.get(nonce, 0) - self._first_rows(nonce) >= self._capacity:
            self._drop(nonce)
        while self._rows > LANES * self._capacity:
            self._drop(min((kept[0].number, nonce) for nonce, kept in self._kept.items() if kept)[1])

    def _first_rows(self, nonce: int) -> int:
        kept = self._kept.get(nonce)
        return len(kept[0].chunk.rows) if kept else 0

    def _drop(self, nonce: int) -> None:
        first = self._forget(nonce)
        elsewhere = {key for chunk in self._pages.get(first.place, ()) for key in chunk.keys()}  # noqa: SIM118
        self._unstate(nonce, (key for key in first.chunk.keys() if key not in elsewhere))  # noqa: SIM118
        self._horizons_ns[nonce] = max(self._horizons_ns.get(nonce, 0), first.newest_ns)
        self.pruned += len(first.chunk.rows)
