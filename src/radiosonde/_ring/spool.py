"""The spool folder, which holds the rings of all processes of a host as files.

::

    <spool>/                     mode 0700
      <process>-<nonce>.ring     one per record writer, mode 0600, see `radiosonde._ring.layout`
      <process>-<nonce>.arena    rows of its batches, made at the first batch, see `radiosonde._ring.arena`
      <process>-<nonce>.names    texts behind its codes, see `radiosonde._ring.names`
      <process>.counts           losses and label results of a process, see `radiosonde._ring.process_pages`
      <process>.health           health of a process, likewise
      <identity>.reference.json  reference profiles the rings' models are read against
      agent.lock                 held by the one agent
      agent.starting             held by the process that is starting one (RADIOSONDE_AGENT=auto)
      agent.log                  log of an agent started like that
      agent.sqlite               windows of the agent, unless it is given another store

``process`` is the writer's ``service.instance.id``, ``nonce`` the ring's 8 hex digits. A file is made under a temporary
name, filled, locked, and renamed, so a reader never finds half a ring.

Liveness: a writer holds a POSIX record lock on the first byte of its ring file for as long as it lives. The kernel releases the lock when
the process dies for any reason, and a forked child does not inherit it, unlike ``flock``. A process id would not work: it may be reused by
another process, or belong to another container.

Space is claimed with `os.posix_fallocate` before the file is mapped: writing to a mapped hole on a full disk would be
SIGBUS, which is the end of the model server.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from radiosonde._ring.layout import MAGIC, PAGE, PAGE_BYTES
from radiosonde.errors import SpoolError

IS_SUPPORTED = hasattr(fcntl, "lockf") and hasattr(os, "posix_fallocate")
"""Whether this system supports a spool: record locks of the layout below, and allocation of disk space."""

RING, ARENA, NAMES = ".ring", ".arena", ".names"

SUFFIXES = (ARENA, NAMES, RING)
"""Suffixes of the files of one ring. The ring itself is removed last, because the others are found through it."""

AGENT_LOCK, AGENT_STARTING, AGENT_LOG = "agent.lock", "agent.starting", "agent.log"

_LIVES = 0
"""Byte of a file that is locked while its writer lives; others are free for other locks (`radiosonde._ring.slot_lock`)."""

SELF, AGENT = "self", "agent"
"""Consumer of a ring, as recorded in its page: the process that writes it, or the agent of the spool."""


class RingFile(NamedTuple):
    """A ring in the spool.

    Attributes:
        path: the ring file.
        process: identity of the process that made it.
        nonce: the ring's nonce.
    """

    path: Path
    process: str
    nonce: int

    def beside(self, suffix: str) -> Path:
        """Return the path of this ring's file with another suffix."""
        return self.path.with_suffix(suffix)


class Spool:
    """A spool folder, made when missing.

    Args:
        folder: its path.

    Raises:
        SpoolError: it cannot be created, is not a folder, belongs to another user, or is writable by others.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not IS_SUPPORTED:
            raise SpoolError(
                f"a spool needs Linux, whose file locks show which writers are alive; leave spool={str(folder)!r} out "
                "(RADIOSONDE_SPOOL), and each process drains itself"
            )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            raise SpoolError(
                f"the spool {self.folder} cannot be used: {error.strerror}; choose a writable folder"
            ) from error
        # Features are stored here unchanged: no other user may read them or plant a ring.
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise SpoolError(
                f"the spool {self.folder} must be accessible to the server's user only: "
                f"chown it to uid {os.geteuid()} and chmod 700 it"
            )
        self._identity = found.st_dev, found.st_ino

    def name(self, process: str, nonce: int) -> RingFile:
        """Return where the ring *nonce* of *process* lies."""
        return RingFile(self.folder / f"{process}-{nonce:08x}{RING}", process, nonce)

    def reference_path(self, reference_id: str) -> Path:
        """Return where the reference profile of that identity lies."""
        return self.folder / f"{reference_id}.reference.json"

    def page_path(self, process: str, suffix: str) -> Path:
        """Return where the page of *process* with that suffix lies."""
        return self.folder / f"{process}{suffix}"

    def pages(self, suffix: str) -> list[Path]:
        """Return the pages with that suffix, by name."""
        return sorted(self.folder.glob(f"*{suffix}"))

    def rings(self) -> list[RingFile]:
        """Return the rings in the folder, by name; files of other names are left alone."""
        return sorted(self._rings())

    def _rings(self) -> Iterator[RingFile]:
        for path in self.folder.glob(f"*{RING}"):
            process, _, nonce = path.stem.rpartition("-")
            if process and len(nonce) == 8 and all(digit in "0123456789abcdef" for digit in nonce):
                yield RingFile(path, process, int(nonce, 16))

    def remove(self, ring: RingFile) -> None:
        """Remove a ring and its files; missing files are not an error."""
        for suffix in SUFFIXES:
            ring.beside(suffix).unlink(missing_ok=True)
            _OWN.pop(ring.beside(suffix), None)

    @staticmethod
    def let_go(ring: RingFile) -> None:
        """Leave a ring that this process no longer writes to the consumer of the spool."""
        for suffix in SUFFIXES:
            _OWN.pop(ring.beside(suffix), None)

    @property
    def is_gone(self) -> bool:
        """Whether the folder was removed or replaced; make a new `Spool` then."""
        return _identity(self.folder) != self._identity


KEPT_DEAD = 20
"""Number of dead processes without a consumer whose rings are kept for the flight recorder, the newest ones."""


def prune_dead(spool: Spool, keep: int = KEPT_DEAD) -> int:
    """Remove the rings of dead processes that drained themselves, except of the newest *keep*; return the number.

    Called when a process begins to write into the spool, so that a server that crashes in a loop does not fill the disk. Rings for an agent
    are always left to it.
    """
    dead: dict[str, list[RingFile]] = {}
    for ring in spool.rings():
        if not is_own(ring.path) and _drains_itself(ring.path) and not is_held(ring.path):
            dead.setdefault(ring.process, []).append(ring)
    newest_first = sorted(dead.values(), key=lambda rings: max(_changed_ns(ring.path) for ring in rings), reverse=True)
    removed = [ring for rings in newest_first[keep:] for ring in rings]
    for ring in removed:
        spool.remove(ring)
    return len(removed)


def _drains_itself(path: Path) -> bool:
    """Return whether the page of a ring names its writer as its consumer; false for a torn page."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        page = file.read(PAGE_BYTES)
        if len(page) == PAGE_BYTES and page.startswith(MAGIC):
            document = json.loads(file.read(PAGE.unpack_from(page)[6]))
            return bool(document.get("consumer") == SELF)
    return False


def _changed_ns(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


class _Owned(NamedTuple):
    """A file that a process created: the process, and the identity of the file."""

    pid: int
    identity: tuple[int, int]


_OWN: dict[Path, _Owned] = {}
"""Files this process holds, and the process that made them: a forked child inherits the table and not the locks."""


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, which differs from that of a replacement; None for a missing file."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def remember(path: Path, descriptor: int) -> None:
    """Remember the open file that this process made at *path*."""
    found = os.fstat(descriptor)
    _OWN[path] = _Owned(os.getpid(), (found.st_dev, found.st_ino))


def is_own(path: Path) -> bool:
    """Return whether this process made the file at *path*.

    It must not open it again: closing any descriptor of a file releases all locks that the process holds on it.
    """
    owned = _OWN.get(path)
    return owned is not None and owned.pid == os.getpid()


def is_removed(path: Path) -> bool:
    """Return whether this process created a file at *path* that was removed or replaced."""
    return is_own(path) and _OWN[path].identity != _identity(path)


def create_file(path: Path, size_bytes: int, first_bytes: bytes = b"") -> int:
    """Make *path* with *size_bytes* claimed on the disk, locked by this process; return its descriptor.

    Raises:
        SpoolError: no space, or no permission; nothing is left behind.
    """
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = -1
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, size_bytes)
        os.pwrite(descriptor, first_bytes, 0)
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LIVES, os.SEEK_SET)
        remember(path, descriptor)
        temporary.rename(path)
    except OSError as error:
        _OWN.pop(path, None)
        if descriptor >= 0:
            os.close(descriptor)
        temporary.unlink(missing_ok=True)
        advice = "free space, or choose another spool" if error.errno == errno.ENOSPC else "choose a writable folder"
        raise SpoolError(f"{path} cannot be created: {error.strerror}; {advice}") from error
    return descriptor


# struct flock as Linux and the C library lay it out on 64-bit machines: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def is_held(path: Path) -> bool:
    """Return whether another living process holds the lock on *path*; false for a missing file.

    Queries the kernel without taking the lock, so that concurrent readers do not mislead each other.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def is_locked(descriptor: int) -> bool:
    """Say the same of an open file, whether or not it still has a name.

    Raises:
        OSError: the descriptor is closed.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LIVES, 1, 0)
    answer: int = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0]
    return answer != fcntl.F_UNLCK


def hold(path: Path) -> IO[bytes]:
    """Take the lock on *path* for the life of the returned file.

    Raises:
        SpoolError: another process holds it, or the file cannot be made.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise SpoolError(f"another agent drains {path.parent}; only one may; stop it first") from error
        raise SpoolError(f"{path} cannot be created: {error.strerror}; choose a writable folder") from error
    return file
