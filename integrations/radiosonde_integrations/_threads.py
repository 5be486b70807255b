"""Propagates the request to predictions in thread pools.

``loop.run_in_executor`` and ``ThreadPoolExecutor.submit`` start work in an empty context, so cohort and request would be
lost there. While a request is being served, submitted work runs in a copy of its context; other work is unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from radiosonde_integrations._patching import Patches
from radiosonde_integrations._requests import REQUEST


def carry_requests(patches: Patches) -> None:
    """Make thread pools carry the context of requests."""
    patches.replace(ThreadPoolExecutor, "submit", _carrying)


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if REQUEST.get() is None:
            return original(self, fn, *args, **kwargs)
        return original(self, copy_context().run, fn, *args, **kwargs)

    return submit
