"""Resolves ``module:function``, bare and observed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde._api.surface import SURFACE
from radiosonde._record.recorder import Recorder
from radiosonde.errors import ConfigurationError
from radiosonde.reference.profile import Reference


class Target(NamedTuple):
    """The target of a measurement.

    Attributes:
        bare: the function without Radiosonde.
        observed: the function with it.
        model: the model name that its calls count under.
        reference: its reference profile; None: it has none.
        owner: the object that it is a method of; None for a function.
    """

    bare: Callable[..., Any]
    observed: Callable[..., Any]
    model: str
    reference: Reference | None
    owner: object | None


def load(name: str, reference: Reference | None = None) -> Target:
    """Import ``module:function`` (or ``file.py:function``, or ``module:object.method``) and return it bare and observed.

    A function that the user's code observes already keeps its options; any other is observed as it is.

    Args:
        name: what to import; the current folder is looked in first.
        reference: reference profile of a function that is not observed yet.

    Raises:
        ConfigurationError: there is no such module or function, or it cannot be imported.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise ConfigurationError(f"{name!r} names no function; give module:function, as in model:predict")
    found: Any = _module(module)
    owner: Any = None
    for part in path.split("."):
        owner = found
        try:
            found = getattr(found, part)
        except AttributeError:
            there = (
                ", ".join(sorted(other for other in vars(found) if not other.startswith("_"))[:20])
                if hasattr(found, "__dict__")
                else ""
            )
            raise ConfigurationError(f"{module} has no {path!r}; it has: {there or 'nothing'}") from None
    if not callable(found):
        raise ConfigurationError(
            f"{name} is a {type(found).__name__}, which cannot be called; name its method, as in {name}.predict"
        )
    owner = None if inspect.ismodule(owner) or inspect.isclass(owner) else owner
    recorder = _recorder(found)
    if recorder is not None:
        bare = found.__wrapped__
        if (receiver := getattr(found, "__self__", None)) is not None:
            bare = types.MethodType(bare, receiver)
        observed = recorder.observed
        return Target(bare, found, str(recorder.name), observed.reference or reference, owner)
    model = path.rpartition(".")[2]
    observed = SURFACE.observe(model, reference=reference, input=_features(found))(found)
    return Target(found, observed, model, reference, owner)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function that have a name, with their annotations where they can be evaluated."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except (ValueError, TypeError, NameError):
        try:
            signature = inspect.signature(function)
        except (ValueError, TypeError):
            return [inspect.Parameter("features", inspect.Parameter.POSITIONAL_ONLY)]
    return [each for each in signature.parameters.values() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]


def _features(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the value of ``input=``: all arguments by name, if each is a feature; None: the first argument holds them."""
    own = [each for each in parameters(function) if each.default is each.empty]
    if len(own) < 2 and not (own and own[0].annotation in (int, float, bool, str)):
        return None
    names = [each.name for each in own]
    return lambda *args, **kwargs: {**dict(zip(names, args, strict=False)), **kwargs}


def _module(name: str) -> Any:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    path = Path(name)
    try:
        if path.suffix == ".py":
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise ConfigurationError(f"there is no file {name}")
            module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"cannot import {name}: {error}; run in the folder that holds it, or give its path"
        ) from error


def _recorder(function: Any) -> Recorder | None:
    """Return the recorder of a function that is observed already."""
    plain = getattr(function, "__func__", function)
    for cell in getattr(plain, "__closure__", None) or ():
        try:
            content = cell.cell_contents
        except ValueError:  # empty
            continue
        if isinstance(content, Recorder):
            return content
    return None
