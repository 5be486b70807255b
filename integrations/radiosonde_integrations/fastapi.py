"""FastAPI and Starlette: every request observed, beside OpenTelemetry's own instrumentation or without it.

``radiosonde.instrument_app(app, ...)`` adds a middleware to one application; under ``opentelemetry-instrument`` (or
`FastAPIInstrumentor().instrument()`) every application made from then on gets one. Ours stands inside OpenTelemetry's,
so the server's span is the current one, and outside the user's, so that their exceptions are seen.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

import radiosonde
from radiosonde_integrations._asgi import RequestMiddleware, watching
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._mounts import mount_asgi
from radiosonde_integrations._options import ID_HEADER, RequestOptions
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._requests import REQUEST, now_ns
from radiosonde_integrations._threads import carry_requests

_HOOKS = Patches()
"""Patches that report endpoints to requests; no-ops outside an observed request, so they may stay."""


class FastAPIInstrumentor(ModelInstrumentor):
    """Observes the requests of every FastAPI or Starlette application that is made after `instrument`."""

    requires: ClassVar[Sequence[str]] = ("starlette >= 0.36",)
    modules: ClassVar[Sequence[str]] = (
        "starlette.applications",
        "starlette.routing",
        "starlette.middleware.base",
        "fastapi.routing",
        "fastapi.applications",
    )

    def _instrument(self, **kwargs: Any) -> None:
        self._options = RequestOptions(kwargs.get("cohorts"), kwargs.get("id_header", ID_HEADER))
        super()._instrument(**kwargs)
        carry_requests(self._patches)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """See `ModelInstrumentor`."""
        if module.__name__ == "starlette.applications":
            patches.replace(module.Starlette, "build_middleware_stack", self._with_middleware)
        elif module.__name__ == "fastapi.applications":
            # FastAPI overrides the method without calling its base's.
            patches.replace(module.FastAPI, "build_middleware_stack", self._with_middleware)
        elif module.__name__ == "starlette.middleware.base":
            _watch(module, patches)
        else:
            _hook(module, patches, self._options)

    def _with_middleware(self, build: Callable[[Any], Any]) -> Callable[[Any], Any]:
        options = self._options

        @functools.wraps(build)
        def build_observed(app: Any) -> Any:
            if not any(each.cls is RequestMiddleware for each in app.user_middleware):
                # Not through add_middleware, which refuses once a stack is being built.
                app.user_middleware.insert(0, _middleware(options))
            return build(app)

        return build_observed


def instrument_app(
    app: Any,
    *,
    cohorts: Mapping[str, str] | None = None,
    id_header: str | None = ID_HEADER,
    receipt_header: str | None = None,
    labels_token: str | None = None,
    metrics_path: str | None = None,
) -> None:
    """Observe the requests of one FastAPI or Starlette application; see `radiosonde.instrument_app`.

    Raises:
        ConfigurationError: the application has served requests already, or an option is wrong.
    """
    options = RequestOptions(cohorts, id_header, receipt_header)
    if app.middleware_stack is not None:
        raise radiosonde.errors.ConfigurationError(
            "the application has served requests already; call instrument_app where it is made, before it starts"
        )
    app.user_middleware[:] = [each for each in app.user_middleware if each.cls is not RequestMiddleware]
    app.user_middleware.insert(0, _middleware(options))
    mount_asgi(app, labels_token, metrics_path)
    import starlette.middleware.base
    import starlette.routing

    _watch(starlette.middleware.base, _HOOKS)
    _hook(starlette.routing, _HOOKS, options)
    # For any class of the application: OpenTelemetry's instrumentation subclasses it, and any may be mounted.
    if "fastapi.routing" in sys.modules:
        _hook(sys.modules["fastapi.routing"], _HOOKS, options)
    carry_requests(_HOOKS)


def _middleware(options: RequestOptions) -> Any:
    from starlette.middleware import Middleware

    return Middleware(RequestMiddleware, options=options)


def _watch(module: ModuleType, patches: Patches) -> None:
    """Wrap applications inside a ``BaseHTTPMiddleware``, to detect responses that they break off."""
    patches.replace(module.BaseHTTPMiddleware, "__init__", _watching)


def _watching(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def init_watching(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        init(self, watching(app), *args, **kwargs)

    return init_watching


def _hook(module: ModuleType, patches: Patches, options: RequestOptions) -> None:
    """Report to requests the start of their endpoint's own code, and their route if it is needed or not reported otherwise."""
    if module.__name__ == "starlette.routing":
        # Newer routers set the route in the scope themselves; so does FastAPI. Setting it earlier costs a call per request.
        if options.of_path or "route" not in module.Router.app.__code__.co_consts:
            patches.replace(module.Route, "handle", _routing)
    else:
        if options.of_path:
            patches.replace(module.APIRoute, "handle", _routing)  # its own since 0.137, which does not call its base's
        patches.replace(module, "run_endpoint_function", _beginning)


def _routing(handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_observed(self: Any, scope: Any, receive: Any, send: Any) -> Any:  # no coroutine: each layer costs
        request = REQUEST.get()
        if request is not None:
            included = (scope.get("fastapi") or {}).get("effective_route_context")
            request.route = getattr(included or self, "path", None)
            if request.options.of_path:
                request.in_path(scope.get("path_params") or {})
        return handle(self, scope, receive, send)

    return handle_observed


def _beginning(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def run_observed(*args: Any, **kwargs: Any) -> Any:
        request = REQUEST.get()
        if request is not None and not request.endpoint_ns:
            request.endpoint_ns = now_ns()
        return run(*args, **kwargs)

    return run_observed
