"""Figures beside their budgets: the table that is printed, the summary that is committed, the raw files that are not."""

from __future__ import annotations

import json
import os
import platform
import re
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks._measure import Figure

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
SUMMARY = FOLDER / "RESULTS.md"
README = FOLDER.parent / "README.md"
IN_README = (
    "record-array",
    "record-unsampled",
    "record-dict",
    "total-100k",
    "total-1k",
    "tail-p99_9",
    "memory-series",
)
BEGIN, END = "<!-- written by make bench B=--summary -->\n", "<!-- end -->"
HEADS = ("id", "what", "ratio", "budget", "verdict", "in absolute terms")
WITHIN, OVER, NOISY, WATCHED = "within", "OVER", "too noisy", ""
_CELLS = re.compile(r"(?<!\\)\|")
SHOWN = ("numpy", "datasketches", "opentelemetry-sdk", "prometheus-client")


def budgets() -> dict[str, dict[str, float]]:
    """Return the budgets by id."""
    return tomllib.loads((FOLDER / "budgets.toml").read_text("utf-8"))


def verdict(value: float, budget: Mapping[str, float], *, doubt: str = "") -> str:
    """Return whether *value* is within its budget."""
    if not budget:
        return WATCHED
    if doubt:
        return NOISY
    return WITHIN if budget.get("min", value) <= value <= budget.get("max", value) else OVER


def row(figure: Figure, known: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Return the cells of a figure's line."""
    budget = known.get(figure.id, {})
    signs = " ".join(f"{'<=' if bound == 'max' else '>='} {limit:g}" for bound, limit in budget.items())
    ratio = f"{_short(figure.value)} {figure.unit}"
    judged = verdict(figure.value, budget, doubt=figure.doubt)
    return figure.id, figure.what.strip(), ratio, signs, judged, figure.absolute


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def text(rows: Sequence[Sequence[str]]) -> str:
    """Return the table in columns."""
    table = [HEADS, *rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    )


def keep(figure: Figure, folder: Path) -> None:
    """Write the raw distributions of a figure to ``<id>.json`` in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "id": figure.id, "what": figure.what, "unit": figure.unit, "median": figure.value, "quartiles": figure.spread,
        "rounds": list(figure.rounds), "raw": {name: list(values) for name, values in figure.raw.items()},
        "machine": machine(),
    }  # fmt: skip
    (folder / f"{figure.id}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def machine() -> str:
    """Return the kind of machine and the versions, nothing that names it."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}"


def summary(page: str, rows: Sequence[Sequence[str]], rounds: int) -> str:
    """Return the page that is committed with *rows* put in place of those of the same ids; lines of other ids stay, with their dates."""
    when = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {rounds} rounds"
    fresh = {row[0]: (*row, when) for row in rows}
    former = [
        [cell.strip() for cell in _CELLS.split(line)[1:-1]] for line in page.splitlines() if line.startswith("| ")
    ][1:]
    kept = [fresh.pop(cells[0], tuple(cell.replace("\\|", "|") for cell in cells)) for cells in former]
    lines = [
        "# Overhead, measured",
        "",
        'Written by `make bench B="--summary"`, or `B="record tail --summary"` for the lines of some parts. Each line says when it was measured.',
        "Medians of ratios within one run; the yardstick is one `Histogram.record` of the OpenTelemetry SDK with three attributes, taken in",
        "turns with what is measured. Read the ratios, not the times. Times are CPU times, but for `tail`: the wall clock, first quartile of",
        "the laps, because the machine is shared.",
        "",
        f"Machine of the last lines: {machine()}; cores shared with others.",
        "",
        *_lines([*kept, *fresh.values()], (*HEADS, "measured")),
        "",
        "A line without a budget is watched, not bounded. `too noisy`: the machine was too busy for this line to say anything.",
        "",
    ]
    return "\n".join(lines)


def page(rows: Sequence[Sequence[str]], rounds: int, parts: Sequence[str]) -> str:
    """Return the page of some *parts*, which says how it was made."""
    lines = [
        f"# Measured: {', '.join(parts) or 'all parts'}",
        "",
        f'Written by `make bench B="{" ".join(parts)} --rounds {rounds} --page FILE"`.',
        "",
        *_lines(rows),
        "",
    ]
    return "\n".join(lines)


def _lines(rows: Sequence[Sequence[str]], heads: Sequence[str] = HEADS) -> list[str]:
    cells = (tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row) + " |" for row in cells),
    ]


def readme(page: str, rows: Sequence[Sequence[str]]) -> str:
    """Return the README with its table of costs updated; lines of ids that were not measured stay."""
    before, _, rest = page.partition(BEGIN)
    former, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has no table between {BEGIN.strip()} and {END}")
    chosen = {cells[0]: cells for cells in rows if cells[0] in IN_README}
    lines = ["| what | measured | budget | id |", "|---|---|---|---|"]
    for name in IN_README:
        if name not in chosen:
            lines += [line for line in former.splitlines() if line.endswith(f"`{name}` |")]
            continue
        _, what, ratio, budget, judged, _ = chosen[name]
        over = " (missed)" if judged == OVER else ""
        lines.append(f"| {what} | {ratio} | {budget}{over} | `{name}` |")
    return before + BEGIN + "\n".join(lines) + "\n" + END + after
