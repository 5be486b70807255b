"""Propagates cohorts, event times and collectors to pool threads.

A thread of a pool runs in its own, empty context: a prediction submitted to a pool inside ``with cohort(...)`` (``submit``, ``map``,
``loop.run_in_executor``, joblib's threads) would silently count under no cohort. The first scope that is entered therefore makes pools
propagate the scopes in force where work is submitted. These are ``concurrent.futures.ThreadPoolExecutor`` and
``multiprocessing.pool.ThreadPool``, which joblib's threads are. No other context variable of the host is propagated, nor the prediction in
progress, so predictions in a pool are not nested in it. Without an open scope nothing changes.

joblib submits most of its work from a callback, in a thread of the pool, so callbacks of a ``ThreadPool`` run in the scopes too.

Not covered: other processes, plain threads (which may outlive the scope), and pools of other libraries.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from radiosonde._record.ambient import AMBIENT, Ambient

_MARK = "hands_on_radiosonde_scopes"
"""Attribute that marks the patched methods; `functools.wraps` copies it to further wrappers."""

_OF_THREAD_POOL = {"apply_async": 2, "_map_async": 3, "imap": 1, "imap_unordered": 1}
"""Methods of ``ThreadPool`` that take a function (all others call one of these), with the place of the first callback after it."""

_CALLBACKS = ("callback", "error_callback")


_pool: Any = None


def hand_on_scopes() -> None:
    """Make thread pools propagate the scopes in force, unless they already do; a web server calls this in every request."""
    global _pool  # noqa: PLW0603 - importing it takes 5 ms, and most processes open no scope
    if _pool is None:
        from concurrent.futures.thread import ThreadPoolExecutor

        _pool = ThreadPoolExecutor
    submit = _pool.submit
    if not hasattr(submit, _MARK):  # the first time, or another library has replaced our patch
        _pool.submit = _handing_on(submit)
    if "multiprocessing" in sys.modules:  # else there is no such pool, and importing it takes 10 ms
        _patch_thread_pool()


def _patch_thread_pool() -> None:
    """Patch the methods of ``ThreadPool`` on this class only: ``Pool``, which it has them from, is one of processes."""
    from multiprocessing.pool import ThreadPool

    for name, callbacks in _OF_THREAD_POOL.items():
        method = getattr(ThreadPool, name)
        if not hasattr(method, _MARK):
            setattr(ThreadPool, name, _handing_on_tasks(method, callbacks))


def _handing_on(submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def submit_within(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ambient = AMBIENT.get()
        if ambient is None:
            return submit(self, function, *args, **kwargs)
        return submit(self, _run_within, ambient, function, *args, **kwargs)

    setattr(submit_within, _MARK, True)
    return submit_within


def _handing_on_tasks(method: Callable[..., Any], callbacks: int) -> Callable[..., Any]:
    @functools.wraps(method)
    def run_within(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        ambient = AMBIENT.get()
        if ambient is None:
            return method(self, func, *args, **kwargs)
        within = functools.partial(functools.partial, _run_within, ambient)
        args = tuple(within(each) if at >= callbacks and callable(each) else each for at, each in enumerate(args))
        kwargs = {
            name: within(each) if name in _CALLBACKS and callable(each) else each for name, each in kwargs.items()
        }
        return method(self, within(func), *args, **kwargs)

    setattr(run_within, _MARK, True)
    return run_within


def _run_within(ambient: Ambient, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = AMBIENT.set(ambient)
    try:
        return function(*args, **kwargs)
    finally:
        AMBIENT.reset(token)
