"""Mergeable sketches with one contract: update, merge, bytes, query.

A sketch here is a thin class over Apache DataSketches: it fixes the parameters (so that any two sketches of a kind
merge), states the error, and raises `MergeError` for foreign or damaged bytes. The bytes are the plain DataSketches serialization without
an additional header, so any DataSketches implementation (Python, Java, C++, ClickHouse) reads them.

The library is loaded at the first sketch (`radiosonde.sketches.library`), in the consumer's thread of a model server. Without it everything
else is still counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.errors import MergeError
from radiosonde.sketches.contract import Sketch
from radiosonde.sketches.frequent import FrequentSketch
from radiosonde.sketches.hll import HllSketch
from radiosonde.sketches.kll import KllSketch
from radiosonde.sketches.library import is_available

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KINDS", "FrequentSketch", "HllSketch", "KllSketch", "Sketch", "is_available", "merge_bytes"]

KINDS: dict[str, type[Sketch]] = {sketch.kind: sketch for sketch in (KllSketch, HllSketch, FrequentSketch)}
"""Every kind of sketch by the name that windows and carriers use."""


def merge_bytes(kind: str, parts: Iterable[bytes]) -> bytes:
    """Merge serialized sketches of one kind and return the serialized result.

    A single part is returned as it is; no part at all gives an empty sketch.

    Raises:
        MergeError: *kind* is unknown, or a part is not a sketch of this kind.
    """
    if kind not in KINDS:
        raise MergeError(f"unknown sketch kind {kind!r}; this version knows {', '.join(KINDS)}; upgrade radiosonde")
    remaining = iter(parts)
    first = next(remaining, None)
    if first is None:
        return KINDS[kind]().to_bytes()
    second = next(remaining, None)
    if second is None:
        return first
    total = KINDS[kind].from_bytes(first)
    total.merge(KINDS[kind].from_bytes(second))
    for part in remaining:
        total.merge(KINDS[kind].from_bytes(part))
    return total.to_bytes()
