"""Scheduling of drains.

A turn has a price of its own, a few milliseconds in a server whose requests have left nothing of ours in the caches, and each
holds up the request or two that it meets. A turn a second is met by one request in a hundred at three hundred a second, which
is a served model's p99 (bench_served). So few records wait longer than many.
"""

from __future__ import annotations

from radiosonde._clock import NS

OFTEN_NS = NS
"""Records wait this long, and a look, where many do: folding few at a time costs more per record than folding many."""

SELDOM_S = 5.0
"""Seconds that a few records wait, where windows are long."""

TURNS_A_WINDOW = 12
"""Turns that there are in a window at least, down to one each `OFTEN_NS`: what a window is late by is a share of it."""

MANY = 1_000
"""Records of one function, or functions left to the consumer, that are worth a turn: they cost several times its own price."""


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
            waiting: the most that waits anywhere: records of a ring, functions left by callers.
            is_awaited: somebody waits for what a turn does, however little: a label to be joined.
        """
        return waited_ns >= (OFTEN_NS if is_awaited or waiting >= MANY else self._seldom_ns)
