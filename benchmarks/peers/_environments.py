"""An isolated environment per peer, made by uv from locked requirements, kept until those change (`make clean` removes it)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".bench-peers"
REQUIREMENTS = Path(__file__).parent / "requirements"
OURS = "radiosonde_all"
TIMEOUT_S = 300


class NoEnvironmentError(Exception):
    """An environment could not be made; the message is what its installer said."""


def environment(peer: str) -> Path:
    """Return the interpreter of a peer's environment, made now if it is not there or its requirements changed.

    Raises:
        NoEnvironmentError: it cannot be installed here; the message says why.
    """
    folder, locked = CACHE / peer, REQUIREMENTS / f"{peer}.txt"
    made, python = folder / ".made", folder / "bin" / "python"
    wanted = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()
    if not made.is_file() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([_uv(), "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(locked)])
        made.write_text(wanted)
    if peer == OURS:
        _install_this_tree(python)
    return python


def _install_this_tree(python: Path) -> None:
    """Install Radiosonde as its users get it: a wheel of the tree as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder])
        (wheel,) = Path(folder).glob("*.whl")
        install = [_uv(), "pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", str(python), str(wheel)]
        _run(install)


def _uv() -> str:
    ours = ROOT / ".tools" / "bin" / "uv"
    found = str(ours) if ours.exists() else shutil.which("uv")
    if found is None:
        raise NoEnvironmentError("uv is missing; `make bench B=--peers` installs it")
    return found


def _run(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise NoEnvironmentError(f"not installed within {TIMEOUT_S} s: {' '.join(command[1:4])}") from error
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or error.stdout or "no reason given").split())
        raise NoEnvironmentError(said[-300:]) from error


def weight(python: Path) -> tuple[int, int]:
    """Return the bytes installed beyond numpy, byte code aside, and the number of distributions they belong to."""
    (packages,) = (python.parents[1] / "lib").glob("python3*/site-packages")
    total = 0
    for path in packages.rglob("*"):
        top = path.relative_to(packages).parts[0]
        if not _is_beside(top) and "__pycache__" not in path.parts and path.is_file() and not path.is_symlink():
            total += path.stat().st_size
    distributions = [path for path in packages.glob("*.dist-info") if not _is_beside(path.name)]
    return total, len(distributions)


def _is_beside(top: str) -> bool:
    """Return whether a name in site-packages is numpy's or the environment's own."""
    return top in ("numpy", "numpy.libs", "_virtualenv.py", "_virtualenv.pth") or top.startswith("numpy-")


def version(python: Path, distribution: str) -> str:
    """Return the version of what is installed there, or an empty text."""
    (packages,) = (python.parents[1] / "lib").glob("python3*/site-packages")
    for path in packages.glob(f"{distribution.replace('-', '_')}-*.dist-info"):
        return path.name.removesuffix(".dist-info").rpartition("-")[2]
    return ""
