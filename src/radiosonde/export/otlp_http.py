"""HTTP for OTLP, by the standard library: one connection that is kept, TLS, proxies, and a deadline for the whole of a request.

``requests``, which OpenTelemetry's exporter uses, takes 7 MiB and half a second of a small machine's CPU; ``http.client`` a third of that,
and a host that serves or scrapes anything has loaded it. These features of ``requests`` are kept: the variables for proxies
(``HTTPS_PROXY``, ``NO_PROXY`` and so on), authorities from `certifi` beside the system's, a name and password in the address.
Nothing is read from ``.netrc``.

A connection that was kept may have been closed by the other side: the request is then sent once more, on a new one. If the host has closed its
descriptor, it is not used (`radiosonde._descriptors`): the number may belong to a socket of the host's.
"""

from __future__ import annotations

import io
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, InvalidURL
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from radiosonde._clock import NS, monotonic_ns
from radiosonde._descriptors import Descriptor
from radiosonde._settings import Destination
from radiosonde._version import __version__
from radiosonde.export.otlp_sender import Reply

_LEAST_S = 0.001
"""A socket without any time left would not block, which is another error than being late."""


class HttpTransport:
    """Posts to one address. For one thread at a time.

    Args:
        destination: the address, certificates, and whether there may be a proxy.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._connection: HTTPConnection | None = None
        self._socket: Descriptor | None = None
        self._tls: ssl.SSLContext | None = None

    def post(self, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> Reply:
        """Send *body* and return the answer. See `radiosonde.export.otlp_sender.Transport`."""
        if self._is_lost:
            self.close()
        was_kept = self._connection is not None
        try:
            return self._post(body, headers, deadline_ns)
        except (OSError, HTTPException) as error:
            self.close()
            if isinstance(error, InvalidURL):  # a ValueError, too
                raise ValueError(f"not an address to send to: {error}") from error
            if not was_kept:
                raise _as_os_error(error) from error
        try:
            return self._post(body, headers, deadline_ns)
        except (OSError, HTTPException) as error:
            self.close()
            raise _as_os_error(error) from error

    def _post(self, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> Reply:
        address = _address(self._destination.endpoint)
        proxy = _proxy(address) if self._destination.may_have_proxy else None
        connection = self._connection or self._connect(address, proxy)
        self._connection = connection
        left_s = _left_s(deadline_ns)
        connection.timeout = left_s
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        connection.response_class = partial(_TimedResponse, deadline_ns)  # type: ignore[assignment]
        target, sent = (
            _target(address),
            {"user-agent": f"radiosonde/{__version__}", **_authorization(address), **headers},
        )
        if proxy is not None and address.scheme == "http":  # https goes through a tunnel
            target = f"http://{address.netloc.rpartition('@')[2]}{target}"
            sent |= _authorization(proxy, "proxy-authorization")
        if connection.sock is None:
            self._socket = _connected(connection)
        connection.request("POST", target, body, sent)
        response = connection.getresponse()

        def end(is_whole: bool) -> None:  # noqa: FBT001 - see `Reply`
            response.close()
            if not is_whole or response.will_close:
                self.close()

        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read1, end)

    def _connect(self, address: SplitResult, proxy: SplitResult | None) -> HTTPConnection:
        at = proxy or address
        host, port = at.hostname or "", at.port or (443 if at.scheme == "https" else 80)
        if proxy is None or address.scheme == "http":
            return (
                HTTPSConnection(host, port, context=self._context())
                if at.scheme == "https"
                else HTTPConnection(host, port)
            )
        if proxy.scheme != "http":
            raise ValueError(f"a proxy of {proxy.scheme} cannot carry TLS; name one of http")
        connection = HTTPSConnection(host, port, context=self._context())
        connection.set_tunnel(address.hostname or "", address.port or 443, _authorization(proxy, "Proxy-Authorization"))
        return connection

    def _context(self) -> ssl.SSLContext:
        """Return the TLS context: trusted authorities and the client certificate.

        Raises:
            ValueError: a file of certificates cannot be used.
        """
        if self._tls is None:
            try:
                self._tls = _tls(self._destination)
            except OSError as error:
                raise ValueError(
                    f"a certificate cannot be used ({error}); see OTEL_EXPORTER_OTLP_CERTIFICATE"
                ) from error
        return self._tls

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None and self._is_lost and connection.sock is not None:
            connection.sock.detach()
            connection.sock = None
        self._socket = None
        if connection is not None:
            connection.close()

    @property
    def _is_lost(self) -> bool:
        """Whether the host has closed the connection's descriptor."""
        return self._socket is not None and not self._socket.is_open


def _connected(connection: HTTPConnection) -> Descriptor:
    connection.connect()
    return Descriptor(connection.sock.fileno())


class _TimedResponse(HTTPResponse):
    """An answer all of which, the status and the headers too, comes before a deadline or not at all."""

    def __init__(self, deadline_ns: int, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach(), deadline_ns))


class _Timed(io.RawIOBase):
    """Reads from a socket until a deadline, however the bytes trickle."""

    def __init__(self, sock: Any, raw: io.RawIOBase, deadline_ns: int) -> None:
        self._sock, self._raw, self._deadline_ns = sock, raw, deadline_ns

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left_s(self._deadline_ns))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left_s(deadline_ns: int) -> float:
    """Return the seconds left.

    Raises:
        TimeoutError: there are none.
    """
    left_s = (deadline_ns - monotonic_ns()) / NS
    if left_s <= 0:
        raise TimeoutError("it did not answer in time")
    return max(left_s, _LEAST_S)


def _address(endpoint: str) -> SplitResult:
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f"{endpoint} is not an address that begins with http:// or https://")
    return address


def _target(address: SplitResult) -> str:
    path = quote(address.path or "/", safe="/%:@!$&'()*+,;=~")
    return f"{path}?{quote(address.query, safe='/%:@!$&()*+,;=~?')}" if address.query else path


def _authorization(address: SplitResult, name: str = "authorization") -> dict[str, str]:
    if address.username is None:
        return {}
    pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return {name: "Basic " + b64encode(pair.encode()).decode("ascii")}


def _proxy(address: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment or the system names for *address*."""
    from urllib.request import getproxies, proxy_bypass

    named = getproxies()
    proxy = named.get(address.scheme) or named.get("all")
    if not proxy or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError(f"a proxy of {found.scheme or 'no'} scheme is not supported; name one of http")
    return found


def _tls(destination: Destination) -> ssl.SSLContext:
    named = destination.certificate
    if named is None:
        context = ssl.create_default_context()
        with suppress(ImportError):  # slim containers have certifi's authorities only
            import certifi

            context.load_verify_locations(certifi.where())
    elif Path(named).is_dir():
        context = ssl.create_default_context(capath=named)
    else:
        context = ssl.create_default_context(cafile=named)
    if destination.client_certificate is not None:
        context.load_cert_chain(destination.client_certificate, destination.client_key)
    return context


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else ConnectionError(f"{type(error).__name__}: {error}")
