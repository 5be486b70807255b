"""Flask: every request observed, beside OpenTelemetry's own instrumentation or without it.

A WSGI wrapper holds a request's scopes and its clock; the application's own hooks report the route, and add response headers while the
server's span is still the current one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._mounts import mount_wsgi
from radiosonde_integrations._options import ID_HEADER, RequestOptions
from radiosonde_integrations._patching import Patches
from radiosonde_integrations._requests import DISCONNECTED, REQUEST, ObservedRequest, now_ns
from radiosonde_integrations._threads import carry_requests

_HOOKS = Patches()
_MARK = "radiosonde"
"""Key in ``app.extensions``: this application is observed already."""

_NAME = "radiosonde.name"
"""Key in a request's environment: its route; the request is being observed."""


class FlaskInstrumentor(ModelInstrumentor):
    """Observes the requests of every Flask application that is made after `instrument`."""

    requires: ClassVar[Sequence[str]] = ("flask >= 2.3",)
    modules: ClassVar[Sequence[str]] = ("flask.app",)

    def _instrument(self, **kwargs: Any) -> None:
        self._options = RequestOptions(kwargs.get("cohorts"), kwargs.get("id_header", ID_HEADER))
        super()._instrument(**kwargs)
        carry_requests(self._patches)

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """See `ModelInstrumentor`."""
        patches.replace(module.Flask, "__init__", self._with_hooks)

    def _with_hooks(self, init: Callable[..., None]) -> Callable[..., None]:
        options = self._options

        @functools.wraps(init)
        def init_observed(app: Any, *args: Any, **kwargs: Any) -> None:
            init(app, *args, **kwargs)
            _observe(app, options)

        return init_observed


def instrument_app(
    app: Any,
    *,
    cohorts: Mapping[str, str] | None = None,
    id_header: str | None = ID_HEADER,
    receipt_header: str | None = None,
    labels_token: str | None = None,
    metrics_path: str | None = None,
) -> None:
    """Observe the requests of one Flask application; see `radiosonde.instrument_app`.

    Raises:
        ConfigurationError: an option is wrong.
    """
    _observe(app, RequestOptions(cohorts, id_header, receipt_header))
    mount_wsgi(app, labels_token, metrics_path)
    carry_requests(_HOOKS)


def _observe(app: Any, options: RequestOptions) -> None:
    known = app.extensions.get(_MARK)
    app.extensions[_MARK] = options
    if known is not None:  # the hooks are there; they read the options of the moment
        return
    app.wsgi_app = _observed_wsgi(app, app.wsgi_app)
    app.before_request(_routed)
    app.after_request(_respond)


def _observed_wsgi(app: Any, inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    @functools.wraps(inner)
    def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        options = app.extensions[_MARK]
        if _NAME in environ:
            return inner(environ, start_response)
        # Read now: the environment holds the request's body and connection, and would live until the request is recorded.
        headers = {name: environ[key] for name in options.wanted if (key := _key_of(name)) in environ}
        request = ObservedRequest(options, headers.copy, environ.get("QUERY_STRING", ""))
        if not request.is_begun:
            return inner(environ, start_response)
        environ[_NAME] = "(no route)"
        status = 0

        def start_observed(line: str, *args: Any, **kwargs: Any) -> Any:
            nonlocal status
            status = int(line.split(" ", 1)[0])
            return start_response(line, *args, **kwargs)

        def end(error: BaseException | str | None) -> None:
            request.end(environ["REQUEST_METHOD"], environ[_NAME], error or status)
            request.leave()

        try:
            body = inner(environ, start_observed)
            if environ[_NAME] is None:
                request.drop()
        except BaseException as error:
            end(error)
            raise
        return _Body(body, end)

    return wsgi_app


@functools.cache
def _key_of(name: str) -> str:
    """Return the key of a header in a request's environment."""
    return f"HTTP_{name.upper().replace('-', '_')}"


class _Body:
    """A response's body: the request ends when it was sent, or closed."""

    def __init__(self, body: Iterable[bytes], end: Callable[[BaseException | str | None], None]) -> None:
        self._body, self._end = body, end
        self._is_over = self._is_begun = False

    def __iter__(self) -> Iterator[bytes]:
        self._is_begun = True
        try:
            yield from self._body
        except GeneratorExit:
            self._over(DISCONNECTED)
            raise
        except BaseException as error:
            self._over(error)
            raise
        # Servers call `close`, as WSGI demands; where none does, the end of the body is the end.
        self._over(None)

    def close(self) -> None:
        """See PEP 3333."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            # A server that begins a body takes all of it, unless the client has disconnected. One that does not begin it had
            # nothing to send: the answer to a HEAD.
            self._over(DISCONNECTED if self._is_begun else None)

    def _over(self, error: BaseException | str | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._end(error)


def _routed() -> None:
    import flask

    request, observed = flask.request, REQUEST.get()
    if observed is None:
        return
    view = flask.current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "__module__", "").startswith("flask."):
        request.environ[_NAME] = None  # a static file, which the framework answers and no model
    elif request.url_rule is not None:
        request.environ[_NAME] = f"{request.root_path.rstrip('/')}{request.url_rule.rule}"
    if observed.options.of_path:
        observed.in_path(request.view_args or {})
    observed.endpoint_ns = observed.endpoint_ns or now_ns()


def _respond(response: Any) -> Any:
    observed = REQUEST.get()
    if observed is not None:
        for name, value in observed.response_headers():
            response.headers[name] = value
    return response
