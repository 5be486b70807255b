"""The four kinds of functions that can be observed, made from one plain body and driven to their end in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

KINDS = ("sync", "async", "generator", "async generator")


def make(kind: str, body: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function of *kind* that returns (or yields once) ``body(features)``."""

    def predict(features=None):
        return body(features)

    async def predict_async(features=None):
        await asyncio.sleep(0)
        return body(features)

    def predict_each(features=None):
        yield body(features)

    async def predict_each_async(features=None):
        await asyncio.sleep(0)
        yield body(features)

    return dict(zip(KINDS, (predict, predict_async, predict_each, predict_each_async), strict=True))[kind]


def drive(kind: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call *function* and return its result, or the last item it yielded."""
    if kind == "sync":
        return function(*args, **kwargs)
    if kind == "generator":
        item = None
        for item in function(*args, **kwargs):  # noqa: B007 - the last one is wanted
            pass
        return item
    if kind == "async":
        return asyncio.run(_awaited(function(*args, **kwargs)))
    return asyncio.run(_last(function(*args, **kwargs)))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def _last(items: Any) -> Any:
    item = None
    async for item in items:  # noqa: B007 - the last one is wanted
        pass
    return item
