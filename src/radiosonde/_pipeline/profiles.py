"""Reference profiles of one process: each file read once, and which are in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from radiosonde._pipeline.ring_consumer import RingConsumer


class Profiles:
    """Profiles by path."""

    def __init__(self) -> None:
        self._loaded: dict[str, Reference] = {}

    def load(self, path: str) -> Reference:
        """Return the profile at *path*, read once.

        Raises:
            ProfileError: it cannot be read.
        """
        if path not in self._loaded:
            self._loaded[path] = Reference.load(path)
        return self._loaded[path]


def profiles_in_use(consumers: Iterable[RingConsumer]) -> dict[tuple[str, str], Reference]:
    """Return the profiles that *consumers* are counted by, by (model, version)."""
    return {
        (consumer.stream.model, consumer.stream.version): consumer.stream.reference
        for consumer in list(consumers)
        if consumer.stream.reference is not None
    }
