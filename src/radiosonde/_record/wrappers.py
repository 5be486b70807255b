"""The four wrappers: sync, async, generator, async generator. Explicit and short, chosen once at decoration.

Each adds exactly one frame to a traceback, propagates exceptions as the same object, and returns the function's result; a result of a plain
function that is awaited or iterated is left to `radiosonde._record.later`. For generators the
prediction lasts from the first `next` to exhaustion, and the last item yielded is its output; a generator that is closed
early has ended normally.

A generator has no context of its own: each step runs in the context of its consumer, which may be in another thread. The prediction
therefore becomes current at each step, and the previous one is restored at each yield.

When the stack is full, a call made by a wrapper may not fit although the function did; the record is then left to the consumer
(`radiosonde._record.unended`). The lines for it are repeated at each place, because a function would not fit either.

A wrapper may be pickled by value (cloudpickle, dill; what Ray, Dask, Spark and joblib do with functions of a script): its code
includes the globals that it uses, so these are importable functions, and its recorder, which is rebuilt in the other process
(`radiosonde._record.recorder.Recorder.__reduce__`). A callable that is not a function (a bound method, an object with ``__call__``, a
partial) has no name that pickle could look up; its wrapper is an object that can be pickled if the callable can.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import FunctionType
from typing import Any

from radiosonde._record.later import (
    SETTLED,
    Handed,
    Wraps,
    current_token,
    enter,
    go_back,
    is_awaited,
    is_later,
    observe_later,
)
from radiosonde._record.recorder import Recorder


def wrap(function: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Return *function* wrapped so that *recorder* records its calls."""
    for is_kind, wrap_kind in (
        (inspect.isasyncgenfunction, _wrap_async_generator),
        (inspect.iscoroutinefunction, _wrap_async),
        (inspect.isgeneratorfunction, _wrap_generator),
    ):
        if is_kind(function) and not is_awaited(function):
            observed = wrap_kind(function, recorder)
            recorder.held_by(observed)
            return observed
    observed = _wrap_sync(function, recorder)
    recorder.held_by(observed)
    return observed if isinstance(function, FunctionType) else ObservedCallable(observed, function, recorder)


class ObservedCallable:
    """Wrapper of an observed callable that is not a function. Calling it costs 40 ns more than a function (bench_record)."""

    def __init__(self, observed: Callable[..., Any], function: Callable[..., Any], recorder: Recorder) -> None:
        functools.update_wrapper(self, function)
        self._observed, self._recorder = observed, recorder

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._observed(*args, **kwargs)

    def __reduce__(self) -> Any:
        return wrap, (self.__wrapped__, self._recorder)  # type: ignore[attr-defined]  # set by update_wrapper

    def __repr__(self) -> str:
        return f"<observed {self.__wrapped__!r}>"  # type: ignore[attr-defined]  # same


def _wrap_sync(function: Callable[..., Any], recorder: Recorder | Handed) -> Callable[..., Any]:
    @functools.wraps(function)
    def observed(*args: Any, **kwargs: Any) -> Any:
        writer = recorder.writer
        try:
            token = writer.begin(args, kwargs)
        except RecursionError as error:  # nor would the function fit
            writer.unended[:0] = (error.__class__,)
            raise
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)  # an empty ** is 30 ns
        except BaseException as error:
            try:
                writer.fail(token, error)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, error.__class__),)
                    token[6] = token[0].unended.mark
            raise
        try:
            if type(result) not in SETTLED and is_later(result):
                return observe_later(token, result, _LATER)
            writer.finish(token, result)
        except RecursionError:
            if token is not None:
                token[0].unended[:0] = ((token, None),)
                token[6] = token[0].unended.mark
        return result

    return observed


def _wrap_async(function: Callable[..., Any], recorder: Recorder | Handed) -> Callable[..., Any]:
    @functools.wraps(function)
    async def observed(*args: Any, **kwargs: Any) -> Any:
        writer = recorder.writer
        try:
            token = writer.begin(args, kwargs)
        except RecursionError as error:
            writer.unended[:0] = (error.__class__,)
            raise
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            try:
                writer.fail(token, error)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, error.__class__),)
                    token[6] = token[0].unended.mark
            raise
        try:
            writer.finish(token, result)
        except RecursionError:
            if token is not None:
                token[0].unended[:0] = ((token, None),)
                token[6] = token[0].unended.mark
        return result

    return observed


def _wrap_generator(function: Callable[..., Any], recorder: Recorder | Handed) -> Callable[..., Any]:
    @functools.wraps(function)
    def observed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        writer = recorder.writer
        try:
            before = current_token()
            token = writer.begin(args, kwargs)
        except RecursionError as error:
            writer.unended[:0] = (error.__class__,)
            raise
        item = thrown = None
        try:
            inner = function(*args, **kwargs)
            item = next(inner)
            while True:
                go_back(before)
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - any exception of the consumer is thrown inside
                    thrown = _without_our_frame(error)
                before = enter(token)
                # Outside of the handler, so that exceptions raised inside get the same context as in the bare function.
                item = inner.send(sent) if thrown is None else inner.throw(thrown)
                thrown = None
        except StopIteration as stop:
            try:
                writer.finish(token, item)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, None),)
                    token[6] = token[0].unended.mark
            return stop.value
        except GeneratorExit:
            try:
                writer.finish(token, item)
                go_back(before)  # closed without being awaited, possibly by the garbage collector
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, None),)
                    token[6] = token[0].unended.mark
            raise
        except BaseException as error:
            try:
                writer.fail(token, error)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, error.__class__),)
                    token[6] = token[0].unended.mark
            raise
        finally:
            thrown = None  # its traceback holds this frame: a cycle

    return observed


def _wrap_async_generator(function: Callable[..., Any], recorder: Recorder | Handed) -> Callable[..., Any]:
    @functools.wraps(function)
    async def observed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        writer = recorder.writer
        try:
            before = current_token()
            token = writer.begin(args, kwargs)
        except RecursionError as error:
            writer.unended[:0] = (error.__class__,)
            raise
        item = thrown = None
        try:
            inner = function(*args, **kwargs)
            item = await anext(inner)
            while True:
                go_back(before)
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - any exception of the consumer is thrown inside
                    thrown = _without_our_frame(error)
                before = enter(token)
                item = await (inner.asend(sent) if thrown is None else inner.athrow(thrown))
                thrown = None
        except StopAsyncIteration:
            try:
                writer.finish(token, item)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, None),)
                    token[6] = token[0].unended.mark
        except GeneratorExit:
            try:
                writer.finish(token, item)
                go_back(before)  # closed without being awaited, possibly by the garbage collector
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, None),)
                    token[6] = token[0].unended.mark
            raise
        except BaseException as error:
            try:
                writer.fail(token, error)
            except RecursionError:
                if token is not None:
                    token[0].unended[:0] = ((token, error.__class__),)
                    token[6] = token[0].unended.mark
            raise
        finally:
            thrown = None  # its traceback holds this frame: a cycle

    return observed


def _without_our_frame(thrown: BaseException) -> BaseException:
    """Return an exception that a consumer threw, without the frame of the wrapper it was thrown into."""
    trace = thrown.__traceback__
    return thrown.with_traceback(trace.tb_next if trace is not None else None)


_LATER = Wraps(_wrap_async, _wrap_generator, _wrap_async_generator)
