"""Deferred results: values that are awaited or iterated after the function has returned.

A retry decorator around a coroutine function, an object with an asynchronous ``__call__`` and a function that returns a task
are plain functions. Their prediction lasts until the awaited work has ended, and its error and result are those of the work.

For the caller the result is indistinguishable from the function's, as far as possible:

* a coroutine, generator or asynchronous generator is wrapped in one of the same type and name. There is no other way to observe its end,
  and frameworks check its type;
* a future or task of asyncio or `concurrent.futures` is returned itself, with a callback;
* another awaitable gets a proxy that is an instance of the same class for ``isinstance`` and forwards every attribute. One that can also be
  entered, iterated or called is returned itself, unobserved: its output is unreadable, and a warning is logged.

Between the return and the first step the prediction is not current: predictions that begin then are not nested in it. The time until that
step is not part of its duration.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from types import AsyncGeneratorType, GeneratorType, coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from radiosonde._clock import monotonic_ns
from radiosonde._record.shapes import TYPES_KNOWN
from radiosonde._record.token import CURRENT, ENDED, OUTER, SPAN, START_NS, WRITER, Token

if TYPE_CHECKING:
    from radiosonde._record.record_writer import RecordWriter


class _Types(set[type]):
    """The set below; a wrapper that is unpickled uses the set of its process."""

    def __reduce__(self) -> Any:
        return _settled, ()


def _settled() -> set[type]:
    return SETTLED


SETTLED: set[type] = _Types((
    str, int, float, bool, dict, list, tuple, type(None), np.ndarray, np.float64, np.int64, np.str_, np.bool_,
))  # fmt: skip
"""Types of results that are complete when returned; the wrapper checks this set itself."""

_ALWAYS = frozenset(SETTLED)

_MORE = ("__aenter__", "__enter__", "__aiter__", "__iter__", "__next__", "__call__")
"""Methods that Python looks up on the type, where a proxy has none."""

_GENERATORS = (GeneratorType, AsyncGeneratorType)

Wrap = Callable[[Callable[..., Any], Any], Callable[..., Any]]


class Wraps(NamedTuple):
    """The wrappers of functions whose results come later."""

    coroutine: Wrap
    generator: Wrap
    async_generator: Wrap


def is_later(result: object) -> bool:
    """Return whether *result* is awaited or is a generator; remember its type if not."""
    kind = type(result)  # the type alone: a user's object may raise on any attribute access
    if _has(kind, "__await__") or issubclass(kind, _GENERATORS) or _is_future(kind):
        return True
    if len(SETTLED) >= TYPES_KNOWN:
        SETTLED.intersection_update(_ALWAYS)
    SETTLED.add(kind)
    return False


def observe_later(token: Token | None, result: Any, wraps: Wraps) -> Any:
    """Return the value for the caller in place of *result*; the prediction ends when *result* does.

    Args:
        token: token of the prediction; None if it is not recorded.
        result: a value for which `is_later` returned true.
        wraps: the wrappers to use.
    """
    if token is None:
        return result
    kind = type(result)
    is_work = issubclass(kind, GeneratorType) and is_awaited(result)
    is_generator = issubclass(kind, _GENERATORS) and not is_work
    handed = Handed(token, is_generator=is_generator)
    if is_generator:
        wrap = wraps.generator if issubclass(kind, GeneratorType) else wraps.async_generator
    elif _is_future(kind):
        result.add_done_callback(handed.end_with)
        return result
    elif _has(kind, *_MORE) and not is_work:
        handed.finish(handed.begin(), result)  # unreadable: counted and logged
        return result
    else:
        wrap = wraps.coroutine
    ours = wrap(lambda: result, handed)
    if not issubclass(kind, (Coroutine, *_GENERATORS)):
        return _StandIn(result, ours)
    made = _as_generator(ours()) if is_work else ours()
    for name in ("__name__", "__qualname__"):
        setattr(made, name, getattr(result, name, getattr(made, name)))
    return made


def is_awaited(maker: Any) -> bool:
    """Whether a generator, or a function that returns one, is a coroutine made by `types.coroutine`."""
    code = getattr(maker, "gi_code", None) or getattr(maker, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


@coroutine
def _as_generator(work: Any) -> Generator[Any, Any, Any]:
    return (yield from work)


class Handed:
    """A prediction that has begun and continues in the awaited work; used by wrappers in place of a recorder and its writer.

    Args:
        token: token of the prediction.
        is_generator: each step runs in the context of the consumer, so a span is current in none.
    """

    __slots__ = ("_idle_ns", "_is_generator", "_left_ns", "token", "unended", "writer")

    def __init__(self, token: Token, *, is_generator: bool) -> None:
        self.token, self.writer, self._is_generator = token, self, is_generator
        self._left_ns, self._idle_ns = monotonic_ns(), 0
        writer: RecordWriter = token[WRITER]
        self.unended = writer.unended
        with writer.recorder.host.guard("span_pause"):
            if token[SPAN] is not None and writer.spans is not None:
                writer.spans.pause(token)
        outer, token[OUTER] = token[OUTER], ENDED
        if outer is not None or is_generator:
            CURRENT.set(outer)

    def begin(self, args: Any = (), kwargs: Any = None) -> Token:
        """Resume the prediction in the context that awaits it or takes its first item."""
        token = self.token
        self._idle_ns = monotonic_ns() - self._left_ns
        token[START_NS] += self._idle_ns
        enter(token)
        writer: RecordWriter = token[WRITER]
        with writer.recorder.host.guard("span_go_on"):
            if token[SPAN] is not None and writer.spans is not None and not self._is_generator:
                writer.spans.go_on(token)
        return token

    def finish(self, token: Token | None, result: object) -> None:
        """End it with its result."""
        token = self.token
        writer: RecordWriter = token[WRITER]
        if not writer.owns_slot(token):
            token[START_NS] -= self._idle_ns  # by its age the writer knows that the slot was given away
        writer.finish(token, result)

    def fail(self, token: Token | None, error: BaseException) -> None:
        """End it with its error."""
        self.token[WRITER].fail(self.token, error)

    def end_with(self, future: Any) -> None:
        """End it with the outcome of *future*; called by the future, in the thread that sets it."""
        from asyncio import CancelledError

        token = self.token
        # The work of a future proceeds by itself: no time is excluded, and it is current in no context.
        token[OUTER] = None
        with token[WRITER].recorder.host.guard("future"):
            # # Avoids `exception()` if possible: it marks the error as retrieved, and the future would no longer log it.
            cancelled = CancelledError() if future.cancelled() else None
            error = cancelled or (future._exception if hasattr(future, "_exception") else future.exception())  # noqa: SLF001
            if error is not None:
                self.fail(token, error)
            else:
                self.finish(token, future.result())


def current_token() -> Token | None:
    """Return the token of the current prediction, ended or not. Wrappers call this because a context variable cannot be pickled."""
    return CURRENT.get()


def go_back(before: Token | None) -> None:
    """Restore the previous current prediction."""
    CURRENT.set(before)


def enter(token: Token | None) -> Token | None:
    """Make a prediction the current one, inside of the one in progress; return the current one before."""
    before = CURRENT.get()
    if token is not None:
        token[OUTER] = None if before is None or before[OUTER] is ENDED else before
        CURRENT.set(token)
    return before


def _has(kind: type, *methods: str) -> bool:
    # Not `hasattr`, which also finds attributes of the metaclass: every type can be called.
    return any(name in vars(base) for base in kind.__mro__ for name in methods)


def _is_future(kind: type) -> bool:
    return all(_has(kind, name) for name in ("add_done_callback", "cancelled", "exception", "result"))


class _StandIn:
    """Proxy of an awaitable without other abilities, which observes the first time that it is awaited."""

    def __init__(self, awaitable: Any, observed: Callable[[], Any]) -> None:
        self._awaitable, self._observed = awaitable, observed

    def __await__(self) -> Generator[Any, Any, Any]:
        observed, self._observed = self._observed, lambda: self._awaitable
        awaited: Generator[Any, Any, Any] = observed().__await__()
        return awaited

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # for isinstance
        return type(self._awaitable)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._awaitable, name)

    def __repr__(self) -> str:
        return repr(self._awaitable)
