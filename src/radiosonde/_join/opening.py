"""Opens the join store for a target."""

from __future__ import annotations

from radiosonde._join.joining import MAX_AGE_S, WAIT_S
from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.store import JoinStore

_REDIS = ("redis://", "rediss://")


def open_join_store(target: str | None, *, max_age_s: float = MAX_AGE_S, wait_s: float = WAIT_S) -> JoinStore:
    """Open a join store.

    Args:
        target: None: in memory; an address that begins with ``redis://`` or ``rediss://``: on that Redis; else the path of a
            SQLite file, made when missing.
        max_age_s: age at which a prediction expires.
        wait_s: how long a label waits for its prediction.

    Raises:
        StoreError: the store cannot be reached, made or read.
        ConfigurationError: the address is none, or ``radiosonde[redis]`` is not installed.
    """
    if target is None:
        return MemoryJoinStore(max_age_s=max_age_s, wait_s=wait_s)
    # Imported here: a process without a store does not load sqlite3 and redis.
    if target.startswith(_REDIS):
        from radiosonde._join.redis import RedisJoinStore

        return RedisJoinStore(target, max_age_s=max_age_s, wait_s=wait_s)
    from radiosonde._join.sqlite import SqliteJoinStore

    return SqliteJoinStore(target, max_age_s=max_age_s, wait_s=wait_s)
