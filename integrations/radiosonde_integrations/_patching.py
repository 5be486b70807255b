"""Replaces attributes of third-party classes and modules, and restores the originals exactly."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import MethodType
from typing import Any

_MISSING = object()


class Patches:
    """The replaced attributes, newest last. Not thread-safe: patching happens under the import lock or in `instrument`."""

    def __init__(self) -> None:
        self._undo: dict[tuple[int, str], tuple[Any, str, object]] = {}
        self._replacements: dict[tuple[int, str], object] = {}

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace an attribute that *owner* itself holds by ``make(original)``; return whether there was one.

        Inherited attributes are left alone: replaced on a subclass they would stay behind as shadows when undone. The
        original is the value in the owner's ``__dict__``, possibly a descriptor, and is restored as the same object. An attribute that was
        set again meanwhile is replaced again, and the newer value is restored.
        """
        original = vars(owner).get(name, _MISSING)
        if original is _MISSING:
            return False
        place = id(owner), name
        if self._replacements.get(place, _MISSING) is not original:
            replacement = make(original)
            setattr(owner, name, replacement)
            self._replacements[place] = replacement
            self._undo[place] = owner, name, original
        return True

    def restore(self) -> None:
        """Put everything back, newest first."""
        while self._undo:
            _, (owner, name, original) = self._undo.popitem()
            setattr(owner, name, original)
        self._replacements.clear()


class Stand:
    """Replacement for a method in a class that may be pickled by value: it is pickled as the original.

    Cloudpickle pickles classes of ``__main__`` by value, for workers and files, and neither may require Radiosonde. It binds like
    the function, or like the conditional method (`sklearn.utils.metaestimators.available_if`), that was there.

    Args:
        original: the original attribute.
        function: the replacement, without the condition.
        is_conditional: whether binding *original* checks something.
    """

    def __init__(self, original: Any, function: Callable[..., Any], *, is_conditional: bool) -> None:
        self._original = original
        self._function = function
        self._is_conditional = is_conditional
        wrapper: Any = self  # it need not be a function
        functools.update_wrapper(wrapper, function)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is not None:
            if self._is_conditional:
                self._original.__get__(instance, owner)
            return MethodType(self._function, instance)
        if not self._is_conditional:
            return self._function

        @functools.wraps(self._function)
        def unbound(instance: object, /, *args: Any, **kwargs: Any) -> Any:
            return self.__get__(instance, owner)(*args, **kwargs)

        return unbound

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return operator.getitem, ((self._original,), 0)
