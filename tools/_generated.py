"""Writes generated files, or checks that they are what they would be: what the generators with several files share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def write_or_check(
    script: str, doc: str | None, generated: Callable[[], Mapping[Path, str]], arguments: list[str] | None
) -> int:
    """Write the files that differ; with ``--check``, list them instead. Return the exit code.

    Args:
        script: name of the generator in this folder.
        doc: its docstring, whose first line describes it.
        generated: returns what each file should hold.
        arguments: of the command line; None takes the process's own.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    is_check = parser.parse_args(arguments).check
    files = generated()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    if is_check:
        for path in stale:
            print(f"{path.relative_to(REPOSITORY)} is out of date; run: python tools/{script}")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path], encoding="utf-8")
    return 0
