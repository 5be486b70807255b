"""Propagates cohorts, event times and collectors to pool threads.

A thread of ``ThreadPoolExecutor`` runs in its own, empty context: a prediction submitted to a pool inside ``with cohort(...)`` (``submit``,
``map``, ``loop.run_in_executor``) would silently count under no cohort. The first scope that is entered therefore makes pools propagate the
scopes in force where work is submitted. No other context variable of the host is propagated, nor the prediction in progress, so predictions
in a pool are not nested in it. Without an open scope nothing changes.

Not covered: other processes, plain threads (which may outlive the scope), and pools of other libraries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from radiosonde._record.ambient import AMBIENT, Ambient

_MARK = "hands_on_radiosonde_scopes"
"""Attribute that marks the patched method; `functools.wraps` copies it to further wrappers."""


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
