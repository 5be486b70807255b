"""Logs internal errors during a request once per place; the request continues."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

_LOG = logging.getLogger("radiosonde")
_TOLD: set[str] = set()

Result = TypeVar("Result")
Default = TypeVar("Default")


def quiet(default: Default) -> Callable[[Callable[..., Result]], Callable[..., Result | Default]]:
    """Return a decorator that logs exceptions of the function and returns *default*."""

    def decorate(function: Callable[..., Result]) -> Callable[..., Result | Default]:
        @functools.wraps(function)
        def quietly(*args: Any, **kwargs: Any) -> Result | Default:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the request is not ours to fail
                warn(function.__qualname__, error)
                return default

        return quietly

    return decorate


def warn(place: str, error: Exception) -> None:
    """Log an internal error, once for each *place*."""
    if place not in _TOLD:
        _TOLD.add(place)
        _LOG.warning("Requests are served, but observed with less: %s: %r", place, error)
