"""Where windows lie: the path of a store or of a folder, or the address of a ClickHouse database.

`parse` reads either from text. A path stays a `Path`; only text that begins with ``clickhouse://`` is an address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from radiosonde.errors import ConfigurationError

SCHEME = "clickhouse://"
_FORM = "clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?secure=true]"
_SECURE = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """A database with the tables of OpenTelemetry's exporter, behind ClickHouse's HTTP interface.

    Attributes:
        host: name or number.
        port: of the HTTP interface.
        database: with table ``otel_logs``.
        user: ``""`` for ClickHouse's default user.
        password: never shown.
        secure: whether to connect by TLS.
    """

    host: str
    port: int
    database: str
    user: str = ""
    password: str = field(default="", repr=False)
    secure: bool = False

    @property
    def url(self) -> str:
        """The address of the HTTP interface."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}/"

    @property
    def name(self) -> str:
        """The database, as the title of a report."""
        return self.database

    def absolute(self) -> ClickHouseAddress:
        """Return the same: it means the same in every folder."""
        return self

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{SCHEME}{user}{host}:{self.port}/{self.database}{'?secure=true' if self.secure else ''}"


Address: TypeAlias = Path | ClickHouseAddress


def parse(text: str) -> Address:
    """Return the address that *text* is.

    Raises:
        ConfigurationError: it begins as the address of a database, and is none.
    """
    if not text.startswith(SCHEME):
        return Path(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"the address of ClickHouse cannot be read ({error}); write {_FORM}") from None
    options = parse_qs(parts.query, keep_blank_values=True)
    secure = _SECURE.get(options.pop("secure", ["false"])[-1].lower())
    database = unquote(parts.path).strip("/")
    if not parts.hostname or not database or "/" in database or options or secure is None:
        shown = text.replace(f":{parts.password}@", ":***@") if parts.password else text
        raise ConfigurationError(f"{shown!r} is not the address of a ClickHouse database; write {_FORM}")
    return ClickHouseAddress(
        parts.hostname,
        port or (8443 if secure else 8123),
        database,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        secure,
    )
