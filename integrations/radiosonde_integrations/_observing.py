"""Observing the outermost predict call of a model object, whatever library it is from.

A pipeline calls its estimators, a forest its trees, a wrapper the booster inside: only the first call of them is a
prediction of the user's. Whether a call is inside another is a context variable, so it is right for threads and tasks;
a library that hands work to threads of its own carries the context over, or its plug-in does (`INSIDE`).
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import radiosonde

_LOG = logging.getLogger("radiosonde")

INSIDE: ContextVar[bool] = ContextVar("radiosonde_inside", default=False)
"""Whether a prediction of a model library is in progress in this context."""

Arguments = tuple[Any, ...]
Keywords = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself; what `radiosonde.tag` was told of it wins.

    Attributes:
        name: model name.
        version: its version, or what works it out off the hot path.
        features: feature names in column order, for inputs that carry none.
        classes: class names in the order of a probability matrix's columns.
        task: what a number it answers with means.
    """

    name: str
    version: str | Callable[[], str] = ""
    features: Sequence[str] = ()
    classes: Sequence[str] = ()
    task: Literal["classification", "regression"] | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """How a method of a library's models predicts.

    Attributes:
        name: attribute name.
        describe: (model) -> what it says of itself.
        input: (arguments, keywords) -> features; the model itself is not among the arguments.
        output: result -> what `radiosonde.observe` reads; None takes it as it is.
        task: overrides the description's, where the method answers with something else (a margin).
    """

    name: str
    describe: Callable[[Any], Description]
    input: Callable[[Arguments, Keywords], object] = lambda args, kwargs: (
        args[0] if args else next(iter(kwargs.values()))
    )
    output: Callable[[Any], object] | None = None
    task: Literal["classification", "regression"] | None = None


Observed = Callable[[Callable[..., Any], Arguments, Keywords], Any]


class Observers:
    """The observed functions of all model objects that were met; each goes with its object."""

    def __init__(self) -> None:
        self._observed: dict[tuple[int, str], Observed] = {}

    def call(self, model: Any, method: Method, original: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
        """Call *original*, as a prediction of *model* if it is an outermost call.

        Args:
            model: whose method is called.
            method: which one.
            original: the library's function, bound to the model.
            args: positional arguments, without the model.
            kwargs: keyword arguments.
        """
        if INSIDE.get():
            return original(*args, **kwargs)
        observed = self._observed.get((id(model), method.name)) or self._observe(model, method)
        token = INSIDE.set(True)
        try:
            return observed(original, args, kwargs)
        finally:
            INSIDE.reset(token)

    def _observe(self, model: Any, method: Method) -> Observed:
        """Return the observed function of a model's method; one that observes nothing if the model cannot be described."""
        place = (id(model), method.name)
        try:
            observed = _observed(model, method)
            weakref.finalize(model, self._observed.pop, place, None).atexit = False
        except Exception:  # noqa: BLE001 - a foreign object may raise anything; the prediction must go on as if we were not there
            _LOG.debug("a %s cannot be observed", type(model).__qualname__, exc_info=True)
            return _unobserved
        self._observed[place] = observed
        return observed

    def forget(self, model: Any) -> None:
        """Describe a model anew at its next call: it was fitted again, or tagged."""
        for place in [place for place in list(self._observed) if place[0] == id(model)]:
            self._observed.pop(place, None)

    def clear(self) -> None:
        """Forget all models."""
        self._observed.clear()


def _observed(model: Any, method: Method) -> Observed:
    said, tag = method.describe(model), radiosonde.tag(model)

    def predict(original: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
        return original(*args, **kwargs)

    return radiosonde.observe(
        tag.name or said.name,
        version=said.version if tag.version is None else tag.version,
        variant=tag.variant or "stable",
        input=lambda _, args, kwargs: method.input(args, kwargs),
        output=method.output,
        task=method.task or said.task,
        features=said.features or None,
        classes=said.classes or None,
    )(predict)


def _unobserved(original: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    return original(*args, **kwargs)


OBSERVERS = Observers()
