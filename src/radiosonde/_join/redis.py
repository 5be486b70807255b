"""A join store on Redis: for many hosts.

Every call is one ``MULTI`` transaction; a join watches the counter of joins, and every key whose absence it relies on, so that of two
joiners one wins and the other retries. Received labels survive this process; whether they survive the Redis server depends on its settings:
``appendonly yes`` (and ``appendfsync always`` for a power cut), with
``maxmemory-policy noeviction``, or Redis throws labels away.

Keys of predictions expire by themselves a day after their maximum age, even without a joiner.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from radiosonde._clock import NS
from radiosonde._join.batches import decode_batch, encode_batch
from radiosonde._join.joining import (
    MAX_AGE_S,
    WAIT_S,
    Findings,
    GivenUp,
    Patience,
    Received,
    give_up,
    join_labels,
    known_names,
    readable,
)
from radiosonde._join.matching import LaneCodes
from radiosonde._join.prediction_chunks import Place, PredictionChunk, cut
from radiosonde._join.preview import Preview, preview
from radiosonde._join.redis_rows import (
    DAY_S,
    RedisKeys,
    RedisLookup,
    decode_labels,
    drop_chunk,
    drop_stated,
    encode_label,
    lane_digest,
    wake,
    write_chunk,
    write_stated,
    write_waiting,
)
from radiosonde._join.store import LEASE_S, UNKNOWN, Batch, Label, Predictions
from radiosonde._join.waiting import wakes_of
from radiosonde.errors import ConfigurationError, StoreError

try:
    import redis
except ImportError as error:  # pragma: no cover - the tests have it
    raise ConfigurationError("a join store on Redis needs its client: pip install 'radiosonde[redis]'") from error

TIMEOUT_S = 5.0
"""How long the server may take to answer."""

ATTEMPTS = 100
"""Largest number of retries of a transaction after a conflict with another client; each takes a few milliseconds."""

WAITING = 1 << 20
"""Labels that wait for their predictions; beyond it those that have waited longest are unknown."""

_Said = TypeVar("_Said")


class RedisJoinStore:
    """Keeps predictions and labels on a Redis server.

    Args:
        url: ``redis://[user:password@]host[:port][/database]``, or ``rediss://`` with TLS.
        prefix: prefix of all keys.
        max_age_s: age at which a prediction expires.
        wait_s: how long a label waits for its prediction.

    Raises:
        StoreError: the server cannot be reached.
        ConfigurationError: *url* is none.
    """

    def __init__(
        self, url: str, *, prefix: str = "radiosonde:join:", max_age_s: float = MAX_AGE_S, wait_s: float = WAIT_S
    ) -> None:
        try:
            client: Any = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        except ValueError as error:
            raise ConfigurationError(
                f"not an address of a Redis server: {error}; give redis://host:port/database"
            ) from error
        self._client, self._keys = client, RedisKeys(prefix)
        self._max_age_s, self._wait_s = max_age_s, wait_s
        self._ttl_s = round(max_age_s) + DAY_S
        with self._told():
            client.ping()

    def remember(self, predictions: Sequence[Predictions]) -> None:
        """See `JoinStore`."""
        with self._told():
            pipe = self._client.pipeline()
            places: list[Place] = []
            for part in predictions:
                digest, document = lane_digest(part.lane)
                pipe.set(self._keys.lane(digest), document, ex=self._ttl_s)
                for place, chunk in cut(part, LaneCodes(part.lane)):
                    write_chunk(pipe, self._keys, place, digest, chunk, self._ttl_s)
                    places.append(place)
            wake(pipe, self._keys, places)
            pipe.execute()

    def alias(self, names: Sequence[tuple[str, str]]) -> None:
        """See `JoinStore`. The first meaning of a name stays; a target that is not a prediction id is ignored."""
        known = list(known_names(names))
        with self._told():
            pipe = self._client.pipeline()
            pipe.set(self._keys.aliased, 1, ex=self._ttl_s)
            for own, target, _ in known:
                pipe.set(self._keys.alias(own), target, nx=True, ex=self._ttl_s)
            wake(pipe, self._keys, [each for own, _, _ in known for each in wakes_of(own)])
            pipe.execute()

    def receive(self, labels: Sequence[Label]) -> None:
        """See `JoinStore`."""
        documents = [encode_label(readable(label)) for label in labels]
        if documents:
            with self._told():
                self._client.rpush(self._keys.received, *documents)

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        """See `JoinStore`."""
        with self._told():
            preview(labels, RedisLookup(self._client, self._keys), into)

    def join(self, owner: str, *, now_ns: int, limit: int = 10_000) -> Batch | None:
        """See `JoinStore`."""
        while True:
            is_done, batch = self._atomically(lambda pipe: self._join(pipe, owner, now_ns, limit))
            if is_done:
                return batch

    def acknowledge(self, batch_id: str) -> None:
        """See `JoinStore`."""
        with self._told():
            pipe = self._client.pipeline()
            pipe.hdel(self._keys.batches, batch_id)
            pipe.delete(self._keys.batch(batch_id))
            pipe.incr(self._keys.joins)
            pipe.execute()

    @property
    def waiting(self) -> int:
        """See `JoinStore`."""
        with self._told():
            pipe = self._client.pipeline()
            pipe.llen(self._keys.received)
            pipe.hlen(self._keys.waiting)
            return int(sum(pipe.execute()))

    def close(self) -> None:
        """Close the connections. Any later call opens others."""
        self._client.close()

    # ------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Convert any error of the client to a `StoreError` with what to do next, without the password of the address."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            where = self._client.connection_pool.connection_kwargs
            place = f"{where.get('host', where.get('path', '?'))}:{where.get('port', '')}"
            raise StoreError(f"Redis at {place}: {error}: check that it runs and that the address is right") from error

    def _atomically(self, step: Callable[[Any], _Said]) -> _Said:
        """Run *step*, which ends with a transaction, until no other joiner came in between."""
        with self._told():
            for _ in range(ATTEMPTS):
                with self._client.pipeline() as pipe:
                    try:
                        pipe.watch(self._keys.joins)
                        return step(pipe)
                    except redis.WatchError:
                        continue
        raise StoreError(f"{ATTEMPTS} joins in a row conflicted with other processes: join from fewer processes")

    def _join(self, pipe: Any, owner: str, now_ns: int, limit: int) -> tuple[bool, Batch | None]:
        """Return (nothing is left to try, the batch)."""
        keys = self._keys
        leased = self._leased(pipe, owner, now_ns)
        if leased is not None:
            return True, leased
        documents = pipe.lrange(keys.received, 0, limit - 1)
        lookup = RedisLookup(self._client, keys)
        labels = decode_labels(documents)
        found = join_labels(labels, lookup)
        waits, again = self._unfound(pipe, lookup, found, now_ns)
        due: list[bytes] = []
        given: list[tuple[PredictionChunk, GivenUp]] = []
        if pipe.llen(keys.received) == len(documents) and not again:
            due = self._due(pipe, found, waits, now_ns, limit - len(labels))
            given = list(self._age(pipe, lookup, found, now_ns, limit))
        if not (documents or due or given):
            return True, None
        pipe.multi()
        if documents:
            pipe.ltrim(keys.received, len(documents), -1)
        for label in again:
            pipe.rpush(keys.received, encode_label(label))
        write_waiting(pipe, keys, waits, self._ttl_s)
        write_stated(pipe, keys, found.stated, self._ttl_s)
        if due:
            pipe.hdel(keys.waiting, *due)
            pipe.zrem(keys.by_age, *due)
        self._write_given(pipe, given)
        batch = None if found.is_empty else found.batch()
        if batch is not None:
            document, cells = encode_batch(batch)
            pipe.hset(keys.batch(batch.id), mapping={"document": document, "cells": cells})
            pipe.hset(keys.batches, batch.id, json.dumps([owner, now_ns]))
        pipe.incr(keys.joins)
        pipe.execute()
        # Labels that begin to wait, and predictions that had their labels, form no batch: continue with the next ones.
        return batch is not None, batch

    def _leased(self, pipe: Any, owner: str, now_ns: int) -> Batch | None:
        """Return a batch that waits for its acknowledgement and may be the owner's, leased to it from now on."""
        silent_ns = now_ns - round(LEASE_S * NS)
        held = {name: json.loads(lease) for name, lease in pipe.hgetall(self._keys.batches).items()}
        own = [name for name, (holder, _) in held.items() if holder == owner]
        free = [name for name, (_, leased_ns) in held.items() if leased_ns <= silent_ns]
        for name in [*own, *free][:1]:
            batch_id = name.decode()
            document, cells = pipe.hmget(self._keys.batch(batch_id), "document", "cells")
            pipe.multi()
            pipe.hset(self._keys.batches, batch_id, json.dumps([owner, now_ns]))
            pipe.incr(self._keys.joins)
            pipe.execute()
            return decode_batch(batch_id, document, cells)
        return None

    def _unfound(
        self, pipe: Any, lookup: RedisLookup, found: Findings, now_ns: int
    ) -> tuple[list[Received], list[Received]]:
        """Return the labels that wait from now on, and those whose prediction arrived during the lookup."""
        if not found.unfound:
            return [], []
        pipe.watch(*dict.fromkeys(key for label in found.unfound for key in self._keys.sources(label)))
        missing = join_labels(found.unfound, lookup).unfound
        still = set(map(id, missing))
        again = [label for label in found.unfound if id(label) not in still]
        return list(self._patience(pipe, now_ns).sort(missing, found.results)), again

    def _patience(self, pipe: Any, now_ns: int) -> Patience:
        has_aliases = bool(pipe.exists(self._keys.aliased))
        return Patience.at(now_ns, self._max_age_s, self._wait_s, horizons_ns={}, has_aliases=has_aliases)

    def _due(self, pipe: Any, found: Findings, waits: Sequence[Received], now_ns: int, room: int) -> list[bytes]:
        """Count the labels that have waited long enough, or are too many, and return their names."""
        keys = self._keys
        patience = self._patience(pipe, now_ns)
        excess = pipe.hlen(keys.waiting) + len(waits) - WAITING
        if excess <= 0 and (room <= 0 or not pipe.zcount(keys.by_age, "-inf", patience.waited_out_ns)):
            return []
        pipe.watch(keys.by_age)  # a prediction may come for one of them
        names = pipe.zrange(keys.by_age, 0, excess - 1) if excess > 0 else []
        names = names or pipe.zrangebyscore(keys.by_age, "-inf", patience.waited_out_ns, start=0, num=room)
        for label in decode_labels(pipe.hmget(keys.waiting, names)) if names else []:
            found.results[patience.fate(label) or UNKNOWN] += 1
        return list(names)

    def _age(
        self, pipe: Any, lookup: RedisLookup, found: Findings, now_ns: int, room: int
    ) -> Iterator[tuple[PredictionChunk, GivenUp]]:
        """Expire old predictions, oldest first; yield each chunk with its result."""
        oldest_ns = now_ns - round(self._max_age_s * NS)
        members = pipe.zrangebyscore(self._keys.ages, "-inf", oldest_ns, start=0, num=1 + room // 16)
        gone: set[str] = set()
        for member in members:
            nonce, page, field = member.decode().split(":")
            place = int(nonce), int(page)
            pipe.watch(self._keys.page(place))
            (chunks,) = lookup.chunks([place])
            here = [each for each in chunks if each.mark.field not in gone]
            chunk = next((each for each in here if each.mark.field == field), None)
            if chunk is None:
                pipe.zrem(self._keys.ages, member)  # the server forgot its page by itself
                continue
            # Redis keeps ages as floats, which are some hundred nanoseconds apart.
            if room <= 0 or chunk.newest_ns >= oldest_ns:
                break
            siblings = [each for each in here if each is not chunk]
            labelled = {key for owner, key in found.stated if owner == place[0]}  # in this very join
            labelled.update(lookup.stated(place[0], chunk.keys()))
            given = give_up(chunk, siblings, labelled, room)
            gone.add(field)
            room -= len(given.outcomes)
            found.outcomes.extend(given.outcomes)
            yield chunk, given

    def _write_given(self, pipe: Any, given: Sequence[tuple[PredictionChunk, GivenUp]]) -> None:
        for chunk, (_, rest, gone) in given:
            drop_chunk(pipe, self._keys, chunk.mark)
            drop_stated(pipe, self._keys, chunk.mark.place, gone)
            if rest is not None:
                write_chunk(pipe, self._keys, rest.mark.place, rest.mark.lane, rest, self._ttl_s)
