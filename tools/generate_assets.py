"""Write the assets that ship as they are into ``integrations/<backend>/``, and the pages about them in ``docs``.

python tools/generate_assets.py            write the files
python tools/generate_assets.py --check    exit 1 and list those that are out of date
"""

from __future__ import annotations

import sys

from _generated import run

from radiosonde.assets import BACKENDS, AssetOptions, runbooks
from radiosonde.assets.prometheus.page import alerts_page
from radiosonde.assets.views.page import views_page

RUNBOOKS = ("docs/runbooks/", "integrations/prometheus/runbooks/")
"""Folders of the runbooks: part of the documentation, and beside the rules, whose links lead there."""

CHAIN = "compose"
"""The backend whose folder is ``integrations`` itself, where the files that it mounts already are."""


def generated() -> dict[str, str]:
    """Return the content of every generated file by its path in the repository."""
    files = {
        "/".join(["integrations", *([] if backend.name == CHAIN else [backend.name]), asset.path]): asset.content
        for backend in BACKENDS
        if backend.name != "runbooks"
        for asset in backend.make(AssetOptions())
    }
    pages = {folder + asset.path: asset.content for folder in RUNBOOKS for asset in runbooks.make(AssetOptions())}
    return {**files, **pages, "docs/alerts.md": alerts_page(), "docs/views.md": views_page()}


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or check them."""
    return run(__file__, __doc__, generated, arguments)


if __name__ == "__main__":
    sys.exit(main())
