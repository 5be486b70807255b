"""Runs the tests of the plug-ins against the oldest and the newest version of their libraries: `make test-matrix`.

The rows are in `libraries.toml`. An environment is kept while what it is made of stays the same; the packages come out of
uv's cache. Rows run side by side. Nothing outlives the time limit: what still runs then is killed, and failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".tools/matrix"
TESTERS = ("pytest>=8.2", "pytest-asyncio>=0.23", "pytest-timeout>=2.3", "hypothesis>=6.100")
LIMIT_S = 1800
TEST_LIMIT_S = 600
"""Of one test, for one that hangs: rows share the machine with each other, and old libraries start slowly."""

EXAMPLE = "tests/e2e/test_examples.py::test_an_example_ends_well_and_shows_what_it_promises"
SHOWN_LINES = 60


@dataclass(frozen=True)
class Row:
    """One environment and its tests; the fields are explained in `libraries.toml`."""

    library: str
    requirements: list[str]
    tests: list[str]
    example: str = ""
    python: str = "3.11"
    requires: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    @property
    def stamp(self) -> str:
        """Return the identity of the environment: when it changes, it is recreated."""
        parts = [*self.requirements, self.python, *TESTERS, (ROOT / "pyproject.toml").read_text()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def place(self) -> Path:
        """Return where the environment is."""
        name = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in self.requirements[0])
        return ENVIRONMENTS / name

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables for the tests: bytecode is written, even if Python was configured not to.

        uv compiles nothing, and the tests start dozens of interpreters that import the library: 15 s of CPU each.
        """
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPYCACHEPREFIX": str(self.place / "compiled")}


class Matrix:
    """Makes environments and runs tests in them, until a deadline.

    Args:
        uv: the program.
        deadline: of `time.monotonic`.
    """

    def __init__(self, uv: str, deadline: float) -> None:
        self._uv = uv
        self._deadline = deadline

    def run(self, row: Row) -> bool:
        """Run one row, print one line about it and, if it failed, the end of its output; return whether it passed."""
        start = time.monotonic()
        code, said = self._make(row)
        made = time.monotonic()
        if code == 0 and row.requires:
            code, said = self._call([row.place / "bin/python", "-c", f"import {', '.join(row.requires)}"])
        if code == 0:
            pytest = [row.place / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            tests = [*row.tests, f"{EXAMPLE}[{row.example}]"] if row.example else row.tests
            code, said = self._call([*pytest, "-o", f"timeout={TEST_LIMIT_S}", *row.options, *tests], row.environment)
        lines = said.strip().splitlines()
        verdict = "passed" if code == 0 else "FAILED"
        last = lines[-1] if lines else ""
        took = f"{time.monotonic() - start:.0f} s, {made - start:.0f} of them for the environment"
        report = [f"{verdict} {', '.join(row.requirements)}: {last} ({took})"]
        print("\n".join(report if code == 0 else [*report, *lines[-SHOWN_LINES:]]), flush=True)
        return code == 0

    def _make(self, row: Row) -> tuple[int, str]:
        stamp = row.place / ".ready"
        if stamp.is_file() and stamp.read_text() == row.stamp:
            return 0, ""
        shutil.rmtree(row.place, ignore_errors=True)
        code, said = self._call([self._uv, "venv", "--quiet", "--python", row.python, row.place])
        if code == 0:
            wanted = ["--editable", ".[instrument,otel]", *TESTERS, *row.requirements]
            code, said = self._call([self._uv, "pip", "install", "--quiet", "--python", row.place, *wanted])
        if code == 0:
            stamp.write_text(row.stamp)
        return code, said

    def _call(self, command: list[str | Path], environment: dict[str, str] | None = None) -> tuple[int, str]:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            return 1, "no time left"
        # A group of its own: what the tests start goes with them.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=left_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            return 1, f"{said}\nno time left"
        return process.returncode, said


def main() -> int:
    """Run the rows that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", help="only these (default: all)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for everything (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="rows side by side (default: processors)")
    arguments = parser.parse_args()
    rows = [Row(**row) for row in tomllib.loads((ROOT / "tests/matrix/libraries.toml").read_text())["row"]]
    unknown = set(arguments.libraries) - {row.library for row in rows}
    if unknown:
        parser.error(
            f"no row for {', '.join(sorted(unknown))}; there are {', '.join(sorted({r.library for r in rows}))}"
        )
    chosen = [row for row in rows if not arguments.libraries or row.library in arguments.libraries]
    local = ROOT / ".tools/bin/uv"
    uv = str(local) if local.is_file() else shutil.which("uv")
    if uv is None:
        parser.error("uv is neither in .tools/bin nor on the PATH; `make test-matrix` installs it")
    matrix = Matrix(uv, time.monotonic() + arguments.limit)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        return 0 if all([*pool.map(matrix.run, chosen)]) else 1


if __name__ == "__main__":
    sys.exit(main())
