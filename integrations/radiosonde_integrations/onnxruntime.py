"""ONNX Runtime: `InferenceSession.run` and `run_with_ort_values`, and, counted only, `run_with_iobinding`.

* Features: the columns of a model's one input, a matrix of floats (``<input>_<column>``, or the names in its metadata);
  or, where all inputs are single columns, the inputs. Images, tokens and tensors on devices are not read.
* Outputs: see `radiosonde_integrations._tensors`; of the requested ones.
* A binding exposes neither the bound values nor the number of rows; its calls and their latency count as one row each.
* `run_async` returns before its result is available; it is not observed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import radiosonde
from radiosonde_integrations._alternatives import first_installed
from radiosonde_integrations._artifacts import artifact_version
from radiosonde_integrations._boosters import remember_file
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._observing import observed_method
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._tensors import Answers, TensorColumns, as_features, batch_of
from radiosonde_integrations._versions import DIGITS

_FLOATS = {"tensor(float)", "tensor(double)", "tensor(float16)"}
_UNSET = 2**63 - 1
"""ONNX Runtime's value for a model without a version."""

_NO_NAME = re.compile(r"[0-9a-f]{32}|main|main_graph|graph|model|model_optimized|torch[-_]jit(-export)?|")
"""Names that exporters give to every graph, and file names that everybody uses."""

_BLOCK_BYTES = 1 << 20


class OnnxruntimeInstrumentor(ModelInstrumentor):
    """Observes ONNX Runtime's sessions."""

    requires = ("onnxruntime >= 1.17, < 2", "onnxruntime-gpu >= 1.17, < 2")
    modules = ("onnxruntime.capi.onnxruntime_inference_collection",)

    def instrumentation_dependencies(self) -> Sequence[str]:
        """Return the supported versions of whichever build is installed."""
        return first_installed(self.requires)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch the class that all sessions are."""
        remember_file(patches, module.InferenceSession, "__init__", _file)
        for method in (RUN, RUN_WITH_VALUES, RUN_WITH_BINDING):
            patches.replace(module.Session, method.name, observed_method(method))


def _file(args: Arguments, keywords: Keywords) -> object:
    """Return the file that a session is made from; None for bytes."""
    source = args[0] if args else keywords.get("path_or_bytes")
    return source if isinstance(source, (str, os.PathLike)) else None


def describe(session: Any) -> Description:
    """Describe the model of a session."""
    meta, inputs = session.get_modelmeta(), session.get_inputs()
    custom = dict(meta.custom_metadata_map)
    answers = Answers(radiosonde.tag(session).task)
    return Description(
        name=_name(session, meta, custom),
        version=_version(session, meta, custom),
        features=_features(inputs, custom),
        input=_reader(inputs),
        output=lambda results: answers.read([_as_array(each) for each in results]) if results else None,
    )


def describe_bound(session: Any) -> Description:
    """Describe calls whose inputs and outputs are bound beforehand."""
    said = describe(session)
    return Description(said.name, said.version)


def _name(session: Any, meta: Any, custom: Mapping[str, str]) -> str:
    path = getattr(session, "_model_path", None)
    stem = Path(path).stem if isinstance(path, str) else ""
    for name in (custom.get("model_name"), custom.get("name"), stem, meta.graph_name):
        if name and not _NO_NAME.fullmatch(name):
            return name
    return stem or "onnx-model"


def _version(session: Any, meta: Any, custom: Mapping[str, str]) -> str | Callable[[], str]:
    said = custom.get("model_version") or custom.get("version")
    if said:
        return said
    if 0 < meta.version < _UNSET:
        return str(meta.version)
    seen, path = artifact_version(session), getattr(session, "_model_path", None)
    if seen is not None:
        return seen
    if isinstance(path, str):  # created before instrumentation
        return lambda: file_digest(path)
    return _BytesDigest(getattr(session, "_model_bytes", None))


def file_digest(path: str) -> str:
    """Return ``file-`` and a digest of a file, read in blocks; empty when it cannot be read any more."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return f"file-{digest.hexdigest()[:DIGITS]}"


class _BytesDigest:
    """A digest of a model that was given as bytes; keeps them, as their session does, until its first use."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._known = ""

    def __call__(self) -> str:
        content, self._content = self._content, None
        if content is not None:
            self._known = f"file-{hashlib.sha256(content).hexdigest()[:DIGITS]}"
        return self._known


def _is_column(node: Any) -> bool:
    shape = node.shape
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _features(inputs: Sequence[Any], custom: Mapping[str, str]) -> Sequence[str]:
    if len(inputs) > 1 or (inputs and _is_column(inputs[0])):
        return tuple(node.name for node in inputs) if all(map(_is_column, inputs)) else ()
    if len(inputs) != 1 or inputs[0].type not in _FLOATS or len(inputs[0].shape) != 2:
        return ()
    name, width = inputs[0].name, inputs[0].shape[1]
    if not isinstance(width, int) or width < 1:
        return ()
    said = _names(custom.get("feature_names") or custom.get("features") or "")
    return said if len(said) == width else tuple(f"{name}_{position}" for position in range(width))


def _names(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except ValueError:
        names = text.split(",")
    return tuple(str(name).strip() for name in names) if isinstance(names, list) else ()


def _reader(inputs: Sequence[Any]) -> Callable[[Arguments, Keywords], object]:
    """Return the reader of features for calls of `run`, with the shapes of the model's inputs determined once."""
    names = [node.name for node in inputs]
    of_columns = bool(inputs) and all(map(_is_column, inputs))
    of_matrix = len(inputs) == 1 and inputs[0].type in _FLOATS and len(inputs[0].shape) == 2 and not of_columns

    def read(args: Arguments, kwargs: Keywords) -> object:
        feed = args[1] if len(args) > 1 else kwargs.get("input_feed", kwargs.get("input_dict_ort_values"))
        if not isinstance(feed, Mapping) or not feed:
            return batch_of(1)
        if not of_columns and not of_matrix:
            return batch_of(_rows(next(iter(feed.values()))))
        tensors = [_as_array(feed[name]) for name in names if name in feed]
        if any(tensor is None for tensor in tensors):
            return batch_of(1)
        return (
            as_features(np.asarray(tensors[0])) if of_matrix else TensorColumns(dict(zip(names, tensors, strict=False)))
        )

    return read


def _rows(value: Any) -> int:
    shape = getattr(value, "shape", None)
    sizes = np.shape(value) if shape is None else shape() if callable(shape) else shape
    return int(sizes[0]) if len(sizes) else 1


def _as_array(value: Any) -> Any:
    """Return a value of a session as an array; None if it is on another device, whence fetching it would take time."""
    if not hasattr(value, "device_name"):
        return value
    return value.numpy() if value.device_name() == "cpu" and value.is_tensor() else None


RUN = Method("run", describe)
RUN_WITH_VALUES = Method("run_with_ort_values", describe)
RUN_WITH_BINDING = Method("run_with_iobinding", describe_bound, input=lambda args, kwargs: batch_of(1))
