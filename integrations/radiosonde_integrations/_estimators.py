"""Reads the metadata, inputs and results of estimators with scikit-learn's interface.

Scikit-learn is never imported: only the estimator is used. Also for libraries whose models have its interface.

Every result is defined: results that one number or one class per row cannot represent (several outputs, several labels, sparse results,
one-against-one margins) are predictions without an output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.model import class_text
from radiosonde_integrations._methods import Arguments, Description, Keywords
from radiosonde_integrations._versions import version_of

DEEPEST = 20
"""Largest depth of nested pipelines and searches."""

WIDEST = 1000
"""Columns of a sparse matrix that is made dense to be recorded: wider ones are words, not features. Arbitrary."""

MOST_CELLS = 4_000_000
"""Cells of a sparse matrix that is made dense: 32 MB. Arbitrary."""

_TASKS = {"classifier": "classification", "clusterer": "classification", "outlier_detector": "classification"}


def final_estimator(model: Any) -> Any:
    """Return the last step of a pipeline, the best estimator of a search, the estimator of a frozen one; else the model itself."""
    for _ in range(DEEPEST):
        kind = type(model).__name__
        if kind == "FrozenEstimator":
            inner = getattr(model, "estimator", None)
        elif hasattr(type(model), "named_steps") and model.steps:
            inner = model.steps[-1][1]
        else:
            inner = getattr(model, "best_estimator_", None)
        if inner is None or isinstance(inner, str):
            break
        model = inner
    return model


def estimator_kind(model: Any) -> str:
    """Return ``classifier``, ``regressor``, ``clusterer``, ``outlier_detector``, another of their words or nothing."""
    kind = getattr(model, "_estimator_type", None)  # until 1.8; and tags since 1.6
    if kind is None and hasattr(model, "__sklearn_tags__"):
        try:
            kind = model.__sklearn_tags__().estimator_type
        except Exception:  # noqa: BLE001 - a user's class whose mixins are in the wrong order
            kind = None
    return kind if isinstance(kind, str) else ""


def describe_predict(model: Any) -> Description:
    """Describe a model whose ``predict`` is called."""
    final = final_estimator(model)
    kind = estimator_kind(final)
    classes = class_names_of(model)
    if not kind:
        kind = "classifier" if classes else ""
    if kind == "outlier_detector":
        classes = ("-1", "1")
    output = labels if kind in _TASKS or kind == "DensityEstimator" else values if kind == "regressor" else single
    task = "regression" if kind == "regressor" else None
    return _description(model, final, classes, task, output)


def describe_probabilities(model: Any) -> Description:
    """Describe a model whose ``predict_proba`` is called."""
    final = final_estimator(model)
    classes = class_names_of(model)
    # Scikit-learn's own result for a matrix, which needs no check.
    output: Any = None if type(final).__module__.startswith("sklearn.") else probabilities
    if has_several_outputs(final):
        output = nothing
    elif len(classes) == 1:
        only = classes[0]
        output = lambda result: np.full(len(result), only)  # noqa: E731 - a column of ones is no P(second class)
    return _description(model, final, classes, "classification", output)


def describe_log_probabilities(model: Any) -> Description:
    """Describe a model whose ``predict_log_proba`` is called: as for ``predict_proba``."""
    said = describe_probabilities(model)
    inner = said.output or probabilities
    return Description(
        said.name, said.version, said.features, said.classes, said.task,
        output=lambda result: None if isinstance(result, list) else inner(np.exp(result)),
    )  # fmt: skip


def describe_margins(model: Any) -> Description:
    """Describe a model whose ``decision_function`` is called: a value, or the class of the largest of several."""
    final = final_estimator(model)
    names = np.array(class_names_of(model))
    is_one_a_class = getattr(final, "decision_function_shape", "ovr") != "ovo" and not has_several_outputs(final)
    if len(names) < 3 or not is_one_a_class:
        return _description(model, final, (), "regression", values)

    def output(result: Any) -> object:
        if isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == len(names):
            return names[result.argmax(axis=1)]
        return None

    return _description(model, final, tuple(names.tolist()), "classification", output)


def _description(model: Any, final: Any, classes: tuple[str, ...], task: Any, output: Any) -> Description:
    name = type(final).__name__
    return Description(name, version_of(model, final), _feature_names(model), classes, task, output=output)


def _feature_names(model: Any) -> tuple[str, ...]:
    names = getattr(model, "feature_names_in_", None)
    return () if names is None else tuple(str(name) for name in names)


def class_names_of(model: Any) -> tuple[str, ...]:
    """Return the names of a classifier's classes, in the order of its probabilities' columns; empty if unknown."""
    classes = getattr(model, "classes_", None)
    return tuple(map(class_text, classes.tolist())) if isinstance(classes, np.ndarray) and classes.ndim == 1 else ()


def has_several_outputs(final: Any) -> bool:
    """Return whether an estimator answers several questions, or several labels, a row."""
    labels_seen = getattr(getattr(final, "_label_binarizer", None), "y_type_", "")
    return (
        isinstance(getattr(final, "classes_", None), list)
        or (not labels_seen and getattr(final, "n_outputs_", 1) != 1)  # a network's outputs are its units
        or bool(getattr(final, "multilabel_", False))
        or str(labels_seen).startswith("multilabel")
    )


# Inputs and results ----------------------------------------------------------------------------------------------------


def features(args: Arguments, kwargs: Keywords) -> object:
    """Return the features of a call: rows and columns, or rows without columns for text and for wide inputs."""
    value = args[0] if args else kwargs.get("X", next(iter(kwargs.values()), None))
    if type(value) is np.ndarray and value.ndim == 2:
        return value
    if hasattr(value, "tocsr"):
        rows, columns = value.shape
        is_small = columns <= WIDEST and rows * columns <= MOST_CELLS
        return value.toarray() if is_small else np.empty((rows, 0))
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (str, bytes, int, float, np.generic)):
        return _samples(np.asarray(value))
    if getattr(value, "ndim", 2) != 2:
        return _samples(np.asarray(value))
    return value


def _samples(array: NDArray[Any]) -> object:
    """Return samples that are not rows: numbers are rows of one feature, texts and images are not recorded."""
    return array.reshape(-1, 1) if array.ndim == 1 and array.dtype.kind in "fiub" else np.empty((len(array), 0))


def single(result: Any) -> NDArray[Any] | None:
    """Return one answer a row; None where there are several, or none that can be read without cost."""
    if isinstance(result, tuple):  # a mean and its deviation
        result = result[0] if result else None
    if result is None or hasattr(result, "tocsr"):
        return None
    array = np.asarray(result)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array if array.ndim == 1 else None


def labels(result: Any) -> NDArray[Any] | None:
    """Return a class a row; classes that are numbers with a point are texts, else they would be values."""
    array = single(result)
    if array is not None and array.dtype.kind == "f":
        return np.array([class_text(value) for value in array.tolist()], dtype=str)
    return array


def values(result: Any) -> NDArray[Any] | None:
    """Return a value a row; whole numbers too are values, not classes."""
    array = single(result)
    return array if array is None or array.dtype.kind == "f" else array.astype(np.float64)


def probabilities(result: Any) -> object:
    """Return a matrix of probabilities as it is; None for the list of them that several outputs make."""
    if type(result) is np.ndarray:
        return result
    return None if isinstance(result, list) or hasattr(result, "tocsr") else result


def nothing(_: Any) -> None:
    """Return no output."""
