"""Scikit-learn: every estimator, its own and its users', predicts under observation; only the outermost call counts.

Every subclass of ``BaseEstimator`` is patched as it is defined, through `_MetadataRequester.__init_subclass__`, in any module. The method
is replaced in the class that defines it, often a mixin. Estimators of libraries with their own plug-in are left to it.

Not observed are predictions while an estimator is fitted, scored or validated, while a transformer transforms, and in threads and processes
that work for a prediction: `joblib.Parallel` propagates that it is inside one. A task that a
user gives to a pool is the outermost call in its worker; it counts there if the worker is instrumented (under
``opentelemetry-instrument`` it is: the environment is inherited). Classes pickled by value are pickled without patches.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
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
from radiosonde_integrations._instrumentor import ModelInstrumentor, quiet, quiet_fit
from radiosonde_integrations._methods import Method
from radiosonde_integrations._observing import INSIDE, Inside, observed_method
from radiosonde_integrations._patching import Patches, Stand

_LOG = logging.getLogger("radiosonde")

Make = Callable[[Callable[..., Any]], Callable[..., Any]]

_PREDICTING = (
    Method("predict", describe_predict, features, takes_matrix=True),
    Method("predict_proba", describe_probabilities, features, takes_matrix=True),
    Method("predict_log_proba", describe_log_probabilities, features, takes_matrix=True),
    Method("decision_function", describe_margins, features, takes_matrix=True),
)

# # `partial_fit` keeps the description: a model that learns from every row would have a version per row. `fit_transform` and `transform`
# are not patched: scikit-learn wraps them itself afterwards (set_output), and undoing would remove that.
_METHODS: dict[str, Make] = {
    **{method.name: observed_method(method) for method in _PREDICTING},
    "fit": quiet_fit,
    "fit_predict": quiet_fit,
    "partial_fit": quiet,
    "score": quiet,
}

_QUIET = {
    "sklearn.model_selection._validation": ("_score", "_fit_and_predict", "_permutation_test_score"),
    "sklearn.metrics._scorer": ("_BaseScorer.__call__", "_MultimetricScorer.__call__"),
    "sklearn.inspection._partial_dependence": ("_partial_dependence_brute",),
    "sklearn.inspection._permutation_importance": ("_weights_scorer",),
    "sklearn.impute._iterative": ("IterativeImputer._impute_one_feature",),
    "sklearn.ensemble._stacking": ("_BaseStacking._transform",),
}
"""Functions that predict for another purpose outside any `fit`; patched by global name, so that earlier references are covered."""

_ELSEWHERE = frozenset({"catboost", "lightgbm", "xgboost"})
"""Root modules of libraries whose estimators are scikit-learn's and whose plug-ins are their own."""


_CLOUDPICKLES = ("joblib.externals.cloudpickle.cloudpickle", "cloudpickle.cloudpickle")


class SklearnInstrumentor(ModelInstrumentor):
    """Observes scikit-learn's estimators and every class on its `BaseEstimator`."""

    requires = ("scikit-learn >= 1.4, < 2",)
    modules = ("sklearn.base", "joblib.parallel", *_CLOUDPICKLES, *_QUIET)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch existing and future estimators, joblib, and functions that are not predictions."""
        meet = functools.partial(_meet, patches)
        if module.__name__ == "sklearn.base":
            base = module.BaseEstimator
            owner = next(kind for kind in base.__mro__ if "__init_subclass__" in vars(kind))
            patches.replace(owner, "__init_subclass__", _telling(meet))
            for kind in list(_subclasses(base)):
                meet(kind)
        elif module.__name__ in _CLOUDPICKLES:
            patches.replace(module, "_class_setstate", _arriving(meet))
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


def _telling(tell: Callable[[Any], None]) -> Callable[[Any], classmethod[Any, Any, Any]]:
    """Return a wrapper of ``__init_subclass__`` that reports every subclass defined from now on."""

    def make(original: Any) -> classmethod[Any, Any, Any]:
        @functools.wraps(original.__func__)
        def defined(cls: type, /, **kwargs: Any) -> None:
            original.__func__(cls, **kwargs)
            tell(cls)

        return classmethod(defined)

    return make


def _meet(patches: Patches, kind: Any) -> None:
    """Patch a class if it is an estimator that predicts. Raises nothing: it would be the user's class statement that fails."""
    try:
        base = sys.modules["sklearn.base"].BaseEstimator
        if isinstance(kind, type) and issubclass(kind, base) and _predicts(kind):
            _patch_class(kind, patches)
    except Exception:  # noqa: BLE001 - a class may be anything
        _LOG.debug("predictions of %s cannot be observed", kind, exc_info=True)


def _patch_class(kind: type, patches: Patches) -> None:
    for owner in kind.__mro__:
        if owner.__module__.partition(".")[0] in _ELSEWHERE:
            continue
        for name in _METHODS.keys() & vars(owner).keys():
            patches.replace(owner, name, functools.partial(_replacement, owner, _METHODS[name]))


def _predicts(kind: type) -> bool:
    return any(hasattr(kind, method.name) for method in _PREDICTING)


def _replacement(owner: type, make: Make, original: Any) -> Any:
    """Return the replacement of a class attribute: a function, or scikit-learn's conditional method with its condition."""
    is_conditional = callable(getattr(original, "check", None))
    function = getattr(original, "fn", None) if is_conditional else original
    # A call of an asynchronous method is not a prediction yet; compiled and static methods cannot be replaced.
    if (
        not inspect.isfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
    ):
        return original
    if not is_conditional and owner.__module__.startswith("sklearn."):
        # A plain function, which binds in C: these classes are pickled by name, never whole.
        return make(function)
    return Stand(original, make(function), is_conditional=is_conditional)


def _arriving(tell: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Patch cloudpickle's reconstruction of classes, so that a class unpickled by value, which is defined empty, is reported."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def fill(kind: Any, state: Any) -> Any:
            filled = original(kind, state)
            tell(kind)
            return filled

        return fill

    return make


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `joblib.Parallel.__call__` one whose tasks know, wherever they run, that a prediction is in progress."""

    @functools.wraps(original)
    def call(self: Any, iterable: Iterable[Any]) -> Any:
        # Other backends than joblib's own send tasks to machines that may not have Radiosonde.
        is_here = type(getattr(self, "_backend", None)).__module__.startswith("joblib.")
        return original(self, _inside(iterable) if INSIDE.get() and is_here else iterable)

    return call


def _inside(tasks: Iterable[Any]) -> Iterable[Any]:
    carried = ((Inside(function), args, kwargs) for function, args, kwargs in tasks)
    return list(carried) if hasattr(tasks, "__len__") else carried  # joblib uses the length if there is one
