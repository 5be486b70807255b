"""A join store that records its arguments and does nothing else, for tests that only deliver labels."""

from __future__ import annotations

from collections.abc import Sequence

from radiosonde._join.preview import Preview
from radiosonde._join.store import Batch, Label, Predictions
from radiosonde.errors import StoreError


class RecordingStore:
    """Follows the protocol, and has every prediction; fails at the *failing*-th call of `receive`, if given."""

    def __init__(self, failing: int = 0) -> None:
        self.chunks: list[list[Label]] = []
        self.is_closed = False
        self._failing = failing

    @property
    def labels(self) -> list[Label]:
        """All labels, in order."""
        return [label for chunk in self.chunks for label in chunk]

    def remember(self, predictions: Sequence[Predictions]) -> None:
        raise NotImplementedError

    def alias(self, names: Sequence[tuple[str, str]]) -> None:
        raise NotImplementedError

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        into.labels += len(labels)
        into.met += len(labels)

    def receive(self, labels: Sequence[Label]) -> None:
        if len(self.chunks) + 1 == self._failing:
            raise StoreError("the disk is full")
        self.chunks.append(list(labels))

    def join(self, owner: str, *, now_ns: int, limit: int = 10_000) -> Batch | None:
        return None

    def acknowledge(self, batch_id: str) -> None:
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        return len(self.labels)

    def close(self) -> None:
        self.is_closed = True
