"""Writes assets into a folder, and compares a folder with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radiosonde.assets.asset import Asset
from radiosonde.errors import RadiosondeError


def write(assets: Sequence[Asset], folder: Path) -> list[Path]:
    """Write files into *folder*, which is made if need be; return their paths.

    Raises:
        RadiosondeError: a file cannot be written.
    """
    written = []
    for asset in assets:
        path = folder / asset.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(asset.content, encoding="utf-8")
        except OSError as error:
            raise RadiosondeError(
                f"{path} cannot be written ({error.strerror}); name another folder with --out"
            ) from error
        written.append(path)
    return written


def stale(assets: Sequence[Asset], folder: Path) -> list[Path]:
    """Return the files of *folder* that are missing or stale."""
    found = []
    for asset in assets:
        path = folder / asset.path
        if not path.is_file() or path.read_text(encoding="utf-8") != asset.content:
            found.append(path)
    return found
