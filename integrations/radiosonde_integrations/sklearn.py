"""Scikit-learn: every estimator, its own and its users', predicts under observation; only the outermost call counts.

Every class on ``BaseEstimator`` is patched as it is defined: `_MetadataRequester.__init_subclass__` tells of it, whatever
module it is in. What is replaced is the method of the class that holds it, often a mixin. Estimators of libraries with a
plug-in of their own are left to it.

No prediction is what an estimator predicts while it is fitted, scored or validated, while a transformer transforms, and
in threads and processes that work for a prediction: `joblib.Parallel` carries over that it is inside one. A task that a
user gives to a pool is the outermost call in its worker; it counts there if the worker is instrumented (under
``opentelemetry-instrument`` it is: the environment is inherited).
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from radiosonde_integrations._estimators import (
    describe_log_probabilities,
    describe_margins,
    describe_predict,
    describe_probabilities,
    features,
)
from radiosonde_integrations._instrumentor import ModelInstrumentor, observed_method, quiet, quiet_fit
from radiosonde_integrations._observing import INSIDE, Inside, Method
from radiosonde_integrations._patching import Patches

_LOG = logging.getLogger("radiosonde")

Make = Callable[[Callable[..., Any]], Callable[..., Any]]

_PREDICTING = (
    Method("predict", describe_predict, features),
    Method("predict_proba", describe_probabilities, features),
    Method("predict_log_proba", describe_log_probabilities, features),
    Method("decision_function", describe_margins, features),
)

# `partial_fit` does not forget the model: one that learns from every row would have a version a row. `fit_transform` and
# `transform` are not touched: scikit-learn wraps them itself after us (set_output), and undoing would take that away.
_METHODS: dict[str, Make] = {
    **{method.name: observed_method(method) for method in _PREDICTING},
    "fit": quiet_fit,
    "fit_predict": quiet_fit,
    "partial_fit": quiet,
    "score": quiet,
}

_QUIET = {
    "sklearn.model_selection._validation": ("_score", "_fit_and_predict"),
    "sklearn.metrics._scorer": ("_BaseScorer.__call__", "_MultimetricScorer.__call__"),
    "sklearn.inspection._partial_dependence": ("_partial_dependence_brute",),
    "sklearn.impute._iterative": ("IterativeImputer._impute_one_feature",),
    "sklearn.ensemble._stacking": ("_BaseStacking._transform",),
}
"""What predicts for another purpose outside any `fit`: by their global names, so that references made before are met."""

_ELSEWHERE = frozenset({"catboost", "lightgbm", "xgboost"})
"""Root modules of libraries whose estimators are scikit-learn's and whose plug-ins are their own."""


class SklearnInstrumentor(ModelInstrumentor):
    """Observes scikit-learn's estimators and every class on its `BaseEstimator`."""

    requires = ("scikit-learn >= 1.4, < 2",)
    modules = ("sklearn.base", "joblib.parallel", *_QUIET)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch the estimators there are and will be; joblib; what is no prediction."""
        if module.__name__ == "sklearn.base":
            base = module.BaseEstimator
            owner = next(kind for kind in base.__mro__ if "__init_subclass__" in vars(kind))
            patches.replace(owner, "__init_subclass__", _telling(base, patches))
            for kind in list(_subclasses(base)):
                _patch_class(kind, base, patches)
        elif module.__name__ == "joblib.parallel":
            patches.replace(module.Parallel, "__call__", _carrying)
        else:
            for path in _QUIET[module.__name__]:
                name, _, method = path.partition(".")
                if method:
                    patches.replace(getattr(module, name), method, quiet)
                else:
                    patches.replace(module, name, quiet)


def _subclasses(kind: type) -> Iterator[type]:
    children: list[type] = type.__subclasses__(kind)
    for each in children:
        yield each
        yield from _subclasses(each)


def _telling(base: type, patches: Patches) -> Callable[[Any], classmethod[Any, Any, Any]]:
    """Return what makes a class's ``__init_subclass__`` patch the classes on *base* that are defined from now on."""

    def make(original: Any) -> classmethod[Any, Any, Any]:
        @functools.wraps(original.__func__)
        def tell(cls: type, /, **kwargs: Any) -> None:
            original.__func__(cls, **kwargs)
            try:
                _patch_class(cls, base, patches)
            except Exception:  # noqa: BLE001 - raised here it would be the user's class statement that fails
                _LOG.debug("predictions of %s cannot be observed", cls.__qualname__, exc_info=True)

        return classmethod(tell)

    return make


def _patch_class(kind: type, base: type, patches: Patches) -> None:
    if not issubclass(kind, base) or not _predicts(kind):
        return
    for owner in kind.__mro__:
        if owner.__module__.partition(".")[0] in _ELSEWHERE:
            continue
        for name in _METHODS.keys() & vars(owner).keys():
            patches.replace(owner, name, functools.partial(_replacement, _METHODS[name]))


def _predicts(kind: type) -> bool:
    return any(hasattr(kind, method.name) for method in _PREDICTING)


def _replacement(make: Make, original: Any) -> Any:
    """Return what stands in for what a class holds: a function, or scikit-learn's conditional method with its condition."""
    if inspect.isfunction(original):
        is_plain = not inspect.iscoroutinefunction(original) and not inspect.isgeneratorfunction(original)
        return make(original) if is_plain else original
    if inspect.isfunction(getattr(original, "fn", None)) and callable(getattr(original, "check", None)):
        conditional = copy.copy(original)
        conditional.fn = make(original.fn)
        return conditional
    return original


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `joblib.Parallel.__call__` one whose tasks know, wherever they run, that a prediction is in progress."""

    @functools.wraps(original)
    def call(self: Any, iterable: Iterable[Any]) -> Any:
        return original(self, _inside(iterable) if INSIDE.get() else iterable)

    return call


def _inside(tasks: Iterable[Any]) -> Iterable[Any]:
    carried = ((Inside(function), args, kwargs) for function, args, kwargs in tasks)
    return list(carried) if hasattr(tasks, "__len__") else carried  # joblib asks for the length where there is one
