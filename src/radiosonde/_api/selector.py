"""Finds the features among the arguments of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from radiosonde.errors import ConfigurationError

Input = str | Callable[..., object] | Literal[False] | None
"""A parameter's name, a callable on the call's arguments, False (the function records them itself with
``current().features``), None (the first parameter)."""


def selector(
    function: Callable[..., Any], source: Input, what: str = "input"
) -> tuple[Callable[[tuple[Any, ...], Mapping[str, Any]], object] | None, int]:
    """Return a function that extracts the features from the arguments of a call, and their position (-1: unknown).

    Args:
        function: the called function.
        source: location of the features.
        what: name of the argument, for error messages.

    Raises:
        ConfigurationError: *source* names no parameter.
    """
    if source is False:
        return None, -1
    if callable(source):
        return partial(_asked, source), -1
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled functions have no signature
        if source is None:
            return first, 0
        raise ConfigurationError(
            f"{what}={source!r} names no parameter: {function!r} has no signature; pass a callable that takes its arguments"
        ) from None
    names = list(parameters)
    if source is None:
        named = [name for name in names if name not in ("self", "cls")]
        if not named:
            return None, -1
        source = named[0]
    if source not in names:
        raise ConfigurationError(
            f"{what}={source!r} is not a parameter of {getattr(function, '__qualname__', function)}; "
            f"it has {', '.join(names) or 'none'}"
        )
    position, wanted, parameter = names.index(source), source, parameters[source]
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return _all_keywords, -1
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        position = -1
    if parameter.default is not inspect.Parameter.empty:
        return partial(_or_usual, position, wanted, parameter.default), position
    return partial(_given, position, wanted), position


# Functions that can be imported, not closures: an observed function is pickled with how its features are found.

Arguments = tuple[Any, ...]


def first(args: Arguments, _: Mapping[str, Any]) -> object:
    """Return the first argument."""
    return args[0]


def _asked(source: Callable[..., object], args: Arguments, kwargs: Mapping[str, Any]) -> object:
    return source(*args, **kwargs)


def _all_keywords(_: Arguments, kwargs: Mapping[str, Any]) -> object:
    return kwargs


def _given(position: int, name: str, args: Arguments, kwargs: Mapping[str, Any]) -> object:
    return args[position] if 0 <= position < len(args) else kwargs[name]


def _or_usual(position: int, name: str, usual: object, args: Arguments, kwargs: Mapping[str, Any]) -> object:
    return args[position] if 0 <= position < len(args) else kwargs.get(name, usual)
