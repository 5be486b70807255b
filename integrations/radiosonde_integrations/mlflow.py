"""MLflow: `predict` of the models that `mlflow.pyfunc` loads, for any library inside.

* Name and version: those of the registered model, if it was loaded as one (an alias or stage is resolved at loading); else the run's id,
  else the id of the saved model.
* Features by the names of the frame, of the signature, or of a dictionary of columns.
* Models called inside are part of the prediction. `predict_stream` is not observed.
"""

from __future__ import annotations

import functools
import logging
import re
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import radiosonde
from radiosonde_integrations._alternatives import first_installed
from radiosonde_integrations._estimators import class_names_of, final_estimator, labels
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._observing import observed_method
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._tensors import Answers, TensorColumns

_LOG = logging.getLogger("radiosonde")

_REGISTERED = re.compile(r"models:/+([^/@]+)/(\d+)/?")
_META = re.compile(r"^model_(name|version): *['\"]?(.*?)['\"]?$", re.MULTILINE)
"""Lines of ``registered_model_meta``, which MLflow writes next to downloads from its registry."""


class MlflowInstrumentor(ModelInstrumentor):
    """Observes MLflow's models of any flavour."""

    requires = ("mlflow >= 2.16, < 4", "mlflow-skinny >= 2.16, < 4")
    modules = ("mlflow.pyfunc",)

    def instrumentation_dependencies(self) -> Any:
        """Return the supported versions of whichever distribution is installed."""
        return first_installed(self.requires)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch the predicting methods, and the loaders that know the origin of a model."""
        patches.replace(module.PyFuncModel, "predict", observed_method(PREDICT))
        patches.replace(module, "load_model", _seen_loading)
        patches.replace(module, "_download_artifact_from_uri", _seen_downloading)


class _Origins:
    """Registered name and version of the loaded models, by identity; they go with the models."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str]] = {}

    def of(self, model: Any) -> tuple[str, str]:
        """Return (name, version) of a model in the registry it came from; empty if it came from none."""
        return self._known.get(id(model), ("", ""))

    def add(self, model: Any, origin: tuple[str, str]) -> None:
        """Remember where a model came from."""
        weakref.finalize(model, self._known.pop, id(model), None).atexit = False
        self._known[id(model)] = origin


ORIGINS = _Origins()


_DOWNLOADED: ContextVar[list[str] | None] = ContextVar("radiosonde_mlflow_downloaded", default=None)
"""Where the model that is being loaded was put."""


def _seen_downloading(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def download(*args: Any, **kwargs: Any) -> Any:
        path, seen = original(*args, **kwargs), _DOWNLOADED.get()
        if seen is not None:
            seen.append(str(path))
        return path

    return download


def _seen_loading(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def load_model(*args: Any, **kwargs: Any) -> Any:
        seen: list[str] = []
        token = _DOWNLOADED.set(seen)
        try:
            model = original(*args, **kwargs)
        finally:
            _DOWNLOADED.reset(token)
        try:
            ORIGINS.add(model, _origin(str(args[0] if args else kwargs["model_uri"]), seen))
        except Exception:  # noqa: BLE001 - the model is loaded; where it came from is only telemetry
            _LOG.debug("the origin of a model of MLflow's is unknown", exc_info=True)
        return model

    return load_model


def _origin(uri: str, downloaded: list[str]) -> tuple[str, str]:
    """Return (name, version) in the registry: from the address, or from an alias in it."""
    registered = _REGISTERED.fullmatch(uri)
    if registered:
        return registered[1], registered[2]
    meta = Path(downloaded[0], "registered_model_meta") if downloaded and uri.startswith("models:") else None
    if meta is None or not meta.is_file():
        return "", ""
    said = {key: value for key, value in _META.findall(meta.read_text()) if value != "null"}  # a model of no registry
    return said.get("name", ""), said.get("version", "")


def describe(model: Any) -> Description:
    """Describe a loaded model."""
    meta, (name, version) = model.metadata, ORIGINS.of(model)
    answers, classes = Answers(radiosonde.tag(model).task), class_names_of(final_estimator(_inner(model)))
    signature = meta.signature
    has_names = signature is not None and signature.inputs is not None and signature.inputs.has_input_names()
    return Description(
        name=name or _name(model, meta),
        version=version or str(meta.run_id or meta.model_uuid or ""),
        features=tuple(signature.inputs.input_names()) if has_names else (),
        classes=classes,
        output=lambda result: _answer(result, answers, is_class=bool(classes)),
    )


def _answer(result: Any, answers: Answers, *, is_class: bool) -> object:
    if _is_matrix(result):
        return answers.read([result])
    return labels(result) if is_class and isinstance(result, np.ndarray) else result


def _name(model: Any, meta: Any) -> str:
    # From MLflow 3 on the path is in a registry, `models/m-...`, and as uninformative as "model".
    path = str(meta.artifact_path or "").rstrip("/").rpartition("/")[2]
    if path and path != "model" and not path.startswith("m-") and path != "artifacts":
        return path
    return type(final_estimator(_inner(model))).__name__


def _inner(model: Any) -> Any:
    """Return the model of the library, or the user's own, inside the flavour's wrapper."""
    wrapper = model._model_impl  # noqa: SLF001 - documented as stable for developers
    for name in ("sklearn_model", "xgb_model", "lgb_model", "cb_model", "pytorch_model", "python_model"):
        inner = getattr(wrapper, name, None)
        if inner is not None:
            return inner
    return wrapper


def _is_matrix(result: Any) -> bool:
    return isinstance(result, np.ndarray) and result.ndim == 2 and result.dtype.kind == "f"


def _features(args: Arguments, kwargs: Keywords) -> object:
    """Return the features of a call; a dictionary of columns, which MLflow takes too, as columns."""
    value = args[0] if args else kwargs.get("data")
    if isinstance(value, Mapping) and all(isinstance(each, (list, np.ndarray)) for each in value.values()):
        return TensorColumns(value)
    return value


PREDICT = Method("predict", describe, input=_features)
