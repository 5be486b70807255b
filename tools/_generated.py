"""Write generated files, or check that they are up to date: what every generator of this folder shares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def run(
    script: str, doc: str | None, generated: Callable[[], Mapping[str, str]], arguments: list[str] | None = None
) -> int:
    """Write what *generated* returns, or check it; return the exit code.

    Args:
        script: ``__file__`` of the generator.
        doc: its docstring; the first line becomes its help.
        generated: returns the content of each file by its path in the repository.
        arguments: of the command line; None takes those of the process.
    """
    return write_or_check(script, generated(), make_parser(doc).parse_args(arguments))


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every generator."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY, help="folder to write below; default: the repository"
    )
    return parser


def write_or_check(script: str, files: Mapping[str, str], options: argparse.Namespace) -> int:
    """Write the files that differ; with ``--check``, list them instead and return 1 if there are any."""
    stale = []
    for name, text in files.items():
        path = options.output / name
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(path)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    if not options.check:
        return 0
    for path in stale:
        shown = path.relative_to(options.output)
        print(f"{shown} is out of date; run: python tools/{Path(script).name}", file=sys.stderr)
    return 1 if stale else 0
