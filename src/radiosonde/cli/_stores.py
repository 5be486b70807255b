"""Which store a command reads, and what people have declared about the models in it.

A store that a command line does not name is the one of `RADIOSONDE_STORE`, or the key `store` of the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._settings.environment import in_force
from radiosonde.config import locate, read
from radiosonde.diagnose import Policy
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HELP = "SQLite file, sealed folder, or folder of both (default: RADIOSONDE_STORE, or `store` of radiosonde.toml)"


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument STORE, which may be left out."""
    parser.add_argument("store", type=Path, nargs="*", metavar="STORE", help=HELP)


def stores_of(given: Sequence[Path]) -> list[Path]:
    """Return the stores that a command line names, or the one that is declared.

    Raises:
        ConfigurationError: no store is named anywhere, or the configuration cannot be read.
    """
    if given:
        return list(given)
    variable = in_force(None).get("RADIOSONDE_STORE", "").strip()
    if variable:
        return [Path(variable)]
    path = locate([Path()])
    declared = read(path)[0].store if path is not None else ""
    if path is None or not declared:
        raise ConfigurationError(
            "no store is named: pass one, set RADIOSONDE_STORE, or declare `store` in radiosonde.toml"
        )
    return [path.absolute().parent / declared]


def policy_of(stores: Sequence[Path]) -> Policy:
    """Return what people have declared about the models in *stores*.

    Raises:
        ConfigurationError: `RADIOSONDE_CONFIG` names no file, or the configuration cannot be read.
    """
    path = locate(stores)
    if path is None:
        return Policy()
    configuration, problems = read(path)
    return Policy(configuration, tuple(problems))
