"""The one place that swallows exceptions: counts, logs once a minute per place, disables the repeat offender.

A host's prediction must never see an exception of ours, and we must never hide one from ourselves. So every entry into
our code from the outside (the wrapper, the consumer thread, a scrape, an exit hook) passes its `Exception` here, never
a `BaseException`: KeyboardInterrupt, SystemExit and asyncio's CancelledError belong to the host. In tests the guard is
told to re-raise, so that bugs are loud for us and silent for hosts.

Losses are counted here too, because both counts are needed everywhere and both must survive being called from any
thread, from a signal handler and from a finaliser.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from radiosonde._clock import NS, monotonic_ns

Result = TypeVar("Result")

OFFENCES_BEFORE_DISABLED = 100
"""Failures in a row after which a guarded call is no longer made. Arbitrary; bounds the cost of a broken plug-in."""

_LOG_EVERY_NS = 60 * NS


class Guard:
    """Counts errors of our own and losses by name.

    Args:
        reraise: raise what `swallow` is given (for tests).
    """

    def __init__(self, *, reraise: bool = False) -> None:
        self.reraise = reraise
        self.reset()

    def reset(self) -> None:
        """Forget everything and take a new lock (in a forked child the old one may be held by a lost thread)."""
        # Re-entrant: a finaliser run by the garbage collector inside `lose` may come back through `lose`.
        self._lock = threading.RLock()
        self._losses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._logged_ns: dict[str, int] = {}

    def lose(self, reason: str, count: int = 1) -> None:
        """Count *count* losses under *reason*, a name from `radiosonde.model.losses`."""
        with self._lock:
            self._losses[reason] += count

    def swallow(self, place: str, error: Exception) -> None:
        """Count *error* under *place* and log it at most once a minute; re-raise it if told so at construction."""
        with self._lock:
            self._errors[place] += 1
            self._in_a_row[place] += 1
        self.tell(place, "Your code is fine; Radiosonde failed in %s and goes on with less telemetry: %r", place, error)
        if self.reraise:
            raise error

    def tell(self, topic: str, message: str, *values: object) -> None:
        """Log a warning at most once a minute per *topic*."""
        now_ns = monotonic_ns()
        last_ns = self._logged_ns.get(topic)
        if last_ns is None or now_ns - last_ns >= _LOG_EVERY_NS:
            self._logged_ns[topic] = now_ns
            try:
                import logging  # 4 ms of `import radiosonde`, for what most processes never say

                logging.getLogger("radiosonde").warning(message, *values)
            except Exception:  # the host's log handler, or a ``__repr__`` that raises: must not reach its prediction
                with self._lock:
                    self._errors["log"] += 1

    def call(self, place: str, function: Callable[..., Result], *arguments: object) -> Result | None:
        """Call *function*; return None when it raised or was disabled for raising too often in a row."""
        if self._in_a_row[place] >= OFFENCES_BEFORE_DISABLED:
            return None
        try:
            result = function(*arguments)
        except Exception as error:
            self.swallow(place, error)
            return None
        if self._in_a_row[place]:
            self._in_a_row[place] = 0
        return result

    @staticmethod
    def attempt(function: Callable[..., Result], *arguments: object) -> Result | Exception:
        """Call code of the user's that may raise anything (a ``__float__``); return what it raised instead of raising.

        For inputs with a defined result, so nothing is counted here and nothing is re-raised in tests.
        """
        try:
            return function(*arguments)
        except Exception as error:
            return error

    def is_disabled(self, place: str) -> bool:
        """Say whether *place* failed so often in a row that it is no longer called."""
        return self._in_a_row[place] >= OFFENCES_BEFORE_DISABLED

    def losses(self) -> Mapping[str, int]:
        """Return the losses so far, by reason."""
        with self._lock:
            return dict(self._losses)

    def errors(self) -> Mapping[str, int]:
        """Return the errors of our own so far, by place."""
        with self._lock:
            return dict(self._errors)
