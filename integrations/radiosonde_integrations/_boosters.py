"""Shared parts of the plug-ins for boosting libraries: inputs, outputs, training calls, versions.

* Calls that train or explain (``fit``, ``update``, evaluation between rounds, leaf indices, contributions) are no
  predictions and are left out. Margins are: they are recorded as scores.
* Matrices that cannot be read cheaply count with their rows and their answers; their features are counted as lost.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde_integrations._artifacts import ARTIFACTS, artifact_version
from radiosonde_integrations._instrumentor import quiet, quiet_fit, refitted, refitting
from radiosonde_integrations._methods import Arguments, Keywords, Method
from radiosonde_integrations._observing import observed_method
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._versions import DIGITS

LARGEST_COPY = 1_000_000
"""Values of a library's own matrix that are copied out to be read, at most.

8 MB for as long as the call is recorded. Measured with 30 features and 100 trees: xgboost's copy costs 34 us for a row
(making the matrix 64 us) and 2.7 % of the prediction at 10 000 rows.
"""

_VERSIONS = ("version", "__version__", "model_version")


# Inputs ---------------------------------------------------------------------------------------------------------------


def argument(args: Arguments, keywords: Keywords) -> Any:
    """Return the features: the first argument, with any name; None when there is none."""
    if args:
        return args[0]
    return keywords.get("X", keywords.get("data"))


def unread(rows: int) -> NDArray[np.float64]:
    """Return an input of *rows* rows without features: they count, and their features as lost."""
    return np.empty((rows, 0))


def dense(matrix: Any, absent: float) -> object:
    """Return a scipy sparse matrix as an array, its absent cells as *absent*; other values unchanged."""
    if not hasattr(matrix, "tocsr"):
        return matrix
    rows, columns = matrix.shape
    if rows * columns > LARGEST_COPY:
        return unread(rows)
    whole = matrix.tocoo()
    values = np.full((rows, columns), absent)
    values[whole.row, whole.col] = whole.data
    return values


def chosen(names: Sequence[str], args: Arguments, keywords: Keywords) -> dict[str, Any]:
    """Return a call's arguments by name, for methods whose options may be given by position."""
    return dict(zip(names, args, strict=False)) | dict(keywords)


# Answers --------------------------------------------------------------------------------------------------------------


def class_names(values: Iterable[Any]) -> tuple[str, ...]:
    """Return class names as predictions of them are named: whole numbers without a point."""
    listed = np.asarray(values).tolist()
    return tuple(str(int(each)) if isinstance(each, float) and each.is_integer() else str(each) for each in listed)


def as_labels(result: Any) -> object:
    """Return predicted classes so that they are not taken for probabilities; None for several labels a row."""
    labels = np.asarray(result)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim > 1:
        return None
    if labels.dtype.kind != "f":
        return labels
    return labels.astype(np.int64) if np.array_equal(labels, np.trunc(labels)) else labels.astype(str)


def as_values(result: Any) -> object:
    """Return predicted values; None for several a row (targets, quantiles, margins of classes), which no table takes."""
    return None if np.ndim(result) == 2 and np.shape(result)[1] > 1 else result


def nothing(_result: Any) -> None:
    """Leave the answer out."""


# Versions -------------------------------------------------------------------------------------------------------------


def said_version(*models: Any) -> str:
    """Return the version that the user set as an attribute of one of the objects; empty when there is none."""
    said = (vars(each)[name] for each in models for name in _VERSIONS if name in vars(each))
    return next((str(each) for each in said if isinstance(each, (str, int, float))), "")


def later_version(model: Any, booster: Any, digest: Callable[[Any], str]) -> Callable[[], str]:
    """Return a function for the digest of the file that a model or its booster was loaded from, else the *digest* of the booster.

    It is called soon and once, off the hot path, and keeps the booster alive until then, so that a model used for one call has a version,
    too.
    """
    from_file, held, answers = artifact_version(model) or artifact_version(booster), [booster], list[str]()

    def version() -> str:
        if not answers:
            answers.append((from_file() if from_file else "") or digest(held[0]))
            held.clear()
        return answers[0]

    return version


def bytes_digest(serialised: bytes | bytearray) -> str:
    """Return ``params-`` and a digest of a model as it is written."""
    return f"params-{hashlib.blake2b(serialised, digest_size=DIGITS // 2).hexdigest()}"


# Patching -------------------------------------------------------------------------------------------------------------


def observe_methods(patches: Patches, owner: Any, *methods: Method) -> None:
    """Observe those of the methods that *owner* itself has."""
    for method in methods:
        patches.replace(owner, method.name, observed_method(method))


def train_quietly(patches: Patches, owner: Any, *names: str) -> None:
    """Do not observe predictions inside methods that modify a model, and describe the model again afterwards."""
    for name in names:
        patches.replace(owner, name, quiet_fit)


def evaluate_quietly(patches: Patches, owner: Any, *names: str) -> None:
    """Let methods that only measure a model predict unobserved."""
    for name in names:
        patches.replace(owner, name, quiet)


def remember_file(patches: Patches, owner: Any, name: str, path: Callable[[Arguments, Keywords], object]) -> None:
    """Remember the file that a model was loaded from by method *name*; *path* finds it in the arguments."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            refitting(self)
            result = original(self, *args, **kwargs)
            refitted(self)
            source = path(args, kwargs)
            if source is not None:
                ARTIFACTS.remember(self, source)
            return result

        return load

    patches.replace(owner, name, make)
