"""What commands share on the terminal: a console of bounded width, a progress bar, and bars made of block characters.

Needs rich, which the extra ``desk`` brings. Results go to stdout, progress to stderr and only if that is a terminal.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

WIDEST = 100
_BLOCKS = "▁▂▃▄▅▆▇█"


def console() -> Console:
    """Return a console on stdout, as wide as the terminal but at most 100 columns, 100 in a pipe.

    Raises:
        ConfigurationError: rich is not installed.
    """
    require_rich()
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            # rich would leave with 1, which here means "findings"; `radiosonde.cli.main` has its own code for this.
            raise BrokenPipeError

    columns = shutil.get_terminal_size(fallback=(WIDEST, 25)).columns
    return PipedConsole(file=sys.stdout, width=min(columns, WIDEST), highlight=False, soft_wrap=False)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr while the block runs; yield what to call with (done, total), or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    require_rich()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


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


def percent(share: float) -> str:
    """Return a share as a percentage that keeps small shares apart from none."""
    if share <= 0:
        return "0 %"
    if share < 0.0005:  # what would round to 0.0 %
        return "<0.1 %"
    return f"{share * 100:.1f} %"
