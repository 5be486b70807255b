"""Fetches the libraries of the desk's pages from npm, and checks their hashes: ``python tools/vendor_desk.py [--check]``.

The files lie in ``src/radiosonde/desk/static/vendor`` with their licences, so that a user needs neither npm nor a network. ``vendor.toml``
there pins the version of each package and the SHA-256 of each file. To take a newer version, change it there, run this with ``--pin``, and
review the difference.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src/radiosonde/desk/static/vendor"
PINS = FOLDER / "vendor.toml"


def main(arguments: list[str]) -> int:
    """Fetch or check every file and return the exit code."""
    packages = tomllib.loads(PINS.read_text("utf-8"))
    if "--check" not in arguments:
        for name, package in packages.items():
            fetch(package.get("package", name), package["version"], package["files"])
    if "--pin" in arguments:
        pin(packages)
        packages = tomllib.loads(PINS.read_text("utf-8"))
    faults = faults_of(packages)
    print("\n".join(faults) or f"{sum(len(each['files']) for each in packages.values())} files are as pinned")
    return 1 if faults else 0


def faults_of(packages: dict[str, dict[str, object]], folder: Path = FOLDER) -> list[str]:
    """Return a sentence for each file that is missing, not pinned, or not the one that is pinned."""
    pinned = {file["as"]: file["sha256"] for package in packages.values() for file in package["files"].values()}  # type: ignore[attr-defined]
    faults = [f"{name} is not pinned in vendor.toml" for name in sorted(_names(folder) - set(pinned))]
    for name, digest in pinned.items():
        path = folder / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if found != digest:
            faults.append(f"{name} is {found}, not {digest}; run: python tools/vendor_desk.py")
    return faults


def fetch(name: str, version: str, files: dict[str, dict[str, str]]) -> None:
    """Write *files* of a package into the folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for inside, file in files.items():
                member = packed.extractfile(f"package/{inside}")
                assert member is not None, inside  # noqa: S101
                with (FOLDER / file["as"]).open("wb") as target:
                    shutil.copyfileobj(member, target)


def pin(packages: dict[str, dict[str, object]]) -> None:
    """Write the hashes of the files into vendor.toml."""
    text = PINS.read_text("utf-8")
    for package in packages.values():
        for file in package["files"].values():  # type: ignore[attr-defined]
            digest = hashlib.sha256((FOLDER / file["as"]).read_bytes()).hexdigest()
            text = re.sub(rf'(as = "{re.escape(file["as"])}", sha256 = )"[^"]*"', rf'\1"{digest}"', text)
    PINS.write_text(text, "utf-8")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {PINS.name}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
