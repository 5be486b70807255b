"""The store or database that a command reads, and the declarations about its models.

A store that a command line does not name is the one of `RADIOSONDE_STORE`, or the key `store` of the configuration.
"""

from __future__ import annotations

import argparse
import getpass
import shlex
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde._settings.environment import in_force
from radiosonde.config import Configuration, locate, read
from radiosonde.diagnose import KnownBad, Mark, Policy
from radiosonde.errors import ConfigurationError
from radiosonde.model.names import checked_model
from radiosonde.sources import Address, ClickHouseAddress, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radiosonde.sources import StoredSource

_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1
HELP = "SQLite file, sealed folder, folder of both, or clickhouse://HOST/DATABASE (default: RADIOSONDE_STORE, or `store` of radiosonde.toml)"


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument STORE, which may be left out."""
    parser.add_argument("store", type=address, nargs="*", metavar="STORE", help=HELP)


def model_name(text: str) -> str:
    """Return the name that a model observed as *text* has in stores, for argparse: too long, reserved or unprintable ones are changed."""
    return checked_model(text)[0]


def address(text: str) -> Address:
    """Return the address that *text* is, for argparse. What it lacks of user and password is in ``CLICKHOUSE_USER`` and ``CLICKHOUSE_PASSWORD``.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return _found(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _found(text: str) -> Address:
    found = parse(text)
    if not isinstance(found, ClickHouseAddress):
        return found
    variables = in_force(None)
    user = found.user or variables.get("CLICKHOUSE_USER", "")
    return replace(
        found, user=user, password=found.password or (variables.get("CLICKHOUSE_PASSWORD", "") if user else "")
    )


def local(stores: Sequence[Address]) -> list[Path]:
    """Return the paths among *stores*; the working folder if there is none."""
    return [store for store in stores if isinstance(store, Path)] or [Path()]


def stores_of(given: Sequence[Address]) -> list[Address]:
    """Return the stores that a command line names, or the one that is declared.

    Raises:
        ConfigurationError: no store is named anywhere, or the configuration cannot be read.
    """
    if given:
        return list(given)
    variable = in_force(None).get("RADIOSONDE_STORE", "").strip()
    if variable:
        return [_found(variable)]
    path = locate([Path()])
    declared = read(path)[0].store if path is not None else ""
    if path is None or not declared:
        raise ConfigurationError(
            "no store is named: pass one, set RADIOSONDE_STORE, or declare `store` in radiosonde.toml"
        )
    found = _found(declared)
    return [path.absolute().parent / found if isinstance(found, Path) else found]


def policy_of(stores: Sequence[Address], source: StoredSource) -> Policy:
    """Return the declarations about the models in *stores*, from the configuration and from *source* itself.

    Raises:
        ConfigurationError: `RADIOSONDE_CONFIG` names no file, or the configuration cannot be read.
        StoreError: a store has become unreadable.
    """
    path = locate(local(stores))
    configuration, problems = (Configuration(), []) if path is None else read(path)
    return Policy(configuration, tuple(problems), tuple(exclusions(source)), tuple(marks(source)))


def exclusions(source: StoredSource) -> list[KnownBad]:
    """Return the intervals of *source* that people have excluded from baselines, those that are in force.

    Raises:
        StoreError: a store has become unreadable.
    """
    return [
        KnownBad(said.start_ns, said.end_ns, said.model, said.why, said.annotation_id)
        for said in source.annotations()
        if said.purpose == "exclude" and said.withdrawn_ns is None
    ]


def marks(source: StoredSource) -> list[Mark]:
    """Return the incidents of *source* that people have acknowledged or muted, those that are in force.

    Raises:
        StoreError: a store has become unreadable.
    """
    now = wall_ns()
    return [
        Mark(said.purpose, said.model, said.incident, said.identity, said.end_ns, said.why, said.author)
        for said in source.annotations()
        if said.purpose != "exclude" and said.withdrawn_ns is None and said.end_ns > now
    ]


def time_ns(text: str) -> int:
    """Return the nanoseconds since the Unix epoch of an ISO 8601 time, for argparse; UTC without a time zone.

    Raises:
        ArgumentTypeError: *text* is not a time, or one that no store can hold.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; write 2013-03-09, 2013-03-09T14:00 or 2013-03-09T14:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    at_ns = round(moment.timestamp()) * 10**9
    if not _FIRST_NS <= at_ns <= _LAST_NS:
        raise argparse.ArgumentTypeError(f"{text!r} is outside the supported years 1678 to 2261")
    return at_ns


def filled_in(paths: Sequence[Address], source: StoredSource) -> Callable[[str], str]:
    """Return a function that inserts the store's path into a command: the SQLite file for a query, else the user's argument."""
    ours = " ".join(shlex.quote(str(path)) for path in paths)
    files = (place.path for place in source.places if isinstance(place.path, Path) and place.path.is_file())
    database = next((shlex.quote(str(path)) for path in files), "STORE")

    def fill(command: str) -> str:
        return command.replace("STORE", ours if command.startswith("radiosonde") else database, 1)

    return fill


def author() -> str:
    """Return the name of the current user; ``""`` if the system has none."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return ""
