"""Keys, lookups and the script of a join store on Redis.

Under a prefix: ``page:<nonce>:<page>`` (hash of chunks), ``lane:<digest>`` (names), ``stated:<nonce>:<page>`` (hash of what
was said), ``alias:<name>``; these live as long as predictions may and a day more. ``received`` (list), ``waiting`` (hash) with
``waiting_by_age`` and ``wake:…`` (sets of its fields), ``ages`` (chunks by their youngest), ``batches`` and ``batch:<id>``
live until they are done with. ``joins`` counts what joiners do: each of them watches it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from radiosonde._join.batches import decode_stated, encode_stated
from radiosonde._join.joining import Received
from radiosonde._join.matching import LaneCodes, Stated
from radiosonde._join.prediction_chunks import Key, Place, PredictionChunk, decode, decode_lane, encode_lane, place_of
from radiosonde._join.store import PREDICTION, LaneNames
from radiosonde._join.waiting import wakes_of

DAY_S = 86_400
_DIGEST_BYTES = 16

WAKE = """
for place = 3, #KEYS do
    for _, name in ipairs(redis.call('SMEMBERS', KEYS[place])) do
        local label = redis.call('HGET', KEYS[1], name)
        if label then
            redis.call('RPUSH', KEYS[2], label)
            redis.call('HDEL', KEYS[1], name)
            redis.call('ZREM', KEYS[1] .. '_by_age', name)
        end
    end
    redis.call('DEL', KEYS[place])
end
"""
"""Requeue waiting labels. Keys: waiting, received, then the sets of waiting labels by page or name."""


class RedisKeys:
    """Names of the keys under a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.received, self.waiting, self.by_age = f"{prefix}received", f"{prefix}waiting", f"{prefix}waiting_by_age"
        self.ages, self.batches, self.joins = f"{prefix}ages", f"{prefix}batches", f"{prefix}joins"
        self.aliased = f"{prefix}aliased"

    def page(self, place: Place) -> str:
        """Return the key of a page's chunks."""
        return f"{self.prefix}page:{place[0]}:{place[1]}"

    def stated(self, place: Place) -> str:
        """Return the key of the statements for a page's predictions."""
        return f"{self.prefix}stated:{place[0]}:{place[1]}"

    def lane(self, digest: bytes) -> str:
        """Return the key of a lane's names."""
        return f"{self.prefix}lane:{digest.hex()}"

    def alias(self, name: str) -> str:
        """Return the key of a caller's own id."""
        return f"{self.prefix}alias:{name}"

    def batch(self, batch_id: str) -> str:
        """Return the key of a batch."""
        return f"{self.prefix}batch:{batch_id}"

    def wake(self, wake: Place | str) -> str:
        """Return the key of the labels that wait for a page or a name."""
        return f"{self.prefix}wake:{wake[0]}:{wake[1]}" if isinstance(wake, tuple) else f"{self.prefix}wake:id:{wake}"

    def sources(self, label: Received) -> list[str]:
        """Return the keys that the prediction of *label* would come to."""
        wakes = wakes_of(label.id or "")
        return [self.page(wake) if isinstance(wake, tuple) else self.alias(wake) for wake in wakes]


class ChunkMark(NamedTuple):
    """Where a chunk is kept: its page, its field there, and the digest of its lane."""

    place: Place
    field: str
    lane: bytes

    def member(self) -> str:
        """Return how ``ages`` names it."""
        return f"{self.place[0]}:{self.place[1]}:{self.field}"


class RedisLookup:
    """Looks things up; implements `radiosonde._join.joining.JoinLookup`."""

    def __init__(self, client: Any, keys: RedisKeys) -> None:
        self._client, self._keys = client, keys
        self._lanes: dict[bytes, LaneCodes] = {}

    def aliases(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `JoinLookup`."""
        targets = self._client.mget([self._keys.alias(name) for name in names])
        return {name: target.decode() for name, target in zip(names, targets, strict=True) if target is not None}

    def chunks(self, places: Sequence[Place]) -> Iterable[Sequence[PredictionChunk]]:
        """See `JoinLookup`."""
        pipe = self._client.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(self._keys.page(place))
        pages = [list(self._decoded(place, page)) for place, page in zip(places, pipe.execute(), strict=True)]
        self._load_lanes({mark.lane for page in pages for mark, _ in page})
        # A chunk whose names are gone cannot be read: as good as expired.
        return [[self._chunk(mark, body) for mark, body in page if mark.lane in self._lanes] for page in pages]

    def stated(self, nonce: int, keys: Sequence[Key]) -> Mapping[Key, Stated]:
        """See `JoinLookup`."""
        if not keys:
            return {}
        place = place_of(nonce, keys[0][0])
        found = self._client.hmget(self._keys.stated(place), [_field(key) for key in keys])
        return {key: decode_stated(document) for key, document in zip(keys, found, strict=True) if document is not None}

    @staticmethod
    def _decoded(place: Place, page: Mapping[bytes, bytes]) -> Iterator[tuple[ChunkMark, bytes]]:
        for field, body in page.items():
            yield ChunkMark(place, field.decode(), body[:_DIGEST_BYTES]), body

    def _load_lanes(self, wanted: set[bytes]) -> None:
        missing = sorted(wanted - self._lanes.keys())
        if missing:
            documents = self._client.mget([self._keys.lane(digest) for digest in missing])
            for digest, document in zip(missing, documents, strict=True):
                if document is not None:
                    self._lanes[digest] = LaneCodes(decode_lane(document))

    def _chunk(self, mark: ChunkMark, body: bytes) -> PredictionChunk:
        rows = int.from_bytes(body[_DIGEST_BYTES : _DIGEST_BYTES + 4], "little")
        begin = _DIGEST_BYTES + 4
        end = begin + rows * PREDICTION.itemsize
        return decode(self._lanes[mark.lane], body[begin:end], body[end:], mark)


def lane_digest(names: LaneNames) -> tuple[bytes, str]:
    """Return the digest and the document of a lane's names: content names itself, so that writers need not agree."""
    document = encode_lane(names)
    return hashlib.blake2b(document.encode(), digest_size=_DIGEST_BYTES).digest(), document


def write_chunk(pipe: Any, keys: RedisKeys, place: Place, lane: bytes, chunk: PredictionChunk, ttl_s: int) -> None:
    """Keep a chunk; the same one again changes nothing."""
    body = b"".join([
        lane, len(chunk.rows).to_bytes(4, "little"), chunk.rows.tobytes(), chunk.cells.tobytes(),
    ])  # fmt: skip
    mark = ChunkMark(place, hashlib.blake2b(body, digest_size=8).hexdigest(), lane)
    pipe.hset(keys.page(place), mark.field, body)
    pipe.expire(keys.page(place), ttl_s)
    pipe.zadd(keys.ages, {mark.member(): chunk.newest_ns})


def drop_chunk(pipe: Any, keys: RedisKeys, mark: ChunkMark) -> None:
    """Forget a chunk."""
    pipe.hdel(keys.page(mark.place), mark.field)
    pipe.zrem(keys.ages, mark.member())


def write_stated(pipe: Any, keys: RedisKeys, stated: Mapping[tuple[int, Key], Stated], ttl_s: int) -> None:
    """Store statements."""
    pages: dict[str, dict[str, str]] = {}
    for (nonce, key), document in zip(stated, encode_stated(stated.values()), strict=True):
        pages.setdefault(keys.stated(place_of(nonce, key[0])), {})[_field(key)] = document
    for name, mapping in pages.items():
        pipe.hset(name, mapping=mapping)
        pipe.expire(name, ttl_s)


def drop_stated(pipe: Any, keys: RedisKeys, place: Place, gone: Sequence[Key]) -> None:
    """Delete the statements for removed predictions."""
    if gone:
        pipe.hdel(keys.stated(place), *[_field(key) for key in gone])


def write_waiting(pipe: Any, keys: RedisKeys, labels: Iterable[Received], ttl_s: int) -> None:
    """Let labels wait."""
    for label in labels:
        name = secrets.token_hex(8)
        pipe.hset(keys.waiting, name, encode_label(label))
        pipe.zadd(keys.by_age, {name: label.since_ns})
        for wake in wakes_of(label.id or ""):
            pipe.sadd(keys.wake(wake), name)
            pipe.expire(keys.wake(wake), ttl_s)


def wake(pipe: Any, keys: RedisKeys, wakes: Iterable[Place | str]) -> None:
    """Requeue waiting labels."""
    names = [keys.waiting, keys.received, *dict.fromkeys(keys.wake(wake) for wake in wakes)]
    pipe.eval(WAKE, len(names), *names)


def encode_label(label: Received) -> str:
    """Return a label as JSON."""
    return json.dumps(label)


def decode_labels(documents: Sequence[bytes]) -> list[Received]:
    """Decode the result of `encode_label`."""
    return [Received(*fields) for fields in json.loads(b"[" + b",".join(documents) + b"]")]


def _field(key: Key) -> str:
    return f"{key[0]}:{key[1]}"
