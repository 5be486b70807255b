"""Where the features of a call are among its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from radiosonde.errors import ConfigurationError

Input = str | Callable[..., object] | Literal[False] | None
"""A parameter's name, a callable on the call's arguments, False (the function records them itself with
``current().features``), None (the first parameter)."""


def selector(
    function: Callable[..., Any], source: Input
) -> tuple[Callable[[tuple[Any, ...], Mapping[str, Any]], object] | None, int]:
    """Return how to take the features out of a call's arguments, and their position among them (-1: ask the former)."""
    if isinstance(function, (type, staticmethod, classmethod, property)):
        raise ConfigurationError(
            f"observe decorates functions, not {function!r}; put it below @staticmethod, @classmethod or @property"
        )
    if source is False:
        return None, -1
    if callable(source):
        take = source
        return lambda args, kwargs: take(*args, **kwargs), -1
    names = list(inspect.signature(function).parameters)
    if source is None:
        named = [name for name in names if name not in ("self", "cls")]
        if not named:
            return None, -1
        source = named[0]
    if source not in names:
        raise ConfigurationError(
            f"input={source!r} is no parameter of {function.__qualname__}; it has {', '.join(names)}"
        )
    position, wanted, parameter = names.index(source), source, inspect.signature(function).parameters[source]
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return lambda _, kwargs: kwargs, -1
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        position = -1
    if parameter.default is not inspect.Parameter.empty:
        usual = parameter.default
        return lambda args, kwargs: args[position] if 0 <= position < len(args) else kwargs.get(wanted, usual), position
    return lambda args, kwargs: args[position] if 0 <= position < len(args) else kwargs[wanted], position
