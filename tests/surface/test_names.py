"""No two public classes have one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "integrations")


def public_classes() -> dict[str, list[str]]:
    """Return the files of each public class at the top of a module, by its name."""
    files = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    files[node.name].append(path.relative_to(ROOT).as_posix())
    return files


def test_no_two_public_classes_have_one_name() -> None:
    """A second class of a name is refused: rename one of the two after what distinguishes it."""
    classes = public_classes()
    assert len(classes) > 200
    assert {name: files for name, files in classes.items() if len(files) > 1} == {}
