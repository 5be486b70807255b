"""All access to the clocks. Durations use the monotonic clock, points in time the wall clock.

A recorded start is ``monotonic now + anchor``; the anchor (wall minus monotonic) is updated at every drain, so one
clock read on the hot path serves both purposes, and a wall clock that jumps moves later records without ever making a
duration negative.
"""

from __future__ import annotations

from time import perf_counter_ns as monotonic_ns
from time import process_time_ns, thread_time_ns
from time import time_ns as wall_ns

from radiosonde._native import sleep

__all__ = ["LATEST_S", "NS", "anchor_ns", "monotonic_ns", "process_time_ns", "sleep", "thread_time_ns", "wall_ns"]

NS = 1_000_000_000

"""Nanoseconds per second."""

LATEST_S = 9_151_488_000.0
"""Seconds since the epoch below which a number is a time: the beginning of 2260. Nanoseconds are kept in 64 bits, which end in April
2262, and the longest window (a year) must end before that. Times in milliseconds lie above it."""

REPLAY_NS = 3600 * NS
"""A prediction whose event time is this far behind the clock is part of a replay, a backfill or a batch job over old rows. Its latency does
not matter: it may wait for its consumer, and it is not sampled to keep a server's CPU budget."""


def anchor_ns() -> int:
    """Return wall clock minus monotonic clock, in nanoseconds, now."""
    return wall_ns() - monotonic_ns()
