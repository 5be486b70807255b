"""lightgbm: the scikit-learn classes and ``Booster.predict``.

Raw scores are recorded as scores. Leaf indices and contributions are not predictions and are not recorded, and neither is a prediction for
a whole file, whose rows are not in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from radiosonde_integrations._boosters import (
    argument,
    as_labels,
    as_values,
    bytes_digest,
    chosen,
    class_names,
    dense,
    evaluate_quietly,
    later_version,
    observe_methods,
    remember_file,
    said_version,
    train_quietly,
)
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._patching import Patches

_MANY = ("multiclass", "multiclassova")


def _features(args: Arguments, keywords: Keywords) -> object:
    return dense(argument(args, keywords), 0.0)  # absent cells of a sparse matrix are zero


# Description ----------------------------------------------------------------------------------------------------------


def _objective(booster: Any) -> str:
    """Return the objective from the model itself; parameters may use any of a dozen aliases. Empty: a function."""
    for line in booster.model_to_string(num_iteration=1).splitlines():
        name, _, value = line.partition("=")
        if name == "objective":
            return str(value.split(" ")[0])
        if name == "Tree":
            break
    return ""


def _names(booster: Any) -> tuple[str, ...]:
    """Return the feature names; none when lightgbm made them up, so that the names of a frame count."""
    names = tuple(booster.feature_name())
    return () if names == tuple(f"Column_{place}" for place in range(len(names))) else names


def _version(model: Any, booster: Any) -> str | Callable[[], str]:
    said = said_version(model, booster)
    return said or later_version(
        model, booster, lambda each: bytes_digest(each.model_to_string(num_iteration=-1).encode())
    )


def _describe_booster(booster: Any) -> Description:
    said = Description("lightgbm.Booster", _version(booster, booster), _names(booster))
    objective = _objective(booster)
    if objective == "binary":
        return replace(said, classes=("0", "1"), task="classification")
    if objective in _MANY:
        return replace(said, classes=class_names(range(booster.num_model_per_iteration())), task="classification")
    return replace(said, task="regression", output=as_values)


def _describe_estimator(model: Any) -> Description:
    booster = model.booster_
    said = Description(type(model).__name__, _version(model, booster), _names(booster))
    # With an objective that is a function even a classifier answers with raw scores.
    if hasattr(model, "predict_proba") and not callable(model.objective_):
        return replace(said, classes=class_names(model.classes_), task="classification")
    return replace(said, task="regression", output=as_values)


def _describe_margin(model: Any) -> Description:
    said = _describe_estimator(model) if hasattr(model, "booster_") else _describe_booster(model)
    return replace(said, classes=(), task="regression", output=as_values)


# Methods --------------------------------------------------------------------------------------------------------------

MARGIN = Method("margin", _describe_margin, _features)
_ARGUMENTS = ("X", "raw_score", "start_iteration", "num_iteration", "pred_leaf", "pred_contrib")
_BOOSTER_ARGUMENTS = ("data", "start_iteration", "num_iteration", "raw_score", "pred_leaf", "pred_contrib")


def _chosen_method(name: str, names: tuple[str, ...], plain: Method) -> Method:
    def choose(args: Arguments, keywords: Keywords) -> Method | None:
        if isinstance(argument(args, keywords), (str, os.PathLike)):
            return None
        if len(args) == 1 and not keywords:
            return plain
        said = chosen(names, args, keywords)
        if said.get("pred_leaf", False) or said.get("pred_contrib", False):
            return None
        return MARGIN if said.get("raw_score", False) else plain

    return Method(name, plain.describe, plain.input, choose=choose, is_native=True)


BOOSTER = _chosen_method("predict", _BOOSTER_ARGUMENTS, Method("predict", _describe_booster, _features))
ESTIMATOR = _chosen_method("predict", _ARGUMENTS, Method("predict", _describe_estimator, _features))
CLASSIFIER = (
    _chosen_method("predict", _ARGUMENTS, Method("predict", _describe_estimator, _features, as_labels)),
    _chosen_method("predict_proba", _ARGUMENTS, Method("predict_proba", _describe_estimator, _features)),
    Method("decision_function", _describe_margin, _features, is_native=True),
)


def _file(args: Arguments, keywords: Keywords) -> object:
    """Return the file that a booster is made from; the third argument."""
    return chosen(("params", "train_set", "model_file"), args, keywords).get("model_file")


class LightGBMInstrumentor(ModelInstrumentor):
    """Observes predictions of lightgbm."""

    requires = ("lightgbm >= 4.0, < 5",)
    modules = ("lightgbm.basic", "lightgbm.sklearn")

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Observe the booster, or the scikit-learn classes."""
        if module.__name__ == "lightgbm.basic":
            observe_methods(patches, module.Booster, BOOSTER)
            train_quietly(patches, module.Booster, "update", "rollback_one_iter", "model_from_string")
            evaluate_quietly(patches, module.Booster, "refit")
            remember_file(patches, module.Booster, "__init__", _file)
            return
        observe_methods(patches, module.LGBMModel, ESTIMATOR)
        observe_methods(patches, module.LGBMClassifier, *CLASSIFIER)
        train_quietly(patches, module.LGBMModel, "fit")
