"""Draw the packages of the library on their floors, with an arrow for every import between packages.

python tools/generate_architecture.py            write docs/explanation/imports.svg
python tools/generate_architecture.py --check    exit 1 if it is out of date

Floors come from the first import contract of pyproject.toml, arrows from the import statements of the source.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

from _generated import REPOSITORY, run

SOURCE = REPOSITORY / "src/radiosonde"
PICTURE = "docs/explanation/imports.svg"

WIDTH, FLOOR_HEIGHT, BOX_HEIGHT, LEFT, TOP = 1120, 92, 34, 24, 24
FRONT_DOOR = "radiosonde"


def generated() -> dict[str, str]:
    """Return the picture."""
    return {PICTURE: draw(floors(), arrows())}


def floors() -> list[list[str]]:
    """Return the packages of each floor, top first, as the import contract lists them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[FRONT_DOOR], *(re.findall(r"\((\w+)\)", layer) for layer in layers)]


def arrows() -> set[tuple[str, str]]:
    """Return which package imports from which other one, as (importer, imported)."""
    found: set[tuple[str, str]] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        importer = FRONT_DOOR if parts == ("__init__",) else parts[0]
        found |= {
            (importer, package) for module in _imported(path) if (package := _package(module)) and package != importer
        }
    return found


def _imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == FRONT_DOOR
            modules |= {f"{FRONT_DOOR}.{name.name}" for name in node.names} if whole else {node.module}
    return modules


def _package(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != FRONT_DOOR or len(parts) < 2:
        return None
    name = parts[1]
    return name if (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file() else None


def draw(rows: list[list[str]], imports: set[tuple[str, str]]) -> str:
    """Return the picture: a row per floor, a box per package, a line per import.

    Left out are imports of the ground floor, whose nouns and doors everybody uses, and those within a floor.
    """
    places: dict[str, tuple[float, float]] = {}
    boxes: list[str] = []
    for floor, names in enumerate(rows):
        step = (WIDTH - 2 * LEFT) / len(names)
        y = TOP + floor * FLOOR_HEIGHT
        for position, name in enumerate(names):
            x = LEFT + step * (position + 0.5)
            places[name] = (x, y)
            size = 12 if step > 100 else 10
            width = min(step - 8, 16 + 7.2 * len(name))
            boxes.append(
                f'<g><rect x="{x - width / 2:.0f}" y="{y}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="4"/>'
                f'<text x="{x:.0f}" y="{y + 21}" font-size="{size}">{name}</text></g>'
            )
    lines = []
    for importer, imported in sorted(imports):
        (x, y), (u, v) = places[importer], places[imported]
        if y < v and imported not in rows[-1]:
            lines.append(
                f'<path d="M{x:.0f} {y + BOX_HEIGHT} C{x:.0f} {y + 64}, {u:.0f} {v - 30}, {u:.0f} {v}">'
                f"<title>{importer} imports {imported}</title></path>"
            )
    height = TOP + FLOOR_HEIGHT * len(rows)
    style = (
        "svg{background:#fff} rect{fill:#f3f6fa;stroke:#5b6b7d} text{text-anchor:middle;fill:#1c2733} "
        "path{fill:none;stroke:#6d86a1;stroke-opacity:.7} path:hover{stroke:#c2410c;stroke-width:2.5}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="monospace">'
    title = "<title>Packages on their floors; imports point downward</title>"
    return "\n".join([head, title, f"<style>{style}</style>", *lines, *boxes, "</svg>", ""])


def main(arguments: list[str] | None = None) -> int:
    """Write the picture, or check it."""
    return run(__file__, __doc__, generated, arguments)


if __name__ == "__main__":
    sys.exit(main())
