"""Writes the assets that ship as they are, into ``integrations/<backend>/``, and the page of alerts, ``docs/alerts.md``.

python tools/generate_assets.py            write the files
python tools/generate_assets.py --check    exit 1 and list those that are out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from radiosonde.assets import BACKENDS, Asset, AssetOptions
from radiosonde.assets.prometheus.page import alerts_page
from radiosonde.assets.writing import stale, write

REPOSITORY = Path(__file__).resolve().parents[1]


def generated() -> list[Asset]:
    """Return every generated file, by its path in the repository."""
    made = [
        Asset(f"integrations/{backend.name}/{asset.path}", asset.content)
        for backend in BACKENDS
        for asset in backend.make(AssetOptions())
    ]
    return [*made, Asset("docs/alerts.md", alerts_page())]


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    if not parser.parse_args(arguments).check:
        write(generated(), REPOSITORY)
        return 0
    found = stale(generated(), REPOSITORY)
    for path in found:
        print(f"{path.relative_to(REPOSITORY)} is out of date; run: python tools/generate_assets.py")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
