"""catboost: ``CatBoost``, its classifier, regressor and ranker.

The meaning of a number is given by *prediction_type*: classes, probabilities, their logarithms (which are converted back for recording), or
values, including raw formula values.

Features of a ``Pool`` are read from the array or frame it was made from, which is remembered weakly: catboost copies
numbers out at 60 ns each, 12 times its own prediction of 10 000 rows, and text not at all. If that has gone, up to
`LARGEST_POOL` numbers are copied out, and a larger pool's features, or one's with text, count as lost.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from radiosonde_integrations._boosters import (
    argument,
    as_labels,
    as_values,
    chosen,
    class_names,
    dense,
    later_version,
    observe_methods,
    remember_file,
    said_version,
    train_quietly,
    unread,
)
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._observing import INSIDE
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._versions import parameters_digest

LARGEST_POOL = 500
"""Largest number of values copied from a pool: 30 us, half of the time of its prediction."""


# Inputs ---------------------------------------------------------------------------------------------------------------

_SOURCES: dict[int, weakref.ref[Any]] = {}
"""Data that pools were created from, by identity; released with the pool."""


def _remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a constructor of pools that remembers their data, except for pools created by a prediction."""

    @functools.wraps(original)
    def make(self: Any, /, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        value = argument(args, kwargs)
        if not INSIDE.get() and len(getattr(value, "shape", ())) == 2:
            try:
                source = weakref.ref(value)
                weakref.finalize(self, _SOURCES.pop, id(self), None).atexit = False
            except TypeError:  # a type without weak references; the pool itself is read then
                return
            _SOURCES[id(self)] = source

    return make


def _features(args: Arguments, keywords: Keywords) -> object:
    value = argument(args, keywords)
    if hasattr(value, "num_row") and hasattr(value, "get_features"):
        return _pool_values(value)
    return dense(value, 0.0)  # absent cells of a sparse matrix are zero


def _pool_values(pool: Any) -> object:
    rows, columns = int(pool.num_row()), int(pool.num_col())
    reference = _SOURCES.get(id(pool))
    source = None if reference is None else reference()
    if source is not None and tuple(source.shape) == (rows, columns):
        return dense(source, 0.0)
    if rows * columns > LARGEST_POOL:
        return unread(rows)
    try:
        return np.asarray(pool.get_features(), dtype=np.float64)
    except Exception:  # noqa: BLE001 - text, embeddings, a quantised pool: the rows count, the features are lost
        return unread(rows)


# Description ----------------------------------------------------------------------------------------------------------


def _digest(model: Any) -> str:
    # Not of the model as it is written: that holds when it was trained, and its parts in an order that copying changes.
    trees = [model.get_leaf_values(), model.get_tree_leaf_counts(), model.get_borders()]
    return parameters_digest([*trees, model.get_scale_and_bias(), model.feature_names_, class_names(model.classes_)])


def _describe(model: Any) -> Description:
    names = tuple(model.feature_names_ or ())
    if names == tuple(str(place) for place in range(len(names))):
        names = ()  # made up by catboost: the names of a frame count
    said = said_version(model) or dict(model.get_metadata()).get("version", "")
    version = said or later_version(model, model, _digest)
    return Description(type(model).__name__, version, names)


def _describe_classes(model: Any) -> Description:
    return replace(_describe(model), classes=class_names(model.classes_), task="classification")


def _describe_values(model: Any) -> Description:
    # Mean and variance, or mean and logarithm of the deviation: the value is the mean.
    is_uncertain = model.get_param("loss_function") == "RMSEWithUncertainty"
    return replace(_describe(model), task="regression", output=_first_of_each if is_uncertain else as_values)


def _first_of_each(result: Any) -> object:
    """Return the first column; of a single row, the first number."""
    return np.asarray(result)[..., 0]


# Methods --------------------------------------------------------------------------------------------------------------

_LABEL = Method("label", _describe_classes, _features, as_labels)
_PROBABILITY = Method("probability", _describe_classes, _features)
_LOGARITHM = Method("logarithm", _describe_classes, _features, np.exp)
_VALUE = Method("value", _describe_values, _features)
BY_TYPE = {"Class": _LABEL, "Probability": _PROBABILITY, "LogProbability": _LOGARITHM}


def _predicting(usual: Method) -> Method:
    def choose(args: Arguments, keywords: Keywords) -> Method | None:
        asked = chosen(("data", "prediction_type"), args, keywords).get("prediction_type")
        return usual if asked is None else BY_TYPE.get(asked, _VALUE)

    return Method("predict", usual.describe, _features, choose=choose, is_native=True)


def _fixed(name: str, usual: Method) -> Method:
    return Method(name, usual.describe, _features, choose=lambda args, keywords: usual, is_native=True)


CLASSIFIER = (
    _predicting(_LABEL),
    _fixed("predict_proba", _PROBABILITY),
    _fixed("predict_log_proba", _LOGARITHM),
)


def _file(args: Arguments, keywords: Keywords) -> object:
    return args[0] if args else keywords.get("fname")


class CatBoostInstrumentor(ModelInstrumentor):
    """Observes predictions of catboost."""

    requires = ("catboost >= 1.2, < 2",)
    modules = ("catboost.core",)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Observe the classes of models, and remember the data of pools."""
        observe_methods(patches, module.CatBoost, _predicting(_VALUE))
        observe_methods(patches, module.CatBoostClassifier, *CLASSIFIER)
        observe_methods(patches, module.CatBoostRegressor, _predicting(_VALUE))
        observe_methods(patches, module.CatBoostRanker, _fixed("predict", _VALUE))
        for each in (module.CatBoost, module.CatBoostClassifier, module.CatBoostRegressor, module.CatBoostRanker):
            train_quietly(patches, each, "fit")
        train_quietly(patches, module.CatBoost, "shrink")
        remember_file(patches, module.CatBoost, "load_model", _file)
        patches.replace(module.Pool, "__init__", _remembering)
