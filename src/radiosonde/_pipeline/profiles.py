"""Reference profiles of one process: each file read once."""

from __future__ import annotations

from radiosonde.reference.profile import Reference


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
