"""The one place that swallows exceptions. Counts them by place, and logs each place at most once a minute.

A host's prediction must never see an exception of Radiosonde, and Radiosonde must never hide one in its tests. Every entry into its code
from the outside (the wrapper, the consumer thread, a scrape, an exit hook) is therefore one block:

    with guard("join"):
        ...

An `Exception` that leaves the block ends there; a `BaseException` does not: KeyboardInterrupt, SystemExit and asyncio's
CancelledError belong to the host. In tests the guard is configured to re-raise, so that bugs fail tests and stay silent in hosts.
Places are registered in `radiosonde.model.places`. The closures of the hot path cannot afford a block; they catch, and call
`Guard.swallow`.

A guarded block is always entered, however often it failed before. Where a failure costs more than a success, as opening a
ring does, a `Breaker` pauses the calls.

Losses are counted here too, because both counts are needed everywhere and both must survive being called from any
thread, from a signal handler and from a finaliser.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from radiosonde._clock import NS, monotonic_ns
from radiosonde._native import RLock, get_ident
from radiosonde.model.losses import CALLS_PAUSED
from radiosonde.model.places import PLACES

if TYPE_CHECKING:
    from types import TracebackType

Result = TypeVar("Result")
_Line = tuple[str, tuple[object, ...], "Exception | None"]
"""A message, its values, and the error whose traceback goes with it."""

FAILURES_BEFORE_PAUSE = 100
"""Failures in a row after which a breaker pauses. Arbitrary; bounds the cost of a plug-in or an input that always fails."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Seconds until a breaker tries again: at first, and at most after doubling at each failed try."""

MOST_KINDS = 64
"""Largest number of kinds of calls of one breaker; further kinds share one state."""

_LOG_EVERY_NS = 60 * NS
_MOST_TOPICS = 1024


class Guard:
    """Counts internal errors and losses by name.

    Args:
        reraise: re-raise in `swallow` (for tests).
    """

    def __init__(self, *, reraise: bool = False) -> None:
        self.reraise = reraise
        self._blocks = {place: _Block(self, place) for place in PLACES}
        self.reset()

    def reset(self) -> None:
        """Forget everything and take a new lock (in a forked child the old one may be held by a lost thread)."""
        # Re-entrant: a finaliser run by the garbage collector inside `lose` may come back through `lose`.
        self._lock = RLock()
        self._losses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._logged_ns: dict[str, int] = {}
        self._unlogged: dict[int, deque[_Line]] = {}  # by thread that logs just now
        for block in self._blocks.values():
            block.failures_in_a_row = 0

    def __call__(self, place: str, loss: str = "", count: int = 1) -> _Block:
        """Return a context manager that swallows an `Exception` of the block, counts it under *place* and logs it.

        Args:
            place: a name from `radiosonde.model.places`.
            loss: name of the loss if the block raises, from `radiosonde.model.losses`.
            count: number lost.
        """
        block = self._blocks.get(place)
        if block is None or loss:  # the others are made once: a block costs no allocation
            return _Block(self, place, loss, count)
        return block

    def lose(self, reason: str, count: int = 1) -> None:
        """Count *count* losses under *reason*, a name from `radiosonde.model.losses`."""
        with self._lock:
            self._losses[reason] += count

    def swallow(self, place: str, error: Exception) -> None:
        """Count *error* under *place* and log it at most once a minute; re-raise it if so configured."""
        with self._lock:
            self._errors[place] += 1
        self.warn(
            place,
            "Radiosonde failed while %s: %r. Predictions are not affected; some telemetry is missing. For the traceback, set "
            "the logger radiosonde to DEBUG",
            PLACES.get(place, place),
            error,
            error=error,
        )
        if self.reraise:
            raise error

    def warn(self, topic: str, message: str, *values: object, error: Exception | None = None) -> None:
        """Log a warning at most once a minute per *topic*; the traceback of *error* goes to level DEBUG.

        A message from code that interrupts logging in its own thread (a signal handler or a finaliser that predicts) is logged when that
        has ended. Python's logging locks are reentrant, but those of the host's handlers may not be (that of a `queue.Queue`), and a
        buffered file raises.
        """
        now_ns = monotonic_ns()
        last_ns = self._logged_ns.get(topic)
        if last_ns is None or now_ns - last_ns >= _LOG_EVERY_NS:
            if len(self._logged_ns) >= _MOST_TOPICS:  # rings, receipts and processes are topics too
                self._logged_ns.clear()
            self._logged_ns[topic] = now_ns
            self._log_in_turn((message, values, error))

    def _log_in_turn(self, line: _Line) -> None:
        thread = get_ident()
        unlogged = self._unlogged.get(thread)
        if unlogged is not None:
            unlogged.append(line)
            return
        unlogged = deque([line])
        while unlogged:  # checked again after the thread's entry is removed, because of interruptions until then
            self._unlogged[thread] = unlogged
            try:
                while unlogged:
                    self._log(*unlogged.popleft())
            finally:  # the host's log handler may raise (`KeyboardInterrupt`)
                self._unlogged.pop(thread, None)

    def _log(self, message: str, values: tuple[object, ...], error: Exception | None) -> None:
        try:
            import logging  # saves 4 ms of `import radiosonde`; most processes never log

            logger = logging.getLogger("radiosonde")
            logger.warning(message, *values)
            if error is not None:
                logger.debug("Traceback of the warning above", exc_info=error)
        except Exception:  # the host's log handler, or a ``__repr__`` that raises: must not reach its prediction
            with self._lock:
                self._errors["log"] += 1

    @staticmethod
    def attempt(function: Callable[..., Result], *arguments: object) -> Result | Exception:
        """Call user code that may raise anything (a ``__float__``); return its exception instead of raising.

        For inputs with a defined result, so nothing is counted here and nothing is re-raised in tests.
        """
        try:
            return function(*arguments)
        except Exception as error:
            return error

    def failures_in_a_row(self, place: str) -> int:
        """Return the number of failures of *place* since its last success."""
        return self._blocks[place].failures_in_a_row

    def losses(self) -> Mapping[str, int]:
        """Return the losses so far, by reason."""
        with self._lock:
            return dict(self._losses)

    def errors(self) -> Mapping[str, int]:
        """Return the internal errors so far, by place."""
        with self._lock:
            return dict(self._errors)


class _Block:
    """Context manager of `Guard.__call__`. Without a loss one object serves all threads: its only state is a count."""

    __slots__ = ("_count", "_guard", "_loss", "_place", "failures_in_a_row")

    def __init__(self, guard: Guard, place: str, loss: str = "", count: int = 1) -> None:
        self._guard, self._place, self._loss, self._count = guard, place, loss, count
        self.failures_in_a_row = 0

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.failures_in_a_row = 0
            return False
        if self._loss:
            self._guard.lose(self._loss, self._count)
        if not isinstance(error, Exception):
            return False
        self.failures_in_a_row += 1
        self._guard.swallow(self._place, error)
        return True


class _Kind:
    """One kind of calls that failed last time."""

    __slots__ = ("failures", "pause_s", "retry_ns")

    def __init__(self) -> None:
        self.failures, self.pause_s, self.retry_ns = 0, FIRST_PAUSE_S, 0


class Breaker:
    """Pauses calls that keep failing, each kind by itself, and tries again after a while.

    After `FAILURES_BEFORE_PAUSE` failures in a row of one kind, calls of that kind are not admitted for `FIRST_PAUSE_S`
    seconds. Then one is (the breaker is half open): its success ends the pause, its failure doubles it, up to
    `LONGEST_PAUSE_S`. Both are logged. Calls that are not admitted are counted as ``calls_paused``.

        with breaker(type(value).__name__) as is_admitted:
            if is_admitted:
                ...

    No lock: a race admits one call more. At most `MOST_KINDS` failing kinds are distinguished.

    Args:
        guard: counts and logs.
        place: a name from `radiosonde.model.places`.
        subject: whose calls these are, for the log.
    """

    def __init__(self, guard: Guard, place: str, subject: str) -> None:
        self.guard, self.place, self.subject = guard, place, subject
        self._kinds: dict[str, _Kind] = {}  # only of calls that fail

    def __call__(self, kind: str = "") -> _Trial:
        """Return a context manager that reports whether the call is admitted, and swallows its exceptions."""
        return _Trial(self, kind)

    def admits(self, kind: str) -> bool:
        """Return whether a call of this kind should be made now."""
        known = self._known(kind)
        if known is None or known.failures < FAILURES_BEFORE_PAUSE:
            return True
        now_ns = monotonic_ns()
        if now_ns >= known.retry_ns:
            self._pause(known, now_ns)  # at once, so that others do not try too
            return True
        self.guard.lose(CALLS_PAUSED)
        return False

    def succeeded(self, kind: str) -> None:
        """Take note of a success."""
        if self._kinds:
            ended = self._kinds.pop(self._name(kind), None)
            if ended is not None and ended.failures >= FAILURES_BEFORE_PAUSE:
                self._warn(kind, "works again after %d failures", ended.failures)

    def failed(self, kind: str, error: Exception) -> None:
        """Take note of a failure.

        Raises:
            Exception: *error*, where the guard re-raises.
        """
        known = self._kinds.setdefault(self._name(kind), _Kind())
        known.failures += 1
        if known.failures >= FAILURES_BEFORE_PAUSE and not known.retry_ns:
            self._pause(known, monotonic_ns())
        if known.failures >= FAILURES_BEFORE_PAUSE:
            wait_s = (known.retry_ns - monotonic_ns()) / NS
            self._warn(kind, "failed %d times in a row and is tried again in %.0f s", known.failures, wait_s)
        self.guard.swallow(self.place, error)

    def _known(self, kind: str) -> _Kind | None:
        return self._kinds.get(self._name(kind)) if self._kinds else None

    def _name(self, kind: str) -> str:
        return kind if kind in self._kinds or len(self._kinds) < MOST_KINDS else ""

    @staticmethod
    def _pause(known: _Kind, now_ns: int) -> None:
        known.retry_ns = now_ns + round(known.pause_s * NS)
        known.pause_s = min(2 * known.pause_s, LONGEST_PAUSE_S)

    def _warn(self, kind: str, message: str, *values: object) -> None:
        what = f"{self.subject} ({kind})" if kind else self.subject
        self.guard.warn(
            f"{self.place} {what} {message}", f"For %s, %s {message}", what, PLACES.get(self.place, self.place), *values
        )


class _Trial:
    """One call that a breaker watches."""

    __slots__ = ("_breaker", "_is_admitted", "_kind")

    def __init__(self, breaker: Breaker, kind: str) -> None:
        self._breaker, self._kind = breaker, kind

    def __enter__(self) -> bool:
        self._is_admitted = self._breaker.admits(self._kind)
        return self._is_admitted

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            if self._is_admitted:
                self._breaker.succeeded(self._kind)
            return False
        if not isinstance(error, Exception):
            return False
        self._breaker.failed(self._kind, error)
        return True
