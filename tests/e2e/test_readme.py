"""The README is true: its Python runs, its commands and files exist, its figures are those last measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_python_blocks_run_one_after_the_other(tmp_path: Path) -> None:
    """Pasted into one file in the README's order, the blocks run without an error or a warning."""
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks("python")), "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "RADIOSONDE_"))}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "delays.reference.json").is_file()


def test_there_are_python_blocks() -> None:
    """The test above has something to run."""
    assert len(blocks("python")) >= 2


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)\b", README))))
def test_make_targets_exist(target: str) -> None:
    """Every `make ...` of the README is a target of the Makefile with a line of help."""
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_commands_exist() -> None:
    """Every `radiosonde ...` command of the README is one of the command line's."""
    named = set(re.findall(r"`radiosonde ([a-z]+)", README))
    assert named <= {command.name for command in COMMANDS}
    assert "diagnose" in named


def test_the_readme_fits_on_a_screen() -> None:
    """The README stays short: about ninety lines, at most a hundred and fifty columns."""
    lines = README.splitlines()
    assert len(lines) <= 92
    assert max(map(len, lines)) <= 150


def test_the_figures_are_those_of_the_last_measurement() -> None:
    """Each line of the table of costs repeats the ratio that stands in benchmarks/RESULTS.md."""
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    measured = {
        cells[1].strip(): cells[3].strip() for line in results.splitlines() if len(cells := line.split("|")) > 5
    }
    shown = re.findall(r"^\| .*? \| (.*?) \| .*? \| `([a-z0-9_-]+)` \|$", README, flags=re.MULTILINE)
    assert len(shown) >= 4
    assert {name: ratio for ratio, name in shown} == {name: measured[name] for _, name in shown}


def test_the_figures_of_the_peers_are_those_of_the_last_comparison() -> None:
    """Each figure of the table of peers stands in that peer's line of benchmarks/peers/RESULTS.md."""
    results = (ROOT / "benchmarks" / "peers" / "RESULTS.md").read_text("utf-8")
    measured = {cells[1].strip(): cells for line in results.splitlines() if len(cells := line.split("|")) > 10}
    shown = README.partition('B="--peers --summary" -->')[2].partition("<!-- end of peers -->")[0]
    lines = [[cell.strip() for cell in line.split("|")] for line in shown.strip().splitlines()[2:]]
    assert len(lines) == 5
    for _, name, *figures, _, _ in lines:
        cells = [cell.strip() for cell in measured[name]]
        over, cpu, memory, _, installed, imported, first = cells[4:11]
        assert figures == [over, cpu, memory, installed.partition(" in ")[0], imported, first]
