"""Propagates cohorts, event times and collectors to pool threads.

A thread of ``ThreadPoolExecutor`` runs in a context of its own, which is empty: a prediction that ``with cohort(...)`` hands to
a pool (``submit``, ``map``, ``loop.run_in_executor``) would count under no cohort, and nobody would know. So the first scope that
is entered has pools hand on what is in force where work is submitted. Only that: no other context variable of the host, and
not the prediction in progress, so what a pool predicts is no part of it. Where no scope is open nothing changes.

Not reached: other processes, plain threads (which live on after the scope), and pools of other libraries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from radiosonde._record.ambient import AMBIENT, Ambient

_MARK = "hands_on_radiosonde_scopes"
"""Attribute of the method that does; `functools.wraps` hands it on to whatever is put around it."""


_pool: Any = None


def hand_on_scopes() -> None:
    """Have thread pools hand on the scopes in force, unless they do; a web server asks for it in every request."""
    global _pool  # noqa: PLW0603 - importing it takes 5 ms, and most processes open no scope
    if _pool is None:
        from concurrent.futures.thread import ThreadPoolExecutor

        _pool = ThreadPoolExecutor
    submit = _pool.submit
    if not hasattr(submit, _MARK):  # the first time, or whoever put something else there has taken ours away with it
        _pool.submit = _handing_on(submit)


def _handing_on(submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def submit_within(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ambient = AMBIENT.get()
        if ambient is None:
            return submit(self, function, *args, **kwargs)
        return submit(self, _run_within, ambient, function, *args, **kwargs)

    setattr(submit_within, _MARK, True)
    return submit_within


def _run_within(ambient: Ambient, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = AMBIENT.set(ambient)
    try:
        return function(*args, **kwargs)
    finally:
        AMBIENT.reset(token)
