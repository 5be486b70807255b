"""The page on the architecture is true: its files exist, its picture is of the imports there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")


def test_every_file_of_the_walks_exists() -> None:
    """Each file that a step names is there; a name without a folder lies beside the one before it."""
    folder = ""
    named = 0
    for step in re.findall(r"^\| \d+ \| (.*?) \|", PAGE, re.MULTILINE):
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", step):
            folder = name.rpartition("/")[0] or folder
            path = ROOT / "src/radiosonde" / (name if "/" in name else f"{folder}/{name}")
            assert path.exists(), f"{name}: correct docs/explanation/architecture.md"
            named += 1
    assert named > 35


def test_the_picture_is_of_the_imports_there_are() -> None:
    """The tool that draws the picture finds it up to date."""
    tool = ROOT / "tools/generate_architecture.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
