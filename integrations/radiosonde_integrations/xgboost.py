"""xgboost: the scikit-learn classes, and ``Booster.predict`` and ``inplace_predict``.

A ``DMatrix`` made from a small array is read from a copy of it, made at the time: most are made from a temporary one, which
is gone by the prediction, or from one that is filled again for the next request. Any other is read through
`DMatrix.get_data`, a copy of the model's input, up to `LARGEST_COPY` values; that wakes xgboost's threads, 30 us or more for one row. A
``QuantileDMatrix`` holds bins instead of values: its features count as lost.
"""

from __future__ import annotations

import functools
import json
import weakref
from collections.abc import Callable, Collection
from dataclasses import replace
from importlib.metadata import distributions
from types import ModuleType
from typing import Any

import numpy as np

from radiosonde_integrations._boosters import (
    LARGEST_COPY,
    argument,
    as_labels,
    as_values,
    bytes_digest,
    chosen,
    class_names,
    dense,
    evaluate_quietly,
    later_version,
    nothing,
    observe_methods,
    remember_file,
    said_version,
    train_quietly,
    unread,
)
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._patching import Patches

NAN = float("nan")

LARGEST_KEPT = 1024
"""Values of an array that are copied when a matrix is made from it, at most: 8 kB, about a microsecond."""


# Inputs ---------------------------------------------------------------------------------------------------------------


_KEPT: dict[int, Any] = {}
"""Copies of the small arrays that matrices were made from, by the matrix's identity; each goes with its matrix."""


def _keeping(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a constructor of matrices that keeps small arrays, unless a number in them marks a missing value."""

    @functools.wraps(original)
    def make(self: Any, /, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        value = argument(args, kwargs)
        is_plain = len(args) < 2 and kwargs.get("missing") is None  # positions other than the first are old, and rare
        if is_plain and isinstance(value, np.ndarray) and value.size <= LARGEST_KEPT and value.dtype.kind in "fiub":
            _KEPT[id(self)] = value.copy()
            weakref.finalize(self, _KEPT.pop, id(self), None).atexit = False

    return make


def _features(args: Arguments, keywords: Keywords) -> object:
    value = argument(args, keywords)
    if hasattr(value, "num_row") and hasattr(value, "num_col"):
        return _matrix_values(value)
    return dense(value, NAN)  # absent cells of a sparse matrix are missing


def _matrix_values(matrix: Any) -> object:
    rows, columns = int(matrix.num_row()), int(matrix.num_col())
    kept = _KEPT.get(id(matrix))
    if kept is not None and kept.shape == (rows, columns):
        return kept
    if rows * columns > LARGEST_COPY or "Quantile" in type(matrix).__name__:
        return unread(rows)
    try:
        csr = matrix.get_data()
    except Exception:  # noqa: BLE001 - a matrix in external memory, on a device: its rows count, its features are lost
        return unread(rows)
    if csr.nnz == rows * columns:
        return csr.data.reshape(rows, columns)  # nothing is missing, and rows are stored in column order
    return dense(csr, NAN)


# Description ----------------------------------------------------------------------------------------------------------


def _learner(booster: Any) -> tuple[str, int, int]:
    """Return objective, number of classes (0: none) and number of targets."""
    learner = json.loads(booster.save_config())["learner"]
    shape = learner["learner_model_param"]
    return learner["objective"]["name"], int(shape.get("num_class", 0)), int(shape.get("num_target", 1))


def _version(model: Any, booster: Any) -> str | Callable[[], str]:
    said = said_version(model, booster) or booster.attr("version")
    return said or later_version(model, booster, lambda each: bytes_digest(each.save_raw("ubj")))


def _describe_booster(booster: Any) -> Description:
    objective, classes, targets = _learner(booster)
    said = Description("xgboost.Booster", _version(booster, booster), booster.feature_names or ())
    if targets > 1:
        return replace(said, output=nothing if objective.startswith("binary:") else as_values)
    if objective == "binary:logistic":
        return replace(said, classes=("0", "1"), task="classification")
    if objective == "binary:hinge":
        return replace(said, classes=("0", "1"), task="classification", output=as_labels)
    if objective in ("multi:softprob", "multi:softmax"):
        output = as_labels if objective == "multi:softmax" else None
        return replace(said, classes=class_names(range(classes)), task="classification", output=output)
    return replace(said, task="regression", output=as_values)


def _describe_estimator(model: Any) -> Description:
    booster = model.get_booster()
    said = Description(type(model).__name__, _version(model, booster), booster.feature_names or ())
    if not hasattr(model, "predict_proba"):
        return replace(said, task="regression", output=as_values)
    known = getattr(model, "classes_", None)  # xgboost 1 has none in a model that was loaded
    classes = class_names(range(int(model.n_classes_)) if known is None else known)
    _, _, targets = _learner(booster)
    return replace(said, classes=classes, task="classification", output=nothing if targets > 1 else None)


def _describe_margin(model: Any) -> Description:
    said = _describe_estimator(model) if hasattr(model, "get_booster") else _describe_booster(model)
    return replace(said, classes=(), task="regression", output=as_values)


# Methods --------------------------------------------------------------------------------------------------------------

MARGIN = Method("margin", _describe_margin, _features)
_EXPLAINING = ("pred_leaf", "pred_contribs", "approx_contribs", "pred_interactions", "training")
_PREDICT = ("data", "output_margin", *_EXPLAINING[:4], "validate_features", "training")
_ESTIMATE = ("X", "output_margin")


def _choose_of(names: tuple[str, ...], plain: Method) -> Callable[[Arguments, Keywords], Method | None]:
    def choose(args: Arguments, keywords: Keywords) -> Method | None:
        if len(args) == 1 and not keywords:
            return plain
        said = chosen(names, args, keywords)
        if any(said.get(name, False) for name in _EXPLAINING):
            return None
        is_margin = said.get("output_margin", False) or said.get("predict_type") == "margin"
        return MARGIN if is_margin else plain

    return choose


def _chosen_method(name: str, names: tuple[str, ...], plain: Method) -> Method:
    return Method(name, plain.describe, plain.input, choose=_choose_of(names, plain), is_native=True)


_VALUE = Method("predict", _describe_booster, _features)
_ESTIMATED = Method("predict", _describe_estimator, _features)
_LABEL = Method("predict", _describe_estimator, _features, as_labels)

BOOSTER = (
    _chosen_method("predict", _PREDICT, _VALUE),
    _chosen_method("inplace_predict", ("data", "iteration_range", "predict_type"), _VALUE),
)
ESTIMATOR = _chosen_method("predict", _ESTIMATE, _ESTIMATED)
CLASSIFIER = (
    _chosen_method("predict", _ESTIMATE, _LABEL),
    Method("predict_proba", _describe_estimator, _features, is_native=True),
)


def _file(args: Arguments, keywords: Keywords) -> object:
    """Return the file that a booster is loaded from."""
    return args[0] if args else keywords.get("fname")


class XGBoostInstrumentor(ModelInstrumentor):
    """Observes predictions of xgboost."""

    requires = ("xgboost >= 1.7, < 4",)
    modules = ("xgboost.core", "xgboost.sklearn")

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions that are supported, of the distribution without GPU code where it is that one."""
        if not list(distributions(name="xgboost-cpu")):
            return self.requires
        return tuple(each.replace("xgboost", "xgboost-cpu", 1) for each in self.requires)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Observe the booster, or the scikit-learn classes."""
        if module.__name__ == "xgboost.core":
            observe_methods(patches, module.Booster, *BOOSTER)
            patches.replace(module.DMatrix, "__init__", _keeping)
            train_quietly(patches, module.Booster, "update", "boost")
            evaluate_quietly(patches, module.Booster, "eval_set")
            remember_file(patches, module.Booster, "load_model", _file)
            return
        observe_methods(patches, module.XGBModel, ESTIMATOR)
        observe_methods(patches, module.XGBClassifier, *CLASSIFIER)
        observe_methods(patches, module.XGBRanker, ESTIMATOR)
        for each in (module.XGBModel, module.XGBClassifier, module.XGBRanker):
            train_quietly(patches, each, "fit", "load_model")
