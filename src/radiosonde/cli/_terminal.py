"""Output shared by commands: a console of bounded width, a progress bar, bars of block characters, and reports in files.

Needs rich, which the extra ``desk`` brings. Results go to stdout, progress to stderr and only if that is a terminal.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from radiosonde.cli._streams import styled
from radiosonde.errors import ConfigurationError
from radiosonde.model.names import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from rich.console import Console, ConsoleOptions, ConsoleRenderable

WIDEST = 100
_BLOCKS = "▁▂▃▄▅▆▇█"


def console() -> Console:
    """Return a console on stdout, as wide as the terminal but at most 100 columns, 100 in a pipe.

    Raises:
        ConfigurationError: rich is not installed.
    """
    columns = shutil.get_terminal_size(fallback=(WIDEST, 25)).columns
    return console_on(sys.stdout, width=min(columns, WIDEST))


def console_on(stream: TextIO, width: int | None = None) -> Console:
    """Return a console on *stream* that prints plain text: no markup, no emoji codes, no foreign control characters.

    Raises:
        ConfigurationError: rich is not installed.
    """
    require_rich()
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Cleaned:
        """A renderable with sanitised text."""

        def __init__(self, content: ConsoleRenderable) -> None:
            self._content = content

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
            for segment in console.render(self._content, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    class Door(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [content if isinstance(content, Control) else Cleaned(content) for content in renderables]

    from rich.control import Control

    terminal = Console(file=styled(stream), width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)
    terminal.push_render_hook(Door())
    return terminal


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr while the block runs. Yield a callback for (done, total), or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    require_rich()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_on(sys.stderr), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def write_report(path: Path, page: str) -> None:
    """Write *page* to the file that ``--html`` names.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the report to {path}: {error.strerror}; pass another file to --html"
        ) from error


def require_rich() -> None:
    """Check that rich is installed.

    Raises:
        ConfigurationError: it is not; the message holds the line that installs it.
    """
    try:
        import rich  # noqa: F401  # only whether it is there
    except ModuleNotFoundError as error:
        raise ConfigurationError("this command needs rich; install it with: pip install 'radiosonde[desk]'") from error


def spark(shares: Sequence[float]) -> str:
    """Return one block character per share, the largest a full block, zero a blank."""
    top = max(shares, default=0.0)
    if top <= 0:
        return " " * len(shares)
    return "".join(_BLOCKS[min(int(share / top * len(_BLOCKS)), 7)] if share > 0 else " " for share in shares)


def bar(share: float, width: int = 20) -> str:
    """Return a horizontal bar of *share* of *width* columns; any share above zero shows."""
    filled = round(share * width)
    return "█" * filled if filled or share <= 0 else "▏"
