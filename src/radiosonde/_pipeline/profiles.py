"""Reference profiles of one process: each file read once, and which are in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from radiosonde._pipeline.lanes import DrainedLane


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


def profiles_in_use(lanes: Iterable[DrainedLane]) -> dict[tuple[str, str], Reference]:
    """Return the profiles that *lanes* are counted by, by (model, version)."""
    return {
        (lane.stream.model, lane.stream.version): lane.stream.reference
        for lane in list(lanes)
        if lane.stream.reference is not None
    }
