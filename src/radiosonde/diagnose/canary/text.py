"""The canary report as text for a terminal of 80 or 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from radiosonde.diagnose.canary import words

if TYPE_CHECKING:
    from rich.console import Console

    from radiosonde.diagnose.canary.verdict import CanaryReport

_STYLES = {
    "promote": "bold green",
    "worse": "bold red",
    "keep going": "bold yellow",
    "stale": "bold yellow",
    "mismatch": "bold red",
}
_VERDICTS = {"worse": "bold red", "better": "green", "no difference": "green", "keep going": ""}
_HEADS = ("measure", "old", "new", "new - old (99 %)", "verdict")


def print_canary(report: CanaryReport, terminal: Console, *, next_command: str) -> None:
    """Print *report* on *terminal*.

    Args:
        report: the report.
        terminal: the output.
        next_command: the command that shows more.
    """
    from rich.text import Text

    terminal.print(
        Text(report.status.upper(), _STYLES[report.status]).append(f"  {words.headline(report)}", "not bold default")
    )
    _wrapped(terminal, words.span(report), 2)
    if report.ratio is not None:
        terminal.print()
        for number, line in enumerate(words.ratio_lines(report.ratio)):
            _wrapped(terminal, line, 16, "sample ratio" if number == 0 else "")
    if report.measures:
        terminal.print()
        _print_table(report, terminal)
    for judged in report.measures:
        for place in judged.places if judged in report.worse else ():
            terminal.print()
            _wrapped(terminal, words.place_words(judged, place), 10, "WORSE")
    if report.not_judged or report.without:
        terminal.print()
    for gap in report.not_judged:
        _wrapped(terminal, f"{words.NAMES[gap.subject]}: {gap.because}", 16, "not judged")
    for said in report.without:
        _wrapped(terminal, said, 16, "not compared")
    terminal.print(f"\nnext: {next_command}", highlight=False, soft_wrap=True)


def _print_table(report: CanaryReport, terminal: Console) -> None:
    from rich.text import Text

    rows = []
    for judged in report.measures:
        is_blocked = report.is_mismatch and judged.subject != "errors"
        rows.append(
            (
                words.NAMES[judged.subject],
                *words.figures(judged),
                words.interval(judged),
                words.verdict_words(judged, is_blocked=is_blocked),
            )
        )
    widths = [max(len(_HEADS[column]), *(len(row[column]) for row in rows)) for column in range(4)]
    room = max(terminal.width - sum(widths) - 10, 16)
    for index, row in enumerate([_HEADS, *rows]):
        style = "dim" if index == 0 else _VERDICTS[report.measures[index - 1].verdict]
        start = "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        for number, line in enumerate(textwrap.wrap(row[4], room)):
            lead = start if number == 0 else " " * len(start)
            terminal.print(Text(lead, "dim" if index == 0 else "").append(f"  {line}", style), soft_wrap=True)


def _wrapped(terminal: Console, text: str, indent: int, label: str = "") -> None:
    from rich.text import Text

    head = f"  {label}".ljust(indent)
    for number, line in enumerate(textwrap.wrap(text, max(terminal.width - indent - 2, 20), break_long_words=False)):
        terminal.print(Text(head if number == 0 else " " * indent, "dim").append(line, "not dim"), soft_wrap=True)
