"""Benchmarks: figures beside their budgets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import _table
from benchmarks.__main__ import PARTS
from benchmarks._measure import Figure

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("value", "budget", "expected"),
    [
        (0.25, {"max": 0.25}, "within"),
        (0.26, {"max": 0.25}, "OVER"),
        (15.0, {"min": 15.0}, "within"),
        (14.9, {"min": 15.0}, "OVER"),
        (7.0, {}, ""),
    ],
)
def test_a_figure_is_judged_by_its_budget(value: float, budget: dict[str, float], expected: str) -> None:
    """A bound includes its own value; a figure without a budget is not judged."""
    assert _table.verdict(value, budget) == expected


def test_a_figure_in_doubt_is_not_judged() -> None:
    """A run on a busy machine claims neither success nor failure."""
    assert _table.verdict(1.0, {"max": 0.25}, doubt="neighbours") == "too noisy"


def test_a_line_holds_figure_budget_and_verdict() -> None:
    """The line that is printed, as it is printed."""
    figure = Figure("record-array", "caller", [0.2, 0.3, 0.4], absolute="1.9 us")
    line = _table.row(figure, {"record-array": {"max": 0.25}})
    assert line == ("record-array", "caller", "0.30 x Histogram.record", "<= 0.25", "OVER", "1.9 us")


def test_the_distributions_are_kept(tmp_path: Path) -> None:
    """The file of a figure holds every round and what is behind it."""
    _table.keep(Figure("f", "what", [1.0, 3.0], unit="ms", raw={"a_s": [0.5, 0.7]}), tmp_path)
    kept = json.loads((tmp_path / "f.json").read_text())
    assert (kept["median"], kept["rounds"], kept["raw"], kept["unit"]) == (2.0, [1.0, 3.0], {"a_s": [0.5, 0.7]}, "ms")


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_every_part_of_the_costs_measures_and_every_budget_has_its_figure(tmp_path: Path) -> None:
    """One round of all that costs ends well, and no budget is left without a figure; the figures themselves are not judged.

    What is asked of diagnoses takes up to a quarter of an hour a part even for one round.
    """
    of_diagnoses = [name for name, (module, _) in PARTS.items() if module.startswith("quality.")]
    parts = [name for name in PARTS if name not in of_diagnoses]
    command = [sys.executable, "-m", "benchmarks", *parts, "--rounds", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    measured = {path.stem for path in tmp_path.glob("*.json")}
    expected = [name for name in _table.budgets() if not name.startswith(tuple(f"{part}-" for part in of_diagnoses))]
    assert set(expected) <= measured
    assert all(name in done.stdout for name in measured)


def test_the_table_of_the_readme_is_replaced_and_nothing_else() -> None:
    """What stands before and after the marks stays; a missed budget is told."""
    rows = [(name, f"what {name}", "0.30 x", "<= 0.25", "OVER", "") for name in _table.IN_README]
    page = _table.readme(f"before\n{_table.BEGIN}old\n{_table.END}\nafter\n", rows)
    assert page.startswith(f"before\n{_table.BEGIN}| what |")
    assert page.endswith(f"{_table.END}\nafter\n")
    assert "| what record-array | 0.30 x | <= 0.25 (missed) | `record-array` |" in page
    assert "old" not in page


def test_a_readme_without_marks_is_refused() -> None:
    """The summary never guesses where the table belongs."""
    with pytest.raises(ValueError, match=r"README\.md has no table"):
        _table.readme("no marks", [])


PAGE = """# Overhead

| id | what | ratio | budget | verdict | in absolute terms | measured |
|---|---|---|---|---|---|---|
| record-array | an \\| array | 0.30 x | <= 0.25 | OVER | 2 us | 2026-01-01, Python 3.11.7, 11 rounds |
| gone-by | what | 1.00 x |  |  |  | 2026-01-02, Python 3.11.7, 11 rounds |
"""


def test_lines_of_the_summary_are_replaced_by_id_and_dated() -> None:
    """A measured line takes the place of the former one, a new one comes last, and a line that was not measured keeps its date."""
    rows = [
        ("new-one", "a | b", "2.00 x", "", "", ""),
        ("record-array", "an | array", "0.20 x", "<= 0.25", "within", "1 us"),
    ]
    page = _table.summary(PAGE, rows, 5)
    first, second, third = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert first.startswith("| record-array | an \\| array | 0.20 x | <= 0.25 | within | 1 us | 20")
    assert first.endswith(", 5 rounds |")
    assert second == "| gone-by | what | 1.00 x |  |  |  | 2026-01-02, Python 3.11.7, 11 rounds |"
    assert third.startswith("| new-one | a \\| b | 2.00 x |")
    again = _table.summary(page, [], 5)
    assert [line for line in again.splitlines() if line.startswith("| ")][1:] == [first, second, third]


def test_lines_of_the_readme_that_were_not_measured_stay() -> None:
    """A summary of some parts changes the lines of these parts only."""
    rows = [(name, "what", "0.30 x", "<= 0.25", "OVER", "") for name in _table.IN_README]
    full = _table.readme(f"{_table.BEGIN}{_table.END}", rows)
    assert _table.readme(full, []) == full
    changed = _table.readme(full, [("tail-p99_9", "what", "9.00 x", "", "", "")])
    assert changed == full.replace(
        "| what | 0.30 x | <= 0.25 (missed) | `tail-p99_9` |", "| what | 9.00 x |  | `tail-p99_9` |"
    )
