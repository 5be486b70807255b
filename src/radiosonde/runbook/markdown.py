"""A runbook as Markdown. Names from telemetry are text in it, for any characters.

Text is escaped, except words in backquotes, so that CommonMark and GitHub's dialect show it as it is: no link, image, emphasis, HTML or
heading can come from a name. Lines are wrapped to a width, and characters that would begin a block at the start of a line are escaped
there. Commands are never wrapped: they are there to be copied.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from radiosonde.model.names import plain_text
from radiosonde.runbook.runbook import Said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.assets.subject import RunbookStep
    from radiosonde.runbook.runbook import ConfigurationGap, Mitigation, Runbook

_LONGEST = 20_000
_INLINE = re.compile(r"(`\w(?:[\w .=-]*\w)?`)|[\\`*\[\]<~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w)|:(?=//)|(?<=www)\.")
_AT_START = re.compile(r"(#{1,6}(?:\s|$)|[+-](?:\s|$)|>|[-=]+\s*$)|(\d{1,9})([.)])(?=\s|$)")


def render(runbook: Runbook, width: int = 100) -> str:
    """Return *runbook* as Markdown in lines of at most *width* columns, except commands and long names."""
    page = _Page(width)
    page.heading(1, f"Incident {runbook.incident}" if runbook.incident else f"Prepared runbook: {runbook.kind}")
    page.block("<!-- Made by: radiosonde runbook -->")
    page.strong(runbook.title)
    page.paragraph(f"Model {runbook.model}, kind {runbook.kind}: {runbook.meaning}.")
    page.heading(2, "How it was detected" if runbook.incident else "How it would be detected")
    page.facts(runbook.detection)
    if runbook.evidence:
        page.paragraph("Evidence:")
        page.bullets(runbook.evidence)
    if runbook.causes:
        page.paragraph("Possible causes:")
        page.facts(runbook.causes)
    page.heading(2, "Impact now")
    page.bullets(runbook.impact)
    page.heading(2, "Find the cause")
    page.steps(runbook.find)
    page.heading(2, "Contain it")
    page.steps(runbook.contain)
    _mitigations(page, runbook)
    page.heading(2, "Verify")
    page.paragraph(runbook.wait)
    page.steps(runbook.verify)
    page.heading(2, "Last resort: roll back")
    _mitigation(page, runbook.last_resort, runbook.configuration)
    page.heading(2, "Contacts and escalation")
    page.facts(runbook.contacts)
    page.heading(2, "Pitfalls")
    page.bullets(runbook.pitfalls)
    page.heading(2, "Handoff")
    page.message(runbook.handoff)
    page.heading(2, "Update for stakeholders")
    page.message(runbook.update)
    if runbook.gaps:
        page.heading(2, "Not declared")
        page.paragraph(f"Add these lines to {runbook.configuration}, with your values in place of the dots.")
        page.facts([Said(gap.key, gap.meaning) for gap in runbook.gaps])
        page.gaps(runbook.gaps)
    return page.text()


def escape(text: str) -> str:
    """Return *text* as inline Markdown that shows it."""
    return _INLINE.sub(lambda found: found[1] or f"\\{found[0]}", plain_text(text, _LONGEST))


class _Page:
    """Blocks of Markdown, one after the other."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._blocks: list[str] = []

    def text(self) -> str:
        return "\n\n".join(self._blocks) + "\n"

    def block(self, text: str) -> None:
        self._blocks.append(text)

    def heading(self, level: int, title: str) -> None:
        self.block(f"{'#' * level} {escape(title).rstrip('#')}")

    def paragraph(self, text: str) -> None:
        self.block(self._wrapped(escape(text), "", ""))

    def strong(self, text: str) -> None:
        self.block(self._wrapped(f"**{escape(text)}**", "", ""))

    def bullets(self, texts: Sequence[str]) -> None:
        self.block("\n".join(self._wrapped(escape(text), "* ", "  ") for text in texts))

    def facts(self, facts: Sequence[Said]) -> None:
        lines = (f"**{escape(fact.label)}:** {escape(fact.text)}" for fact in facts)
        self.block("\n".join(self._wrapped(line, "* ", "  ") for line in lines))

    def steps(self, steps: Sequence[RunbookStep]) -> None:
        for number, step in enumerate(steps, 1):
            self.block(self._wrapped(f"{escape(step.purpose)}:", f"{number}. ", "   "))
            self.command(step.command, "   ")

    def command(self, command: str, indent: str = "") -> None:
        self.block(f"{indent}```console\n{indent}$ {plain_text(command, _LONGEST)}\n{indent}```")

    def message(self, lines: Sequence[str]) -> None:
        """Add text to copy. Each line has a label, so none can close the block."""
        wrapped = [
            part
            for line in lines
            for part in textwrap.wrap(
                plain_text(line, _LONGEST),
                self._width,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        ]
        self.block("\n".join(["```text", *wrapped, "```"]))

    def gaps(self, gaps: Sequence[ConfigurationGap]) -> None:
        lines = [gaps[0].table, *(gap.line for gap in gaps)]
        self.block("\n".join(["```toml", *(plain_text(line, _LONGEST) for line in lines), "```"]))

    def _wrapped(self, text: str, first: str, rest: str) -> str:
        lines = textwrap.wrap(
            " ".join(text.split()),
            self._width - 1,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first]
        return "\n".join(
            indent + _started(line[len(indent) :])
            for indent, line in zip([first, *[rest] * len(lines)], lines, strict=False)
        )


def _started(line: str) -> str:
    """Return *line* with what would begin a block at its start escaped."""
    found = _AT_START.match(line)
    if found is None:
        return line
    return f"\\{line}" if found[1] else f"{found[2]}\\{line[len(found[2]) :]}"


def _mitigations(page: _Page, runbook: Runbook) -> None:
    if not runbook.mitigations:
        page.paragraph("No mitigation of the model helps against this kind: the model itself is not at fault.")
    for mitigation in runbook.mitigations:
        page.heading(3, mitigation.title)
        _mitigation(page, mitigation, runbook.configuration)


def _mitigation(page: _Page, mitigation: Mitigation, configuration: str) -> None:
    page.bullets([f"Choose it when: {mitigation.when}", f"Not when: {mitigation.unless}"])
    if mitigation.gap is None:
        page.command(mitigation.command)
        return
    page.paragraph(f"Gap: this command is not declared. Add to {configuration}:")
    page.gaps([mitigation.gap])
