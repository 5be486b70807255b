"""Records which file a model object was loaded from, so that the file's digest can be its version.

`joblib.load` and `pickle.load` are patched while a plug-in is active. A load costs one type check of the result and, if that is a model,
one ``stat``; the file is read later, off the hot path. ``from pickle import load`` before a plug-in is on,
and unpicklers made by hand, are not seen: such a model's version is a digest of its parameters.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import wrapt

from radiosonde_integrations._lifetimes import Lifetimes
from radiosonde_integrations._patching import Patches

_LOG = logging.getLogger("radiosonde")

DIGITS = 12
"""Hex digits of a digest: among a million files two alike in one of 560 cases."""

MOST_PARTS = 64
"""Number of values of a loaded dict, list or tuple that are searched for models; arbitrary, bounds the cost of a load."""

_PREDICTING = ("predict", "forward", "run")

_PLAIN = frozenset({bool, bytes, dict, float, int, list, set, str, tuple, type(None)})
"""Types that are not models, checked first: caches are loaded as often as they are read."""


class Artifact(NamedTuple):
    """A file as it was when a model was loaded from it."""

    path: str
    size_bytes: int
    mtime_ns: int


class Artifacts:
    """The files of the model objects that were loaded; each is forgotten with its object."""

    def __init__(self) -> None:
        self._known: dict[int, Artifact] = {}
        self._lifetimes = Lifetimes(lambda identity: self._known.pop(identity, None))
        self._patches = Patches()
        self._watchers = 0

    def watch(self) -> None:
        """Watch loads from now on; counted, so that plug-ins may come and go in any order."""
        self._watchers += 1
        if self._watchers == 1:
            self._patches.replace(pickle, "load", self._watched("pickle"))
            if "joblib" in sys.modules:
                self._patch_joblib(sys.modules["joblib"])
            else:
                wrapt.register_post_import_hook(self._patch_joblib, "joblib")

    def unwatch(self) -> None:
        """Put the original functions back when the last plug-in is off."""
        self._watchers -= 1
        if self._watchers == 0:
            self._patches.restore()

    def _patch_joblib(self, module: ModuleType) -> None:
        if self._watchers:
            self._patches.replace(module, "load", self._watched("joblib"))

    def _watched(self, module: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            def load(*args: Any, **kwargs: Any) -> Any:
                loaded = original(*args, **kwargs)
                self.remember(loaded, args[0] if args else next(iter(kwargs.values()), None))
                return loaded

            load.__module__ = (
                module  # where a pickle of the function finds it: the original's own place holds the original
            )
            return load

        return make

    def remember(self, loaded: object, source: object) -> None:
        """Remember that *loaded*, or the models in it, came from *source*: a path or an open file. Raises nothing."""
        try:
            models = _models_in(loaded)
            artifact = _artifact(source) if models else None
            if artifact is not None:
                for model in models:
                    self._lifetimes.watch(model)
                    self._known[id(model)] = artifact
        except Exception:  # noqa: BLE001 - foreign objects and files: the load has succeeded and must go on
            _LOG.debug("the file of a %s is not known", type(loaded).__qualname__, exc_info=True)

    def forget(self, model: object) -> None:
        """Forget where a model came from: it was fitted again and is another."""
        self._known.pop(id(model), None)

    def of(self, model: object) -> Artifact | None:
        """Return the file a model came from, None when it was not seen."""
        return self._known.get(id(model))


def artifact_version(model: object) -> Callable[[], str] | None:
    """Return a function for the version ``file-`` plus a digest of the file *model* was loaded from; None when no load was seen.

    The answer is empty when the file has changed since or is gone. It keeps nothing of the model.
    """
    artifact = ARTIFACTS.of(model)
    return None if artifact is None else functools.partial(_digest, artifact)


@functools.lru_cache(maxsize=64)
def _digest(artifact: Artifact) -> str:
    try:
        with Path(artifact.path).open("rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != artifact[1:]:
                return ""
            return f"file-{hashlib.file_digest(file, 'sha256').hexdigest()[:DIGITS]}"
    except OSError:
        return ""


def _artifact(source: Any) -> Artifact | None:
    path = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    if not isinstance(path, (str, os.PathLike)):
        return None
    status = os.fstat(source.fileno()) if hasattr(source, "fileno") else os.stat(path)  # noqa: PTH116 - takes any path
    return Artifact(os.path.abspath(path), status.st_size, status.st_mtime_ns)  # noqa: PTH100 - a load may be relative


def _models_in(loaded: object) -> list[object]:
    parts: Iterable[object] = (loaded,)
    if isinstance(loaded, Mapping):
        parts = loaded.values()
    elif isinstance(loaded, (list, tuple)):
        parts = loaded
    return [part for part in islice(parts, MOST_PARTS) if _predicts(part)]


def _predicts(value: object) -> bool:
    kind = type(value)  # attribute access may run the object's code
    return kind not in _PLAIN and any(hasattr(kind, name) for name in _PREDICTING)


ARTIFACTS = Artifacts()
