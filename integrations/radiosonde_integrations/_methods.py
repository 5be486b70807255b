"""Describes the models of a library: how each method predicts, and the model's metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Arguments = tuple[Any, ...]
Keywords = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Description:
    """Description of a model; the arguments of `radiosonde.tag` take precedence.

    Attributes:
        name: model name.
        version: its version, or a function that computes it off the hot path.
        features: feature names in column order, for inputs that carry none.
        classes: class names in the order of a probability matrix's columns.
        task: meaning of a numeric output.
        input: overrides that of the method, if finding the features depends on the model.
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
        describe: (model) -> its description.
        input: (arguments, keywords) -> features; the model itself is not among the arguments.
        takes_matrix: *input* returns a numpy matrix in the first argument unchanged.
        output: converts the result for `radiosonde.observe`; None: no conversion.
        task: overrides that of the description, if the method returns something else (a margin).
        choose: (arguments, keywords) -> the method for this call, None for a call that is not a prediction (it trains, or explains);
            without it every call uses this one.
        is_native: this is the plug-in of the model's own library, which takes precedence over one for a base class.
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
