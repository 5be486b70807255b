"""OTLP through a session of ``requests`` that a credential provider makes: OpenTelemetry's plug-ins for backends that want tokens.

``OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER`` (or that of a signal) names an entry point of the group
``opentelemetry_otlp_credential_provider``. ``requests`` is loaded only if one is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radiosonde._clock import NS, monotonic_ns
from radiosonde._settings import Destination
from radiosonde.export.otlp_sender import Reply

_GROUP = "opentelemetry_otlp_credential_provider"


class SessionTransport:
    """Posts to one address with a given session. See `radiosonde.export.otlp_sender.Transport`."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._session: Any = None

    def post(self, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> Reply:
        """Send *body* and return the answer."""
        session = self._session = self._session or self._make()
        response = session.post(
            self._destination.endpoint,
            data=body,
            headers=dict(headers),
            timeout=max(0.001, (deadline_ns - monotonic_ns()) / NS),
            allow_redirects=False,
            stream=True,
        )
        raw = response.raw
        read = getattr(raw, "read1", raw.read)  # at most one wait for the network

        def end(is_whole: bool) -> None:  # noqa: FBT001 - see `Reply`
            if not is_whole:
                response.close()

        found = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, found, lambda most: read(most, decode_content=False), end)

    def _make(self) -> Any:
        from importlib.metadata import entry_points

        name = self._destination.credential_provider
        found = list(entry_points(group=_GROUP, name=name or ""))
        if not found:
            raise ValueError(f"no package offers the credential provider {name!r}; install it, or correct the variable")
        session = found[0].load()()
        session.verify = self._destination.certificate or True
        if self._destination.client_certificate is not None:
            key = self._destination.client_key
            session.cert = (self._destination.client_certificate, key) if key else self._destination.client_certificate
        return session

    def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
