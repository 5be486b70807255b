"""A version for a model that nobody gave one: a digest of its fitted parameters, the same in every process.

Not of its pickle: that depends on the order of sets and on which strings happen to be one object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

DIGITS = 12
"""Hex digits of a digest: among a million versions two alike in one of 280 cases."""

DEEPEST = 40
"""Levels of attributes that are looked into; what lies deeper counts by its type alone."""


def parameters_digest(model: object) -> str:
    """Return ``params-`` and a digest of everything *model* holds: attributes, arrays, nested models."""
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    _feed(digest, model, 0, set())
    return f"params-{digest.hexdigest()}"


def _feed(digest: Any, value: Any, depth: int, above: set[int]) -> None:
    digest.update(f"{type(value).__module__}.{type(value).__qualname__}:".encode())
    if value is None or isinstance(value, (bool, int, float, complex, str)):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray)):
        digest.update(value)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).view(np.uint8).reshape(-1).data if value.size else b"")
    elif isinstance(value, np.generic):
        digest.update(value.tobytes())
    elif depth < DEEPEST and id(value) not in above:  # an object inside itself counts by its type
        _feed_all(digest, _parts(value), depth + 1, above | {id(value)})


def _feed_all(digest: Any, parts: Iterable[Any], depth: int, above: set[int]) -> None:
    for part in parts:
        _feed(digest, part, depth, above)
        digest.update(b";")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [part for key in sorted(value, key=repr) for part in (key, value[key])]
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, np.ndarray):
        return value.reshape(-1).tolist()
    if isinstance(value, (list, tuple)):
        return value
    if callable(value) and hasattr(value, "__qualname__"):
        return [value.__qualname__]
    state = value.__getstate__() if hasattr(value, "__getstate__") else None
    return [] if state is None else [state]
