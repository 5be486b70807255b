"""Every code block of the documentation runs, page by page, in the order in which it is read.

A page is one script in an empty folder. A block of Python or TOML with a title is a file of that name. In the pages of `WALKED`, a console
block is run command by command: `radiosonde ...` and `python FILE` are run and must exit with 0, or with the code that a comment on
the line names. What installs or serves is not run here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WALKED = (
    "start.md",
    "baselines.md",
    "bench.md",
    "canary.md",
    "diagnose.md",
    "incidents.md",
    "runbooks.md",
    "tutorials/",
    "migrating/",
)

BLOCK = re.compile(r"^```(python|toml|console)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUNS = re.compile(r"(?:[A-Z_]+=\S+ )*(?:radiosonde|python) \S.*")
EXIT_CODE = re.compile(r"\s+# exit code (\d)$")

RUN = """
def __run__(line, code):
    import subprocess
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"{line}: exit code {done.returncode}\\n{done.stdout}{done.stderr}"
"""


def script_of(page: str, *, is_walked: bool) -> str:
    """Return the blocks of *page* as one script, files and commands in their places."""
    parts = [RUN]
    for language, title, block in BLOCK.findall(page):
        if title:
            parts.append(f"open({title!r}, 'w').write({block!r})\n")
        elif language == "python":
            parts.append(block)
        elif is_walked:
            for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                if RUNS.fullmatch(line):
                    code = EXIT_CODE.search(line)
                    parts.append(f"__run__({EXIT_CODE.sub('', line)!r}, {code[1] if code else 0})\n")
    return "\n".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_the_blocks_of_a_page_run_in_their_order(path: Path, tmp_path: Path) -> None:
    """Python blocks run without an error or a warning; commands of tutorials exit as the page says."""
    name = path.relative_to(DOCS).as_posix()
    text = path.read_text("utf-8")
    if not BLOCK.search(text):
        pytest.skip("no block of Python or of the console")
    script = tmp_path / "page.py"
    script.write_text(script_of(text, is_walked=name.startswith(WALKED)), "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "RADIOSONDE_"))}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_block_that_fails_and_a_wrong_exit_code_are_found(tmp_path: Path) -> None:
    """The runner itself: a command that exits otherwise, or a block that raises, fails its page."""
    page = (
        '```python title="x.py"\nraise SystemExit(3)\n```\n```console\n$ python x.py  # exit code {}\n$ rm -r /\n```\n'
    )
    for told, code in ((3, 0), (0, 1)):
        script = tmp_path / "page.py"
        script.write_text(script_of(page.format(told), is_walked=True), "utf-8")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False
        )  # fmt: skip
        assert done.returncode == code
        assert "rm -r" not in script.read_text("utf-8")


def test_the_tutorials_have_something_to_run() -> None:
    """Start page and tutorials hold Python and commands, and each begins with an example."""
    for name in ("start.md", *(f"tutorials/{path.name}" for path in (DOCS / "tutorials").glob("*.md"))):
        assert "```python" in (DOCS / name).read_text("utf-8"), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_every_command_that_a_page_names_exists(path: Path) -> None:
    """`radiosonde WORD` in code is a command of the command line."""
    text = path.read_text("utf-8")
    named = set(re.findall(r"(?:`|^\$ |^    )(?:[A-Z_]+=\S+ )*radiosonde ([a-z]+)\b", text, re.MULTILINE))
    assert named <= {command.name for command in COMMANDS}
