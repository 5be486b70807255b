"""Serves labels and metrics beside the routes of an application."""

from __future__ import annotations

from typing import Any

import radiosonde
from radiosonde_integrations._requests import REQUEST

PREFIX = "/radiosonde"
"""Labels are taken at ``POST /radiosonde/labels``."""


def mount_asgi(app: Any, labels_token: str | None, metrics_path: str | None) -> None:
    """Add the routes to a Starlette application, before its own, so that no catch-all takes them."""
    if metrics_path is not None:
        import prometheus_client
        from starlette.routing import Mount

        app.router.routes.insert(0, Mount(metrics_path, app=_Unrecorded(prometheus_client.make_asgi_app())))
    if labels_token is not None:
        from starlette.routing import Mount

        app.router.routes.insert(0, Mount(PREFIX, app=_Unrecorded(radiosonde.label_app(labels_token))))


class _Unrecorded:
    """An ASGI application whose requests are no requests to the model server."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = REQUEST.get()
        if request is not None:
            request.drop()
        await self._app(scope, receive, send)


def mount_wsgi(app: Any, labels_token: str | None, metrics_path: str | None) -> None:
    """Add the routes to a Flask application."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    mounts: dict[str, Any] = {}
    if metrics_path is not None:
        import prometheus_client

        mounts[metrics_path.rstrip("/")] = prometheus_client.make_wsgi_app()
    if labels_token is not None:
        mounts[PREFIX] = radiosonde.label_app(labels_token).wsgi
    if mounts:
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounts)
