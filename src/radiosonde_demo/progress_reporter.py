"""Reports progress: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from radiosonde_demo.flights import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from radiosonde_demo.replay import ReplayTally

LINES = 10
"""Lines of progress per replay without a terminal."""

REDRAW_EVERY = 100
"""Answers per update of the bar: an update costs as much as a tenth of a request."""


class ProgressReporter(Protocol):
    """Reports the progress of the replay."""

    def say(self, text: str) -> None:
        """Tell one step."""

    def progress(self, tally: ReplayTally, total: int) -> None:
        """Tell how far the replay of *total* flights has come; called after every answer."""


class PlainReporter:
    """One line per step, and one per tenth of the replay."""

    def __init__(self, stream: TextIO) -> None:
        """Write to *stream*."""
        self._stream = stream
        self._told = 0

    def say(self, text: str) -> None:
        """Write one line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def progress(self, tally: ReplayTally, total: int) -> None:
        """Write a line when another tenth is done."""
        reached = LINES * _flown(tally) // total
        if reached > self._told:
            self._told = reached
            self.say(f"  {100 * reached // LINES:3d} %  {_day(tally)}  {_counts(tally)}")


class TerminalReporter:
    """A progress bar with the date that the replay has reached."""

    def __init__(self, bar: Progress) -> None:
        """Draw with *bar*, which must be started."""
        self._bar = bar
        self._task: TaskID | None = None
        self._answers = 0

    def say(self, text: str) -> None:
        """Write one line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def progress(self, tally: ReplayTally, total: int) -> None:
        """Move the bar, now and then."""
        if self._task is None:
            self._task = self._bar.add_task("", total=total)
        self._answers += 1
        if self._answers % REDRAW_EVERY == 0 or _flown(tally) == total:
            text = f"{_day(tally)}  {_counts(tally)}"
            self._bar.update(self._task, completed=_flown(tally), description=text)


@contextmanager
def reporter_for(stream: TextIO, console_on: Callable[[TextIO], Console]) -> Iterator[ProgressReporter]:
    """Yield the reporter that suits *stream*: a bar on a console where it is a terminal, else lines."""
    if not stream.isatty():
        yield PlainReporter(stream)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console_on(stream)) as bar:
        yield TerminalReporter(bar)


def _flown(tally: ReplayTally) -> int:
    return tally.predictions + tally.failures


def _day(tally: ReplayTally) -> str:
    return f"{datetime.fromtimestamp(tally.event_s, NEW_YORK):%a %d %b %Y}"


def _counts(tally: ReplayTally) -> str:
    return f"{tally.predictions} predictions, {tally.labels} labels, {tally.failures} errors"
