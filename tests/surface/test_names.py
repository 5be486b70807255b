"""No two public classes have one name, apart from a list that only shrinks."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/radiosonde", "integrations/radiosonde_integrations")
SHARED = {
    "Answer",
    "Blocks",
    "Columns",
    "Declared",
    "Flight",
    "Grid",
    "Health",
    "Keys",
    "Label",
    "Line",
    "Parts",
    "Place",
    "Prediction",
    "Reading",
    "Table",
}
"""Names that two classes still share. Rename one of them and take the name out; add none."""


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
    """A second class of a name is refused, and a name that is no longer shared leaves the list."""
    classes = public_classes()
    assert len(classes) > 200
    assert {name: files for name, files in classes.items() if len(files) > 1 and name not in SHARED} == {}
    assert {name for name in SHARED if len(classes[name]) < 2} == set()
