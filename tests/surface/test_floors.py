"""The floors hold: contracts of import-linter, and the two rules about names it cannot express."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "integrations")
# Applications of the library, not parts of it: they use it as anybody would.
APPLICATIONS = ("src/radiosonde_demo/", "integrations/")


def run_contracts(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a tree that has pyproject.toml and both source roots."""
    path = os.pathsep.join(str(tree / source) for source in SOURCES)
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def name_faults(tree: Path) -> list[str]:
    """Return the imports that reach around the contracts, one sentence each."""
    faults: list[str] = []
    for source in SOURCES:
        for path in sorted((tree / source).rglob("*.py")):
            place = path.relative_to(tree).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                faults += [f"{place}:{line}: {fault}" for line, fault in _faults_of(node, place)]
    return faults


def _faults_of(node: ast.AST, place: str) -> list[tuple[int, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
        "importlib.import_module",
        "import_module",
        "__import__",
    }:
        hidden = [
            a.value for a in node.args[:1] if isinstance(a, ast.Constant) and str(a.value).startswith("radiosonde")
        ]
        return [(node.lineno, f"{name!r} is imported by its text; write an import statement") for name in hidden]
    else:
        return []
    if place.startswith(APPLICATIONS):
        private = [name for name in names if name.startswith("radiosonde._")]
        return [
            (node.lineno, f"{name} is private; a plug-in or an application uses public names only") for name in private
        ]
    # The root itself re-exports its module `errors`; `import radiosonde.errors` there would bind the wrong name.
    if "radiosonde" in names and place != "src/radiosonde/__init__.py":
        return [(node.lineno, "imports the package root; import from the module that defines the name")]
    return []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the source tree that a test may break."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold() -> None:
    """Every import-linter contract in pyproject.toml is kept."""
    result = run_contracts(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("src/radiosonde/model/broken.py", "import radiosonde._pipeline", "Floors"),
        ("src/radiosonde/model/broken.py", "def late():\n    from radiosonde import store", "Floors"),
        ("src/radiosonde/_record/broken.py", "import radiosonde._aggregate", "Floors"),
        ("src/radiosonde/homeless.py", "", "Floors"),
        ("src/radiosonde/diagnose/broken.py", "import radiosonde._ring", "Wings: the desk"),
        ("src/radiosonde/_pipeline/broken.py", "import radiosonde.sources", "Wings: what runs"),
        ("src/radiosonde/_pipeline/broken.py", "def late():\n    from radiosonde._api import surface", "Floors"),
        ("src/radiosonde/bench/broken.py", "import radiosonde_demo.flights", "Demo"),
    ],
    ids=[
        "upward",
        "upward-in-function",
        "sibling",
        "module-without-floor",
        "desk-to-host",
        "host-to-desk",
        "host-to-public-functions",
        "library-to-demo",
    ],
)
def test_a_broken_import_breaks_its_contract(tree: Path, module: str, statement: str, contract: str) -> None:
    """An arrow that points up, sideways or across the wings makes the linter fail and name the contract."""
    (tree / module).write_text(statement + "\n")
    result = run_contracts(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [line for line in result.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), result.stdout


def test_nothing_reaches_around_the_contracts() -> None:
    """No module imports its own root, hides an import in a text, or (a plug-in) uses a private name."""
    assert name_faults(ROOT) == []


@pytest.mark.parametrize(
    ("module", "statement", "fault"),
    [
        ("src/radiosonde/export/broken.py", "import radiosonde", "package root"),
        ("src/radiosonde/export/broken.py", "import radiosonde as rs", "package root"),
        ("src/radiosonde/export/broken.py", "def late():\n    from radiosonde import observe", "package root"),
        ("src/radiosonde/export/broken.py", "importlib.import_module('radiosonde._ring')", "by its text"),
        ("integrations/radiosonde_integrations/broken.py", "from radiosonde._record import schema", "is private"),
        ("integrations/radiosonde_integrations/broken.py", "from radiosonde import _settings", "is private"),
        ("src/radiosonde_demo/broken.py", "import radiosonde._ring", "is private"),
    ],
)
def test_a_way_around_is_found(tmp_path: Path, module: str, statement: str, fault: str) -> None:
    """Each way around the contracts is reported with its place."""
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(statement + "\n")
    found = name_faults(tmp_path)
    assert found
    assert all(text.startswith(module) and fault in text for text in found)


def test_applications_may_import_the_root(tmp_path: Path) -> None:
    """The demo and the plug-ins import the package as its users do."""
    for place in ("src/radiosonde_demo", "integrations/radiosonde_integrations"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "fine.py").write_text("import radiosonde as rs\n")
    assert name_faults(tmp_path) == []
