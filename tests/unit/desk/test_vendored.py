"""The libraries of the pages are those that are pinned, each with its licence, and nothing of a page comes from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DESK = ROOT / "src/radiosonde/desk"


def tool():
    """Return the module of ``tools/vendor_desk.py``."""
    spec = importlib.util.spec_from_file_location("vendor_desk", ROOT / "tools/vendor_desk.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_vendored_file_is_the_pinned_one():
    """Each file has the hash of vendor.toml, and each package its licence."""
    module = tool()
    packages = tomllib.loads(module.PINS.read_text())
    assert module.faults_of(packages) == []
    for package in packages.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert any(file["as"].endswith(".LICENSE") for file in package["files"].values())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda folder: (folder / "uplot.js").write_text("other"), "uplot.js is d9298a10"),
        (lambda folder: (folder / "htmx.LICENSE").unlink(), "htmx.LICENSE is missing"),
        (lambda folder: (folder / "more.js").write_text(""), "more.js is not pinned"),
    ],
    ids=["changed", "removed", "added"],
)
def test_a_file_that_is_not_the_pinned_one_is_found(tmp_path, change, fault):
    """A changed, a removed and an added file are each reported with the command that fetches them."""
    module = tool()
    folder = tmp_path / "vendor"
    shutil.copytree(module.FOLDER, folder)
    change(folder)
    (found,) = module.faults_of(tomllib.loads(module.PINS.read_text()), folder)
    assert found.startswith(fault)


def test_no_page_names_another_host():
    """Templates, styles and our own scripts hold no address of another host, no inline style and no handler."""
    own = [*DESK.glob("templates/*.html"), *DESK.glob("static/*")]
    for path in (each for each in own if each.is_file()):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(http|\sstyle=|\son[a-z]+=|<style|javascript:", text), path.name
