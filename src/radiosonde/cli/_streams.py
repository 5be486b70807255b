"""Output streams of commands: sanitised for terminals, encodable in every locale, with defined errors.

Output contains names and texts from requests, and from stores of other users. A terminal interprets escape sequences in them, which may
change its title, hide lines, or inject input. While a command runs, stdout and stderr therefore pass no control character except line feed
and tab. rich writes its own escape sequences; its console gets the underlying stream (`styled_stdout`), and its input is cleaned before
(`radiosonde.cli._terminal`).

If the locale cannot encode a character (``LANG=C``), a similar one replaces drawing characters, and Python's escape notation all others,
instead of a traceback.
"""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from radiosonde.model.names import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ERRORS = "radiosonde"
_ALIKE = str.maketrans("▁▂▃▄▅▆▇█▏▲·…—–−×≤≥≠→←“”‘’\ufffd\u00a0", "._--=+*#|^-.---x<>!><\"\"''? ")


class OutputError(Exception):
    """stdout or stderr cannot be written to.

    Attributes:
        reason: error message of the system.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Stream:
    """A text stream that applies *clean* to everything written, and delegates everything else."""

    def __init__(self, raw: TextIO, clean: Callable[[str], str]) -> None:
        self.raw = raw
        self._clean = clean

    def write(self, text: str) -> int:
        """Write; raise `OutputError` when the system refuses."""
        try:
            self.raw.write(self._clean(text))
        except OSError as error:
            raise OutputError(error) from error
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write all of *lines*."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush; raise `OutputError` when the system refuses."""
        try:
            self.raw.flush()
        except OSError as error:
            raise OutputError(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Sanitise stdout and stderr while the block runs. Nested use has no effect."""
    if isinstance(sys.stdout, _Stream):
        yield
        return
    codecs.register_error(_ERRORS, _replace)
    former = sys.stdout, sys.stderr
    closed = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for a stream that the shell has closed
    errors = [_reconfigured(stream) for stream in former]
    sys.stdout, sys.stderr = (cast("TextIO", _Stream(stream or closed, printable)) for stream in former)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former
        for stream, kept in zip(former, errors, strict=True):
            if kept is not None:
                cast("Any", stream).reconfigure(errors=kept)
        closed.close()


def styled(stream: TextIO) -> TextIO:
    """Return a stream that passes escape sequences, for a console that sanitises its own output."""
    raw = stream.raw if isinstance(stream, _Stream) else stream
    return cast("TextIO", _Stream(raw, str))


def discard(stream: TextIO) -> None:
    """Discard the buffer of *stream*, so that the interpreter does not fail on it again at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _reconfigured(stream: TextIO | None) -> str | None:
    """Make a stream replace unencodable characters. Return its previous error handler, None if it cannot be configured."""
    reconfigure = getattr(stream, "reconfigure", None)
    if stream is None or reconfigure is None:
        return None
    former = stream.errors
    reconfigure(errors=_ERRORS)
    return former


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return refused.translate(_ALIKE).encode("ascii", "backslashreplace").decode("ascii"), error.end
