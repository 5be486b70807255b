"""One wheel, made from both source roots, carries the code, its types, its licence and its registry of names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree, with the build backend of this environment."""
    tree = tmp_path_factory.mktemp("tree")
    for source in ("src", "integrations"):
        shutil.copytree(ROOT / source, tree / source, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDED:
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=400, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = (tree / "dist").iterdir()
    return built


def test_wheel_holds_every_file_of_both_roots(wheel: Path) -> None:
    """All files of the three packages are in the wheel, and nothing else except metadata."""
    expected = {
        path.relative_to(root).as_posix()
        for root in (ROOT / "src", ROOT / "integrations")
        for package in ("radiosonde", "radiosonde_demo", "radiosonde_integrations")
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"radiosonde/py.typed", "radiosonde_integrations/__init__.py", "radiosonde/_version.py"} <= names


def test_wheel_metadata_is_complete(wheel: Path) -> None:
    """The metadata names licence, floor of Python, command and extras."""
    archive = zipfile.ZipFile(wheel)
    metadata = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "License-Expression: Apache-2.0" in metadata["METADATA"]
    assert "Requires-Python: >=3.11" in metadata["METADATA"]
    assert {"Provides-Extra: demo", "Provides-Extra: desk"} <= set(metadata["METADATA"].splitlines())
    assert "radiosonde = radiosonde.cli:main" in metadata["entry_points.txt"]
    assert "Apache License" in metadata["LICENSE"]
