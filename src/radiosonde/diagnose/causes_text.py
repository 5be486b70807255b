"""The possible causes as text: the whole table of a report, and a line each for the screen of `radiosonde triage`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from radiosonde.diagnose.hypotheses import CAUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from radiosonde.diagnose.hypotheses import Hypothesis

_STATE = 13


def print_causes(hypotheses: Sequence[Hypothesis], terminal: Console) -> None:
    """Print the causes on *terminal*, with the two strongest facts on each side."""
    for title, mine in _by_model(hypotheses):
        terminal.print(f"\n{title}", style="bold")
        for each in mine:
            _print(terminal, each.state, CAUSES[each.cause])
            for line in _facts(each, 2) or [each.because]:
                _print(terminal, "", line)


def print_causes_briefly(hypotheses: Sequence[Hypothesis], terminal: Console) -> None:
    """Print a line for each cause on *terminal*, with the strongest fact."""
    from rich.text import Text

    for title, mine in _by_model(hypotheses):
        terminal.print(f"\n{title}", style="bold")
        for each in mine:
            fact = next(iter([*each.speaks_for, *each.speaks_against]), None)
            said = f"{CAUSES[each.cause].partition(':')[0]}: {each.because if fact is None else fact.text}"
            room = max(terminal.width - _STATE - 2, 20)
            short = textwrap.shorten(said, room, placeholder=" ...")
            terminal.print(Text(f"  {each.state}".ljust(_STATE + 2), "dim").append(short, "not dim"), soft_wrap=True)


def _by_model(hypotheses: Sequence[Hypothesis]) -> list[tuple[str, list[Hypothesis]]]:
    models = list(dict.fromkeys(each.model for each in hypotheses))
    return [
        (f"Causes on {model}" if len(models) > 1 else "Causes", [each for each in hypotheses if each.model == model])
        for model in models
    ]


def _facts(hypothesis: Hypothesis, most: int) -> list[str]:
    sides = (("for", hypothesis.speaks_for), ("against", hypothesis.speaks_against))
    return [f"{word}: {fact.text}" for word, side in sides for fact in side[:most]]


def _print(terminal: Console, label: str, text: str) -> None:
    from rich.text import Text

    for index, line in enumerate(textwrap.wrap(text, max(terminal.width - _STATE - 4, 20), break_long_words=False)):
        head = f"  {label}" if index == 0 else ""
        terminal.print(Text(head.ljust(_STATE + 2), "dim").append(line, "not dim"), soft_wrap=True)
