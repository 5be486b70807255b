"""Bound on the wait of one fork for the threads of all pipelines of the process together."""

from __future__ import annotations

from radiosonde._clock import monotonic_ns


class ForkPatience:
    """Counts from the first pipeline that a fork notifies until the fork is over. For the forking thread."""

    def __init__(self) -> None:
        self._until_ns = 0

    def until_ns(self, total_ns: int) -> int:
        """Return when the fork cannot wait any longer, on the monotonic clock; it waits for *total_ns* in all."""
        if not self._until_ns:
            self._until_ns = monotonic_ns() + total_ns
        return self._until_ns

    def end(self) -> None:
        """The fork is over."""
        self._until_ns = 0


PATIENCE = ForkPatience()
