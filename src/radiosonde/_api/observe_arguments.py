"""Validates the arguments of `observe` at decoration time.

Names, versions and classes of odd types are not errors: they come from configuration, and are turned into text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError
from radiosonde.reference.profile import Reference

Function = TypeVar("Function", bound=Callable[..., Any])

_SHOWN = 200
"""Largest number of characters of an invalid value in a message."""

_TASKS = (None, "classification", "regression")


def _is_sequence(value: object) -> bool:
    return value is None or (isinstance(value, Sequence) and not isinstance(value, (str, bytes)))


def _is_array_or_sequence(value: object) -> bool:
    return _is_sequence(value) or hasattr(value, "__array__")


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "input": (
        lambda value: value is None or value is False or isinstance(value, str) or callable(value),
        "a parameter's name, a callable on the call's arguments, or False",
    ),
    "output": (lambda value: value is None or callable(value), "a callable on the result"),
    "task": (lambda value: value in _TASKS, '"classification" or "regression"'),
    "reference": (
        lambda value: value is None or isinstance(value, (str, os.PathLike, Reference)),
        "a path, or what Reference.load returns",
    ),
    "features": (_is_array_or_sequence, 'a list of names, such as ["a", "b"]'),
    "classes": (_is_array_or_sequence, 'a list of names, such as ["no", "yes"]'),
    "id": (
        lambda value: value is None or isinstance(value, str) or callable(value),
        "a parameter's name, or a callable on the call's arguments",
    ),
}


def check_name(name: object) -> None:
    """Check the name of a model.

    Raises:
        ConfigurationError: it is empty.
    """
    if name is not None and Guard.attempt(bool, name) is False:
        raise ConfigurationError(f'observe needs the model\'s name, got {_shown(name)}; write @observe("delays")')


def check_arguments(given: Mapping[str, object]) -> None:
    """Check the arguments of `observe` by name.

    Raises:
        ConfigurationError: one cannot be used.
    """
    for name, value in given.items():
        is_usable, must = _CHECKS[name]
        if Guard.attempt(is_usable, value) is not True:
            raise ConfigurationError(f"observe got {name}={_shown(value)}; it must be {must}")


def _shown(value: object) -> str:
    text = Guard.attempt(repr, value)
    return f"a {type(value).__name__}" if isinstance(text, Exception) else text[:_SHOWN]


def check_function(function: object) -> None:
    """Check the decorated object.

    Raises:
        ConfigurationError: it is not a function.
    """
    if isinstance(function, (type, staticmethod, classmethod, property)):
        raise ConfigurationError(
            f"observe decorates functions, not {function!r}; put it below @staticmethod, @classmethod or @property, or on a "
            "class's predict method"
        )
    if not callable(function):
        raise ConfigurationError(f"observe decorates functions, not {function!r}; write @observe above a def")


def own_name(function: Callable[..., object]) -> str:
    """Return a function's own name, for a model that was given none.

    Raises:
        ConfigurationError: it has none.
    """
    name = getattr(function, "__name__", "")
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError(f'{function!r} has no name of its own for the model; write observe("delays")')
    return name


def unobserved(function: Function) -> Function:
    """Return *function* unchanged after the checks: the decorator when Radiosonde is off."""
    check_function(function)
    return function


def profile_of(
    reference: Reference | str | os.PathLike[str] | None, features: Sequence[str] | None
) -> Reference | None:
    """Return the reference profile that `observe` was given, loaded where it is a path.

    Raises:
        ConfigurationError: it has other features than *features*, or another order.
        ProfileError: it cannot be read.
    """
    if reference is None:
        return None
    profile = reference if isinstance(reference, Reference) else Reference.load(os.fspath(reference))
    names = tuple(feature.name for feature in profile.features)
    if features is not None and names and tuple(features) != names:
        raise ConfigurationError(
            f"features={list(features)} is not the reference's order {list(names)}; leave features= out, the "
            "reference says it, or fit the reference again"
        )
    return profile
