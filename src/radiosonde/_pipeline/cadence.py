"""Scheduling of drains.

A turn has a fixed cost, a few milliseconds in a server with cold caches, and delays the concurrent request or two. At three hundred
requests a second, a turn a second delays one request in a hundred, which is a served model's p99 (bench_served). Few records therefore wait
longer than many.
"""

from __future__ import annotations

from radiosonde._clock import NS

OFTEN_NS = NS
"""Longest wait of many records, besides the polling interval: folding few at a time costs more per record than folding many."""

SELDOM_S = 5.0
"""Seconds that a few records wait, where windows are long."""

TURNS_A_WINDOW = 12
"""Smallest number of turns per window, down to one per `OFTEN_NS`: bounds the delay of a window to a share of its length."""

MANY = 1_000
"""Number of records of one function, or of deferred functions, that justify a turn: they cost several times its fixed cost."""


class Cadence:
    """Says when a turn is due. Owner: the consumer.

    Args:
        window_s: length of windows.
    """

    def __init__(self, window_s: float) -> None:
        self._seldom_ns = max(OFTEN_NS, round(min(SELDOM_S, window_s / TURNS_A_WINDOW) * NS))

    def is_due(self, waited_ns: int, waiting: int, *, is_awaited: bool = False) -> bool:
        """Return whether a turn is due.

        Args:
            waited_ns: time since the last one.
            waiting: the largest backlog: records of a ring, or deferred functions.
            is_awaited: a turn is needed for any amount of work: a label waits to be joined.
        """
        return waited_ns >= (OFTEN_NS if is_awaited or waiting >= MANY else self._seldom_ns)
