"""Finds the configuration: the file that `RADIOSONDE_CONFIG` names, or `radiosonde.toml` beside the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from radiosonde._settings.environment import in_force
from radiosonde.errors import ConfigurationError

FILE_NAME = "radiosonde.toml"
VARIABLE = "RADIOSONDE_CONFIG"


def locate(stores: Iterable[Path] = (), environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the configuration in force for *stores*; None where there is none.

    Args:
        stores: stores or folders of stores; the file in a folder takes precedence over the one beside it.
        environment: variables; default: the process's environment.

    Raises:
        ConfigurationError: `RADIOSONDE_CONFIG` names no file.
    """
    named = in_force(environment).get(VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"{VARIABLE} is {named!r}, which is not a file; correct it or unset it")
        return path
    for store in stores:
        for folder in ([store] if store.is_dir() else []) + [store.absolute().parent]:
            if (folder / FILE_NAME).is_file():
                return folder / FILE_NAME
    return None
