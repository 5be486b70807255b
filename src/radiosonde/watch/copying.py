"""Watching databases: the copies of their windows, kept up before each diagnosis, and where they lie.

Two watches of one database on one machine and account share a copy, and with it the lease and the incidents: its default path follows from the
address of the database.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from radiosonde._clock import NS, monotonic_ns
from radiosonde.errors import ConfigurationError
from radiosonde.sources import Address, ClickHouseAddress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radiosonde.sources.database_copy import DatabaseCopy
    from radiosonde.watch.looking import Look, Looker

ASK_EVERY_S = 10.0
"""Shortest time between two questions to a database."""


def databases_of(stores: Sequence[Address]) -> list[ClickHouseAddress]:
    """Return the databases among *stores*."""
    return [each for each in stores if isinstance(each, ClickHouseAddress)]


def local_paths(stores: Sequence[Address]) -> list[Path]:
    """Return the files and folders among *stores*."""
    return [each for each in stores if isinstance(each, Path)]


def default_copy(address: ClickHouseAddress, variables: Mapping[str, str]) -> Path:
    """Return the path of the copy of a database for this account; its folder is made.

    Args:
        address: of the database.
        variables: of the environment.

    Raises:
        ConfigurationError: the folder cannot be made.
    """
    base = variables.get("XDG_STATE_HOME", "")
    name = quote(f"{address.host}-{address.port}-{address.database}", safe="")
    try:
        folder = (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "radiosonde"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        raise ConfigurationError(
            f"no place for the state of a watch of {address} ({error}); set XDG_STATE_HOME, or pass --state FILE"
        ) from error
    return folder / f"watch-{name}.sqlite"


class CopyingLooker:
    """Keeps copies up, and diagnoses them.

    Args:
        looker: diagnoses the stores that the copies are in.
        copies: the copies.
        every_s: shortest time between two diagnoses.
    """

    def __init__(self, looker: Looker, copies: Sequence[DatabaseCopy], every_s: float) -> None:
        self._looker, self._copies = looker, list(copies)
        self._pause_ns = round(min(ASK_EVERY_S, every_s) * NS)
        self._asked_ns: int | None = None  # monotonic, of the last time that went well

    def has_grown(self, now_ns: int) -> bool:
        """Return whether there is new data.

        Raises:
            StoreError: a database cannot be read, or a copy not be written.
        """
        self._refresh(now_ns)
        return self._looker.has_grown(now_ns)

    def look(self, now_ns: int) -> Look:
        """Diagnose what the databases hold by now.

        Raises:
            StoreError: a database cannot be read, or a copy not be written.
            ConfigurationError: the configuration cannot be read.
        """
        self._refresh(now_ns)
        return self._looker.look(now_ns)

    def _refresh(self, now_ns: int) -> None:
        if self._asked_ns is not None and monotonic_ns() - self._asked_ns < self._pause_ns:
            return
        self._asked_ns = None
        for copy in self._copies:
            copy.refresh(now_ns)
        self._asked_ns = monotonic_ns()
