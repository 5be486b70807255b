"""Creates all files of the project, readable only by their owner unless the environment selects the umask.

Stores, labels, Parquet files and profiles hold data about the users of a model. A server's umask is usually 022, which makes its files
readable by every account of the machine; files are therefore created with mode 0600. ``RADIOSONDE_PUBLIC_FILES=true`` leaves the mode to
the umask. Files in a spool are always private to their owner. The mode of an existing file is not changed.
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
    """Create an empty file for a library that would create it with the umask, as SQLite does; that library reports errors."""
    if not path.exists():
        with suppress(OSError):
            os.close(opener(os.fspath(path), os.O_CREAT | os.O_RDWR))
