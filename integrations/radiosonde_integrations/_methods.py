"""Describes the models of a library: how each method predicts, and the model's metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
        input: overrides the method's, where it takes knowledge of the model to find the features.
        output: overrides the method's, where how a result reads depends on the model, which it must not hold.
    """

    name: str
    version: str | Callable[[], str] = ""
    features: Sequence[str] = ()
    classes: Sequence[str] = ()
    task: Literal["classification", "regression"] | None = None
    input: Callable[[Arguments, Keywords], object] | None = None
    output: Callable[[Any], object] | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """How a method of a library's models predicts.

    Attributes:
        name: attribute name.
        describe: (model) -> what it says of itself.
        input: (arguments, keywords) -> features; the model itself is not among the arguments.
        takes_matrix: a matrix of numpy's that is the first argument is what *input* would return of it.
        output: result -> what `radiosonde.observe` reads; None takes it as it is.
        task: overrides the description's, where the method answers with something else (a margin).
        choose: (arguments, keywords) -> how this very call is to be read, None for a call that is no prediction (it
            trains, or explains); without it every call is read as this says.
        is_native: this is the plug-in of the model's own library, and wins over one that knows it by a base class only.
    """

    name: str
    describe: Callable[[Any], Description]
    input: Callable[[Arguments, Keywords], object] = lambda args, kwargs: (
        args[0] if args else next(iter(kwargs.values()))
    )
    output: Callable[[Any], object] | None = None
    task: Literal["classification", "regression"] | None = None
    choose: Callable[[Arguments, Keywords], Method | None] | None = None
    is_native: bool = False
    takes_matrix: bool = False


Reader = Callable[[Arguments, Keywords], object]
