"""Creates all files of the project, readable only by their owner unless the environment asks for the umask.

Stores, labels, Parquet files and profiles hold what users of a model are like. A server's umask is usually 022, which lets every
account of the machine read what it writes; so a file is made with mode 0600. ``RADIOSONDE_PUBLIC_FILES=true`` leaves the mode to
the umask. What lies in a spool is its owner's alone in any case. The mode of a file that is there already is its owner's choice,
and is left alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from radiosonde._settings import files_are_public

if TYPE_CHECKING:
    from pathlib import Path


def file_mode() -> int:
    """Return the mode to make a file with; the umask takes from it."""
    return 0o666 if files_are_public() else 0o600


def opener(path: str, flags: int) -> int:
    """Open a file, for ``open(..., opener=opener)``."""
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), file_mode())


def prepare(path: Path) -> None:
    """Make an empty file for somebody who would make it with the umask, as SQLite does; where it cannot be made, they say so."""
    if not path.exists():
        with suppress(OSError):
            os.close(opener(os.fspath(path), os.O_CREAT | os.O_RDWR))
