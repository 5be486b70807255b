"""The diagnosis as text for a terminal of 100 columns; styled by rich, readable without colour."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from radiosonde.diagnose.causes_text import print_causes
from radiosonde.diagnose.finding import RateTable, Timeline
from radiosonde.diagnose.quality_figures import quality_words
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from radiosonde.diagnose.finding import Checked, Diagnosis, Finding, LeftOut, NotChecked, Onset, Place

_HEADS = {
    "healthy": "bold green",
    "findings": "bold red",
    "not checked": "bold yellow",
    "stale": "bold yellow",
}
_STYLES = {"page": "bold white on red", "ticket": "bold black on yellow", "info": "bold black on cyan"}
_BLOCKS = "▁▂▃▄▅▆▇█"
_LABEL = 10
_MAX_EVIDENCE = 7
_MAX_ROWS = 6


def print_diagnosis(diagnosis: Diagnosis, terminal: Console, *, command: Callable[[str], str]) -> None:
    """Print *diagnosis* on *terminal*.

    Args:
        diagnosis: the diagnosis.
        terminal: the output.
        command: turns the command of a next step into the one to type (fills in the store's path).
    """
    from rich.text import Text

    style = _HEADS[diagnosis.status]
    terminal.print(
        Text(status_words(diagnosis).upper(), style).append(f"  {span_words(diagnosis)}", "not bold default")
    )
    for reason in reasons(diagnosis):
        _row(terminal, "because", reason)
    for number, finding in enumerate(diagnosis.findings, 1):
        terminal.print()
        print_finding(finding, terminal, command=command, number=number)
    if diagnosis.findings:
        print_causes(diagnosis.hypotheses, terminal)
    _print_list("Muted", [muted_words(finding) for finding in diagnosis.muted], terminal)
    _print_list("Quality", [quality_words(figure) for figure in diagnosis.quality], terminal)
    _print_notes(diagnosis.notes, terminal)
    _print_list("Checked", [line for check in diagnosis.checked for line in checked_words(check)], terminal)
    _print_list("Not checked", [gap_words(gap) for gap in diagnosis.not_checked], terminal)
    _print_list("No baseline", [left_out_words(each) for each in diagnosis.left_out], terminal)


def print_finding(finding: Finding, terminal: Console, *, command: Callable[[str], str], number: int = 1) -> None:
    """Print one *finding* on *terminal*, with its *number* in the report; *command* as for `print_diagnosis`."""
    from rich.text import Text

    badge = Text(f"{number} ").append(f" {finding.severity.upper()} ", _STYLES[finding.severity])
    badge.append(f" {finding.kind}  ", "bold cyan")
    # The title is wrapped under itself, as far right as the other words begin.
    first, *rest = textwrap.wrap(
        finding.title,
        max(terminal.width - 1, 40),
        initial_indent=" " * len(badge),
        subsequent_indent=" " * (_LABEL + 2),
    ) or [""]
    terminal.print(badge.append(first[len(badge) :], "bold"), soft_wrap=True)
    for line in rest:
        terminal.print(Text(line, "bold"), soft_wrap=True)
    _row(terminal, "verdict", finding.verdict)
    _row(terminal, "where", place_words(finding.where))
    _row(terminal, "since", onset_words(finding.onset))
    _row(terminal, "how sure", finding.confidence.words)
    if finding.id:
        _row(terminal, "incident", f"{finding.id}, {state_words(finding)}")
    if finding.impact is not None:
        _row(terminal, "impact", finding.impact.text)
    for label, words in responsible_words(finding):
        _row(terminal, label, words)
    timeline = next((figure for figure in finding.figures if isinstance(figure, Timeline)), None)
    if timeline is not None:
        _print_timeline(timeline, finding.onset, terminal)
    table = next((figure for figure in finding.figures if isinstance(figure, RateTable)), None)
    if table is not None:
        _print_rates(table, terminal)
    for index, evidence in enumerate(finding.evidence[:_MAX_EVIDENCE]):
        _row(terminal, "evidence" if index == 0 else "", evidence.text)
    for index, step in enumerate(finding.next_steps):
        _row(terminal, "next" if index == 0 else "", f"{step.what}:")
        # Never broken over lines: a command is there to be copied.
        terminal.print(Text(" " * (_LABEL + 2) + command(step.command), "dim"), soft_wrap=True)


def _print_notes(notes: Sequence[Finding], terminal: Console) -> None:
    if not notes:
        return
    terminal.print("\nNoted, no action", style="bold")
    for note in notes:
        _row(terminal, "-", f"{note.title}; since {onset_words(note.onset)}", width=2)


def _print_list(title: str, lines: Sequence[str], terminal: Console) -> None:
    if lines:
        terminal.print(f"\n{title}", style="bold")
        for line in lines:
            _row(terminal, "-", line, width=2)


def _print_timeline(timeline: Timeline, onset: Onset, terminal: Console) -> None:
    """Draw the first line of *timeline* as blocks, and a caret under the onset."""
    width = min(terminal.width - _LABEL - 4, 72)
    starts, values = list(timeline.start_ns), list(timeline.lines[0][1])
    if len(starts) < 2:
        return
    buckets: list[list[float]] = [[] for _ in range(min(width, len(starts)))]
    scale = len(buckets) / len(starts)
    for index, value in enumerate(values):
        if value is not None:
            buckets[int(index * scale)].append(value)
    means = [sum(bucket) / len(bucket) if bucket else None for bucket in buckets]
    known = [mean for mean in means if mean is not None]
    if not known:
        return
    low = min(0.0, *known) if timeline.unit == "share" else min(known)
    reach = max(known) - low or 1.0
    line = "".join(" " if mean is None else _BLOCKS[min(int((mean - low) / reach * 8), 7)] for mean in means)
    step = starts[1] - starts[0]
    at = min(int((onset.at_ns - starts[0]) / step * scale), len(line) - 1)
    label = timeline.lines[0][0] if len(timeline.lines) > 1 else ""
    _row(
        terminal, "over time", f"{timeline.title}{', ' + label if label else ''}: {min(known):.3g} to {max(known):.3g}"
    )
    _row(terminal, "", line)
    _row(terminal, "", " " * max(at, 0) + "▲ onset")


def _print_rates(table: RateTable, terminal: Console) -> None:
    from rich.padding import Padding
    from rich.table import Table

    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column(table.title)
    for column in table.columns:
        grid.add_column(column, justify="right")
    rows = sorted(table.rows, key=lambda row: row[0] != table.marked)[:_MAX_ROWS]
    for label, cells in rows:
        style = "bold" if label == table.marked else ""
        grid.add_row(label, *(rate_words(*cell) for cell in cells), style=style)
    terminal.print(Padding(grid, (0, 0, 0, _LABEL + 2)))
    if len(table.rows) > len(rows):
        _row(terminal, "", f"and {len(table.rows) - len(rows)} more")


def _row(terminal: Console, label: str, text: str, *, width: int = _LABEL) -> None:
    """Print *label* and *text*, wrapped under itself; not a table of rich, which would pad every line with blanks."""
    from rich.text import Text

    room = max(terminal.width - width - 2, 20)
    lines = (
        [text]
        if not text.strip() or "\u2581" <= text.strip()[0] <= "\u25b2"
        else textwrap.wrap(text, room, break_long_words=False)
    )
    head = f"  {label}".ljust(width + 2) if width > 2 else f"{label} ".ljust(width + 1)
    for index, line in enumerate(lines):
        prefix = head if index == 0 else " " * len(head)
        terminal.print(Text(prefix, "dim").append(line, "not dim"), soft_wrap=True)


def status_words(diagnosis: Diagnosis) -> str:
    """Return the status of *diagnosis*, or the number of findings."""
    count, muted = len(diagnosis.findings), len(diagnosis.muted)
    said = f"{count} finding{'s' if count > 1 else ''}" if count else diagnosis.status
    return f"{said}, {muted} muted" if muted else said


def span_words(diagnosis: Diagnosis) -> str:
    """Return the scope: the span, the calls of models and the requests."""
    if not diagnosis.windows:
        return "nothing to check"
    counted = [f"{_grouped(diagnosis.requests)} requests"] if diagnosis.requests else []
    if diagnosis.calls or not counted:
        counted.insert(0, f"{_grouped(diagnosis.calls)} calls")
    return f"{_time(diagnosis.start_ns)} to {_time(diagnosis.end_ns)} UTC, {', '.join(counted)}"


def reasons(diagnosis: Diagnosis) -> list[str]:
    """Return why the answer is less than it could be: required checks that were not made, and data that are stale."""
    found = [
        gap.because if gap.subject == "all" else f"{gap.check} not checked{_short_place(gap.where)}: {gap.because}"
        for gap in diagnosis.missing
    ]
    if diagnosis.is_stale and diagnosis.written_ns is not None:
        found.append(
            f"nothing has been written since {_time(diagnosis.written_ns)} UTC: the server or its telemetry has stopped. "
            "This report covers the time before; use --until to diagnose the past"
        )
    return found


def checked_words(check: Checked) -> list[str]:
    """Return *check* in lines: description, detection floors, and losses."""
    lines = [f"{check.where.model}: {check.check}"]
    if check.floors:
        lines[0] += "; would have reported " + "; ".join(floor.text for floor in check.floors)
    return [*lines, *([f"{check.where.model}: weakened: {check.weakened}"] if check.weakened else [])]


def gap_words(gap: NotChecked) -> str:
    """Return the gaps, with reasons."""
    return f"{gap.check}{_short_place(gap.where)}: because {gap.because}"


def responsible_words(finding: Finding) -> list[tuple[str, str]]:
    """Return owner, contacts and rollback of *finding*, as (label, words); empty if not declared."""
    declared = finding.responsible
    if declared is None:
        return []
    owner = "; ".join(part for part in (declared.owner, ", ".join(declared.contacts)) if part)
    flag = f"flag {declared.flag}" if declared.flag else ""
    return [
        (label, words)
        for label, words in (("owner", owner), ("rollback", declared.rollback), ("switch", flag))
        if words
    ]


def state_words(finding: Finding) -> str:
    """Return the state of an incident, until when and why it was acknowledged or muted, and by whom."""
    mark = finding.mark
    if mark is None:
        return finding.state
    who = f" by {mark.author}" if mark.author else ""
    return f"{finding.state}{who} until {_time(mark.until_ns)} UTC: {mark.why}"


def muted_words(finding: Finding) -> str:
    """Return a muted incident on one line."""
    return f"{finding.id}: {finding.title}; since {onset_words(finding.onset)}; {state_words(finding)}"


def left_out_words(left_out: LeftOut) -> str:
    """Return the time excluded from baselines, with reasons."""
    said = f"excluded ({left_out.number})" if left_out.number else "an incident that is over"
    span = f"{_time(left_out.start_ns)} to {_time(left_out.end_ns)} UTC"
    return f"{span}{_short_place(left_out.where)}: {said}: {left_out.why}"


def place_words(where: Place) -> str:
    """Return *where* in words, the named parts only."""
    parts = [f"model {where.model}"]
    parts += [
        f"{name} {value}"
        for name in ("version", "variant", "cohort", "feature", "phase")
        if (value := getattr(where, name))
    ]
    missing = [name for name in ("version", "cohort") if not getattr(where, name)]
    if missing:
        parts.append("all " + " and ".join(f"{name}s" for name in missing))
    return ", ".join(parts)


def onset_words(onset: Onset) -> str:
    """Return *onset* in words: the moment, its interval, and whether it lasts."""
    if onset.whole_span:
        return f"the first windows ({_time(onset.at_ns)} UTC); nothing before it is known"
    text = f"{_time(onset.at_ns)} UTC"
    if onset.earliest_ns != onset.latest_ns:
        text += f" (between {_time(onset.earliest_ns)} and {_time(onset.latest_ns)})"
    return text + (f" until {_time(onset.ended_ns)}" if onset.ended_ns is not None else ", still going on")


def rate_words(hits: int, total: int) -> str:
    """Return ``hits / total`` with its percentage."""
    if not total:
        return "no traffic"
    share = hits / total
    return f"{hits}/{total}  {percent(share)}"


def _short_place(where: Place) -> str:
    return f" ({where.model})" if where.model else ""


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
