"""LitServe: sets the response header to the id of a prediction made by another process.

LitServe parses requests in one process and predicts in another, which it spawns. Both are observed by the plug-ins for
FastAPI and for the model's library, and a worker delivers its counts when it is terminated; but the prediction's id stays in the worker.
LitServe gives each request an id that is passed along with it and its response. This plug-in registers that id as an alias of the
prediction in the worker, and sets it as the ``x-prediction-id`` header in the server, so nothing is added to the messages between them.

A batch is one prediction for several requests, and labels belong to single ones: its requests get no id.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, ClassVar

import radiosonde
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._quiet import quiet
from radiosonde_integrations._requests import REQUEST

_NAMED: ContextVar[str] = ContextVar("radiosonde_litserve_named", default="")
"""Id of the prediction that was named last in this context: a request that predicts nothing must not name it again."""


class LitServeInstrumentor(ModelInstrumentor):
    """Names predictions of LitServe's workers by the ids of their requests."""

    requires: ClassVar[Sequence[str]] = ("litserve >= 0.2.11, < 0.3",)
    modules: ClassVar[Sequence[str]] = ("litserve.server", "litserve.loops.base")

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """See `ModelInstrumentor`."""
        if module.__name__ == "litserve.server":
            patches.replace(module.BaseRequestHandler, "_submit_request", _submitting)
        else:
            patches.replace(module.LitLoop, "put_response", _answering)


def _submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def submit(self: Any, *args: Any, **kwargs: Any) -> Any:
        submitted = await original(self, *args, **kwargs)
        _expect(self, submitted)
        return submitted

    return submit


@quiet(None)
def _expect(handler: Any, submitted: Any) -> None:
    """Let the request's header carry the id it was submitted under."""
    request = REQUEST.get()
    if request is not None and not _is_batched(handler.lit_api):
        request.elsewhere = [*request.elsewhere, submitted[0]]


def _answering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def put_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        _name(self, args, kwargs)
        return original(self, *args, **kwargs)

    return put_response


@quiet(None)
def _name(loop: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Register the request's id as an alias of its prediction, before the client receives it."""
    uid = kwargs["uid"] if "uid" in kwargs else args[2]
    last = radiosonde.current()
    if last.is_in_progress or last.id == _NAMED.get() or type(loop).__name__.startswith("Batched"):
        return
    _NAMED.set(last.id)
    last.alias(uid)


def _is_batched(lit_api: Any) -> bool:
    return bool(getattr(lit_api, "max_batch_size", 1) > 1)
