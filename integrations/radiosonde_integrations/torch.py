"""PyTorch: calls of `nn.Module` in eval mode; the outermost module, or those that the user names.

* Training is not prediction. With gradients enabled, neither are parts of a trained module that are frozen in eval mode. A
  call inside another one costs one context variable, and code that is being compiled, traced or exported is not observed.
  ``module.forward`` called directly bypasses the patch, and then its layers are the outermost.
* Only plain tensors on the CPU are read: devices are not synchronized, and their calls count with the batch size. Tensors are detached and
  copied at once, so no autograd graph lives longer.
* Features: the one argument, if it is a matrix of floats (or a vector: one row). Images, tokens and several arguments are
  not read.
* Outputs: see `radiosonde_integrations._tensors`: probabilities are classes, scores are nothing until ``rs.tag(module,
  task="classification")`` says that they are logits, and a single column is a value.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import radiosonde
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Arguments, Description, Keywords, Method
from radiosonde_integrations._observing import INSIDE, OBSERVERS, observed_method
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._tensors import Answers, as_features, batch_of
from radiosonde_integrations._versions import DIGITS

SAMPLED = 65_536
"""Elements of a tensor that its digest reads, evenly spread: training moves nearly all of them, and reading the 28 GB of
a large network would keep the consumer from its ring for half a minute."""

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
_REPLICATING = frozenset({"DataParallel", "DistributedDataParallel"})
"""Wrappers that stay in training mode regardless of the wrapped module."""


class TorchInstrumentor(ModelInstrumentor):
    """Observes modules.

    `instrument` takes *modules*: objects or classes to observe, in any caller; default: the
    outermost ones.
    """

    requires = ("torch >= 2.6, < 3",)
    modules = ("torch",)  # not the module with the class: references that torch keeps while importing must be originals

    def _instrument(self, **kwargs: Any) -> None:
        named: Iterable[Any] | None = kwargs.get("modules")
        self._named = None if named is None else _Identities(named)
        super()._instrument(**kwargs)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch the class that all modules are."""
        patches.replace(module.nn.Module, "__call__", _observed_call(module, self._named))
        # Both also call the captured module, and not all of those calls are recognizable as such.
        patches.replace(module.jit, "trace", _quiet)
        patches.replace(module.export, "export", _quiet)


class _Identities:
    """Objects by identity, as long as they live."""

    def __init__(self, named: Iterable[Any]) -> None:
        self._known: dict[int, weakref.ref[Any]] = {}
        for each in named:
            self._known[id(each)] = weakref.ref(each, functools.partial(self._forget, id(each)))

    def _forget(self, identity: int, gone: object) -> None:
        self._known.pop(identity, None)

    def __contains__(self, module: object) -> bool:
        return id(module) in self._known or id(type(module)) in self._known


def _observed_call(torch: ModuleType, named: _Identities | None) -> Callable[[Any], Any]:
    is_compiling, is_tracing, grads = torch.compiler.is_compiling, torch.jit.is_tracing, torch.is_grad_enabled
    is_inside = INSIDE.get

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        observed = observed_method(CALL)(original)

        # Positional only, as in torch: a module may have a parameter of any name.
        @functools.wraps(original)
        def __call__(self: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - tracebacks show it as torch's own
            try:
                is_training = self.training
            except AttributeError:  # a frozen script has none
                is_training = False
            if is_compiling() or is_inside():
                return original(self, *args, **kwargs)
            # A module in training may have parts that are frozen in eval mode; these are not predictions.
            if is_training and named is None and grads() and type(self).__name__ not in _REPLICATING:
                return OBSERVERS.quietly(original, (self, *args), kwargs)
            if is_training or (named is not None and self not in named) or is_tracing():
                return original(self, *args, **kwargs)
            return observed(self, *args, **kwargs)

        _as_torchs(__call__, original)
        __call__.__qualname__ = "Module.__call__"  # torch's own is called by another of its names, and pickled by that
        return __call__

    return make


def _as_torchs(function: Any, original: Any) -> None:
    """Let the compiler begin inside of *function*, as it does with the *original*, by whose file it is known to it.

    It caches compilations by the code of the outermost function, eight versions each: all compiled modules of a process would share the
    wrapper's. To name the function to it takes an import of `torch._dynamo`, which is long.
    """
    at = original.__code__
    function.__code__ = function.__code__.replace(co_filename=at.co_filename, co_firstlineno=at.co_firstlineno)


def _quiet(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def quietly(*args: Any, **kwargs: Any) -> Any:
        token = INSIDE.set(True)
        try:
            return original(*args, **kwargs)
        finally:
            INSIDE.reset(token)

    return quietly


def describe(module: Any) -> Description:
    """Describe a module."""
    inner = _unwrapped(module)
    tag = radiosonde.tag(inner)
    answers = Answers(radiosonde.tag(module).task or tag.task)
    version = tag.version or getattr(inner, "version", None) or getattr(inner, "__version__", None)
    known = weakref.ref(inner)
    return Description(
        name=tag.name or getattr(inner, "original_name", None) or type(inner).__name__,
        version=str(version) if isinstance(version, (str, int, float)) else lambda: state_digest(known()),
        features=tag.features or tuple(getattr(inner, "feature_names_in_", ())),
        classes=tag.classes or (),
        output=lambda result: answers.read(_tensors_of(result)),
    )


def _unwrapped(module: Any) -> Any:
    """Return the module inside of `torch.compile`'s and of those for several devices."""
    inner = _WRAPPERS.get(type(module).__name__, "")
    return _unwrapped(getattr(module, inner)) if hasattr(module, inner) else module


def state_digest(module: Any) -> str:
    """Return ``params-`` and a digest of a module's state; empty where the state is not on the CPU."""
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    state = {} if module is None else module.state_dict()
    for name, tensor in sorted(state.items()):
        if not hasattr(tensor, "detach"):
            continue
        if tensor.device.type != "cpu" or tensor.is_quantized:
            return ""
        digest.update(f"{name}:{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, flat.shape[0] // SAMPLED)].contiguous()
        digest.update(sample.view(_bytes_type()).numpy().data if flat.shape[0] else b"")
    return f"params-{digest.hexdigest()}" if state else ""


def _bytes_type() -> Any:
    return sys.modules["torch"].uint8


def _array(tensor: Any) -> Any:
    """Return a plain tensor on the CPU as an array, a view of it; None for everything else."""
    if type(tensor).__module__ not in ("torch", "torch.nn.parameter") or not hasattr(tensor, "layout"):
        return None  # subclasses differ: fake tensors have no values, distributed ones a part
    if tensor.device.type != "cpu" or str(tensor.layout) != "torch.strided" or tensor.is_quantized:
        return None
    tensor = tensor.detach()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "shape")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _features(args: Arguments, kwargs: Keywords) -> object:
    values = [*args, *kwargs.values()]
    tensors = [value for value in values if _is_tensor(value)]
    if not tensors:  # a dictionary, a list or a named tuple of them has the batch size
        held = (part for value in values for part in _parts(value) if _is_tensor(part) and part.ndim)
        first = next(held, None)
        return batch_of(1 if first is None else first.shape[0])
    array = _array(tensors[0]) if len(values) == 1 and tensors[0].ndim in (1, 2) else None
    if array is not None:
        return as_features(array.reshape(1, -1) if array.ndim == 1 else array)
    return batch_of(tensors[0].shape[0] if tensors[0].ndim else 1)


def _tensors_of(result: Any) -> Sequence[Any]:
    """Return the relevant tensors of a result: its logits if it has some, else its first tensor."""
    if isinstance(result, Mapping):
        result = result.get("logits", next(iter(result.values()), None))
    elif hasattr(result, "logits"):
        result = result.logits
    elif isinstance(result, (tuple, list)):
        result = result[0] if result else None
    array = _array(result)
    return () if array is None else (array.reshape(1) if array.ndim == 0 else array,)


CALL = Method("__call__", describe, input=_features)
