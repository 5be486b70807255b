"""Version of an untagged model: an attribute, the file it was loaded from, or its parameters.

The last is a digest of the fitted attributes, the same in every process. Not of the pickle, which depends on the order of sets and on the
identity of strings.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from radiosonde_integrations._artifacts import artifact_version

DIGITS = 12
"""Hex digits of a digest: among a million versions two alike in one of 280 cases."""

DEEPEST = 40
"""Depth of attributes in the digest; deeper ones count by type only."""


_ATTRIBUTES = ("version", "__version__", "version_", "model_version")


def version_of(model: Any, *inner: Any) -> str | Callable[[], str]:
    """Return the version of an untagged model object, or a function that computes it off the hot path.

    Args:
        model: whose method is called.
        *inner: models inside that may carry a version attribute, such as a pipeline's last step.
    """
    for each in (model, *inner):
        for name in _ATTRIBUTES:
            value = getattr(each, name, None)
            if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value):
                return str(value)
    from_file, reference = artifact_version(model), weakref.ref(model)

    def tell() -> str:
        found = from_file() if from_file is not None else ""
        alive = reference()  # a recorder outlives its model and must not keep it
        return found or ("" if alive is None else parameters_digest(alive))

    return tell


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
    elif isinstance(value, np.ndarray) and value.dtype.names:  # field by field: the bytes between fields are anything
        _feed_all(
            digest, [value.shape, *(part for name in value.dtype.names for part in (name, value[name]))], depth, above
        )
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
