"""A bound on spans per minute that no reason can use up alone."""

from __future__ import annotations

from collections import Counter, deque

from radiosonde._clock import NS, monotonic_ns
from radiosonde.model.spans import BASELINE, REASONS

_MINUTE_NS = 60 * NS
_POOL = ""


class Allowance:
    """Grants spans, at most *per_minute* in any 60 seconds of the monotonic clock.

    Every reason has a reserved tenth, the baseline a fifth; the rest is granted first come, first served, except to the baseline, which is
    always in demand. A grant counts for one minute. A token bucket would be smaller, but to hold a bound in *any* minute its capacity and
    its rate can each be only half of it.

    Memory: at most *per_minute* entries.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        tenth = per_minute // 10
        self._shares = {reason: 2 * tenth if reason == BASELINE else tenth for reason in REASONS}
        self._shares[_POOL] = per_minute - sum(self._shares.values())
        self._used: Counter[str] = Counter()
        self._granted: deque[tuple[int, str, int]] = deque()

    def grant(self, reason: str, wanted: int) -> int:
        """Return how many of *wanted* spans are granted for *reason* now; they count as used."""
        now_ns = monotonic_ns()
        while self._granted and self._granted[0][0] <= now_ns - _MINUTE_NS:
            _, share, count = self._granted.popleft()
            self._used[share] -= count
        granted = 0
        for share in (reason,) if reason == BASELINE else (reason, _POOL):
            count = min(wanted - granted, self._shares[share] - self._used[share])
            if count > 0:
                self._used[share] += count
                self._granted.append((now_ns, share, count))
                granted += count
        return granted
