"""Observes the outermost predict call of a model object, independent of the library.

A pipeline calls its estimators, a forest its trees, a wrapper the booster inside: only the first call of them is a
prediction of the user's. Nesting is tracked by a context variable, so it is correct for threads and tasks; a library that passes work to
its own threads copies the context, or its plug-in does (`INSIDE`).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, NamedTuple

from numpy import ndarray

import radiosonde
import radiosonde.plugin
from radiosonde_integrations._lifetimes import Lifetimes
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method, Reader
from radiosonde_integrations._overflow import NAME as OVERFLOW
from radiosonde_integrations._overflow import nothing, rows_alone

_LOG = logging.getLogger("radiosonde")

INSIDE: ContextVar[bool] = ContextVar("radiosonde_inside", default=False)
"""Whether a prediction of a model library is in progress in this context."""


class ObservedMethod(NamedTuple):
    """How a method of one model object is called as a prediction.

    Attributes:
        recorder: records it; None for a model that cannot be described.
        read: (arguments, keywords) -> features.
        takes_matrix: a matrix that is the first argument is the features, as it is.
    """

    recorder: Any
    read: Reader
    takes_matrix: bool = False


MAX_RECORDERS = 256
"""Model objects and methods with a recorder, and so a ring, of their own: rings are kept. Arbitrary; far above what a
server holds, and soon met by one that fits a model a request. Later models of one description share a recorder, and beyond
as many descriptions all share one (`radiosonde_integrations._overflow`): a version a model would be a ring a model."""


class Observers:
    """The observed functions of all model objects that were met; each goes with its object.

    Pickled by name: a class in ``__main__`` is pickled to another process by value, including wrapped methods and their references, and
    there it belongs to the observers of that process.

    Attributes:
        direct: recorders for methods whose every call is recorded in the same way, by identity of the model and name of the method.
        plugins: active plug-ins; without any (usually in a worker process) nothing is observed.
    """

    def __init__(self) -> None:
        self.direct: dict[tuple[int, str], ObservedMethod] = {}
        self._observed: dict[tuple[int, str], ObservedMethod] = {}
        self._methods: set[str] = set()
        self._read_as: dict[tuple[type, str], Method] = {}
        self._recorders = 0
        self._shared: dict[tuple[object, ...], ObservedMethod] = {}
        self._versions: dict[int, Callable[[], str]] = {}
        self._lifetimes = Lifetimes(self._gone)
        self.plugins = 0

    def __reduce__(self) -> str:
        return "OBSERVERS"

    def quietly(self, original: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
        """Call *original* without observing nested predictions: fitting, scoring."""
        token = INSIDE.set(True)
        try:
            return original(*args, **kwargs)
        finally:
            INSIDE.reset(token)

    def choose(self, model: Any, method: Method, args: Arguments, kwargs: Keywords) -> ObservedMethod | None:
        """Return how this call is observed, None for one that is not a prediction or cannot be recorded."""
        read = self._read_as.get((type(model), method.name)) or self._method_of(type(model), method)
        chosen = read if read.choose is None else read.choose(args, kwargs)
        if chosen is None:
            return None
        place = (id(model), chosen.name)
        observed = self._observed.get(place) or self._observe(model, chosen)
        if observed.recorder is None:
            return None
        if read.choose is None and place in self._observed:
            self.direct[place] = observed
        return observed

    def _method_of(self, kind: type, method: Method) -> Method:
        """Return how a method of a class is read, whichever plug-in's replacement was called: the native one's way."""
        marks = (mark for each in kind.__mro__ for mark in _marks(vars(each).get(method.name)))
        found = self._read_as[kind, method.name] = next((mark for mark in marks if mark.is_native), method)
        return found

    def look_again(self) -> None:
        """Clear the cached plug-in of each class after a patch."""
        self._read_as.clear()
        self.direct.clear()

    def _observe(self, model: Any, method: Method) -> ObservedMethod:
        """Return the observed function of a model's method; one that observes nothing if the model cannot be described."""
        place = (id(model), method.name)
        try:
            # First: nothing may be kept for objects without weak references, including a recorder.
            self._lifetimes.watch(model)
            observed = self._new(model, method)
        except Exception:  # noqa: BLE001 - a foreign object may raise anything; the prediction must continue unobserved
            _LOG.debug("a %s cannot be observed", type(model).__qualname__, exc_info=True)
            return _UNOBSERVED
        self._methods.add(method.name)
        self._observed[place] = observed
        return observed

    def _new(self, model: Any, method: Method) -> ObservedMethod:
        said, tag = method.describe(model), radiosonde.tag(model)
        if tag.version is not None:
            said = replace(said, version=tag.version)
        elif callable(said.version):
            # One for all methods: worked out once, and the same for a method that is first called after `partial_fit`.
            later = self._versions.setdefault(id(model), functools.cache(said.version))
            said = replace(said, version=later)
        said = replace(
            said,
            name=tag.name or said.name,
            task=tag.task or said.task,
            features=tag.features or said.features,
            classes=tag.classes or said.classes,
        )
        variant = tag.variant or "stable"
        if self._recorders < MAX_RECORDERS:
            self._recorders += 1
            return _observed(said, method, variant)
        if callable(said.version):
            said = replace(said, version="")  # one ring for all: the versions of unnamed models are not distinguished
        shape: tuple[object, ...] = (
            said.name,
            said.version,
            variant,
            method,
            tuple(said.features),
            tuple(said.classes),
            said.task,
        )
        if shape not in self._shared and len(self._shared) >= MAX_RECORDERS:
            said, shape = Description(OVERFLOW, input=rows_alone(method.input), output=nothing), (method,)
        if shape not in self._shared:
            self._shared[shape] = _observed(said, method, variant)
        return self._shared[shape]

    def _gone(self, identity: int) -> None:
        self._versions.pop(identity, None)
        self._drop(identity)

    def _drop(self, identity: int) -> None:
        for name in tuple(self._methods):
            self._observed.pop((identity, name), None)
            self.direct.pop((identity, name), None)

    def settle(self, model: Any) -> None:
        """Work out a model's version now if it was left for later: the model is about to become another."""
        version = self._versions.pop(id(model), None)
        if version is not None:
            try:
                version()
            except Exception:  # noqa: BLE001 - a foreign object may raise anything; the consumer retries and logs
                _LOG.debug("a %s has no version", type(model).__qualname__, exc_info=True)

    def forget(self, model: Any) -> None:
        """Describe a model again at its next call: it was fitted again, or tagged."""
        if self._observed:  # mostly empty while models are fitted, and a forest fits many
            self._drop(id(model))

    def clear(self) -> None:
        """Forget all models."""
        self._observed.clear()
        self._versions.clear()
        self._shared.clear()
        self._recorders = 0
        self.look_again()


MARK = "__radiosonde_method__"
"""Attribute of an observed method that holds its `Method`."""


def _marks(attribute: object) -> Iterator[Method]:
    """Yield the methods of the replacements of an attribute, outermost first."""
    while attribute is not None:
        said = vars(attribute).get(MARK) if hasattr(attribute, "__dict__") else None
        if said is not None:
            yield said
        attribute = getattr(attribute, "__wrapped__", None)


def _observed(said: Description, method: Method, variant: str) -> ObservedMethod:
    recorder = radiosonde.plugin.recorder(
        said.name,
        version=said.version,
        variant=variant,
        output=said.output or method.output,
        task=method.task or said.task,
        features=said.features,
        classes=said.classes,
    )
    return ObservedMethod(recorder, said.input or method.input, method.takes_matrix and said.input is None)


_UNOBSERVED = ObservedMethod(None, lambda args, kwargs: None)

_NO_KEYWORDS: dict[str, Any] = {}


def _read(read: Reader, args: Arguments, kwargs: Keywords) -> object:
    try:
        return read(args, kwargs)
    except Exception as error:  # noqa: BLE001 - a user's object may raise anything while it is read; the recorder counts it
        return _Unreadable(error)


class _Unreadable:
    """Placeholder for unreadable features: reading it raises their exception, which is then counted and logged."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self._error


OBSERVERS = Observers()


def observed_method(method: Method) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a function that wraps a method as an observed one; for `Patches.replace`.

    A plain function, not a proxy: it costs a tenth of one, is pickled by its qualified name like the original, and
    binds like it. A single function: in a server Radiosonde's code is out of the caches by the next request, and each further function call
    and object access costs microseconds (bench_served).
    """
    name = method.name

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def observed(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if INSIDE.get():
                return original(self, *args, **kwargs)
            way = OBSERVERS.direct.get((id(self), name))
            if way is None:
                if not OBSERVERS.plugins:
                    return original(self, *args, **kwargs)
                way = OBSERVERS.choose(self, method, args, kwargs)
                if way is None:
                    return OBSERVERS.quietly(original, (self, *args), kwargs)
            recorder, read, takes_matrix = way
            features = args[0] if args else None
            if type(features) is not ndarray or features.ndim != 2 or not takes_matrix:
                features = _read(read, args, kwargs)
            writer = recorder.writer
            token = writer.begin((features,), _NO_KEYWORDS)
            inside = INSIDE.set(True)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                writer.fail(token, error)
                raise
            finally:
                INSIDE.reset(inside)
            writer.finish(token, result)
            return result

        setattr(observed, MARK, method)
        return observed

    return make


class Inside:
    """A function called as part of a prediction, in any thread or process; pickled with the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return OBSERVERS.quietly(self.function, args, kwargs)
