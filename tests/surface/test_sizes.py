"""Nothing grows beyond what one can hold in mind: lines per module, function, test file and example."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES = 60
# The first pattern that matches gives a file its limit, and says what to do when it is over.
LIMITS = (
    ("tests/**/conftest.py", 120, "move fixtures into the folder whose tests use them"),
    ("tests/**/*.py", 500, "make a folder of it, one file per behaviour"),
    ("examples/*.py", 60, "show one thing; begin another example for the next"),
    # Tables generated from the registry, one entry per name.
    ("src/radiosonde/semconv/*.py", 1000, "split the registry by subject, and generate a module for each"),
    ("src/**/*.py", 500, "move one mechanism into a module of its own"),
    ("integrations/**/*.py", 500, "move one mechanism into a module of its own"),
    ("benchmarks/**/*.py", 500, "move one measurement into a module of its own"),
)


def oversized(tree: Path) -> list[str]:
    """Return one sentence, with what to do, for each file and function over its limit."""
    faults: list[str] = []
    seen: set[Path] = set()
    for pattern, limit, advice in LIMITS:
        for path in sorted(set(tree.glob(pattern)) - seen):
            seen.add(path)
            text = path.read_text()
            place = path.relative_to(tree).as_posix()
            lines = len(text.splitlines())
            if lines > limit:
                faults.append(f"{place} has {lines} lines, {limit} allowed: {advice}")
            faults += [f"{place}:{fault}" for fault in _long_functions(ast.parse(text))]
    return faults


def _long_functions(module: ast.Module) -> list[str]:
    faults = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node, clean=False) is not None
            prose = (first.end_lineno or 0) - first.lineno + 1 if documented else 0  # explaining is never too long
            lines = (node.end_lineno or 0) - node.lineno + 1 - prose
            if lines > FUNCTION_LINES:
                faults.append(
                    f"{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} allowed: name a step of it"
                )
    return faults


def test_every_size_is_kept() -> None:
    """Every module, function, test file and example of this tree is within its limit."""
    assert oversized(ROOT) == []


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        ("src/radiosonde/big.py", 501),
        ("integrations/radiosonde_integrations/big.py", 501),
        ("tests/unit/big/test_big.py", 501),
        ("tests/conftest.py", 121),
        ("examples/01_big.py", 61),
    ],
)
def test_a_line_too_many_is_found(tmp_path: Path, place: str, lines: int) -> None:
    """A file one line over its limit is named with its count; one line less passes."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text("x = 1\n" * lines)
    (fault,) = oversized(tmp_path)
    assert fault.startswith(f"{place} has {lines} lines, {lines - 1} allowed: ")
    path.write_text("x = 1\n" * (lines - 1))
    assert oversized(tmp_path) == []


def test_a_long_function_is_found(tmp_path: Path) -> None:
    """A function, method or coroutine of 61 lines is named; its docstring does not count."""
    path = tmp_path / "src" / "long.py"
    path.parent.mkdir()
    prose = '        """One.\n\n        Two.\n        """\n'
    body = "        x = 1\n"
    path.write_text("class C:\n    async def long(self):\n" + prose + body * 60)
    assert oversized(tmp_path) == ["src/long.py:2: long has 61 lines, 60 allowed: name a step of it"]
    path.write_text("class C:\n    async def long(self):\n" + prose + body * 59)
    assert oversized(tmp_path) == []
