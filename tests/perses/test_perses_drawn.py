"""Perses's own components take the dashboards: their types, and what they draw in a browser over a real Prometheus.

There is no Perses server to be had as a program, but its panels, filters and plug-ins are packages of npm. ``make test-perses`` installs them into
``.perses``, some 400 MB, and puts them together as one page; without it these tests are skipped.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from radiosonde.assets import AssetOptions, perses
from tests.e2e._evaluated import evaluated
from tests.http_server import Handler, http_server

PACKAGES = Path(__file__).parents[2] / ".perses"
DOCUMENTS = {asset.path: json.loads(asset.content) for asset in perses.make(AssetOptions())}
HEIGHTS = {"fleet.json": 1400, "model.json": 5000}
"""Of a window in which every panel is seen: one that is not is not drawn."""
MARKS = {"TimeSeriesChart": "<canvas", "StatChart": "<h3", "Table": "<td"}
"""What a kind of panel draws where it has data."""
TYPES = {
    "TimeSeriesChart": ("timeseries-chart-plugin", "TimeSeriesChartOptions"),
    "StatChart": ("stat-chart-plugin", "StatChartOptions"),
    "Table": ("table-plugin", "TableOptions"),
    "PrometheusTimeSeriesQuery": ("prometheus-plugin", "PrometheusTimeSeriesQuerySpec"),
    "PrometheusLabelValuesVariable": ("prometheus-plugin", "PrometheusLabelValuesVariableOptions"),
}
"""Package and type of the options of each plug-in."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PACKAGES / "page.js").is_file(), reason="the packages of Perses are not there: make test-perses"),
]  # fmt: skip


class Files(SimpleHTTPRequestHandler, Handler):
    """Serves the files of a folder."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder; yield the base URL."""
    with http_server(partial(Files, directory=str(folder))) as server:
        yield server.url


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of the page over a Prometheus with some of everything; only the dashboard's name is missing."""
    program = shutil.which("prometheus")
    if not program:
        pytest.skip("the program 'prometheus' is not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("page")
    for name in ("index.html", "page.js"):
        shutil.copy(PACKAGES / name, folder)
    for path, document in DOCUMENTS.items():
        (folder / path).write_text(json.dumps(document))
    with evaluated(Path(program), tmp_path_factory.mktemp("evaluated")) as base, served(folder) as url:
        yield f"{url}/index.html?prometheus={base}&start=1m&refresh=0s&dashboard="


def panels(dom: str) -> dict[str, str]:
    """Return the markup of each panel by its title."""
    parts = re.split(r'<section [^>]*data-testid="panel"', dom)[1:]
    return {html.unescape(re.search(r'<h6[^>]* aria-label="([^"]*)"', part).group(1)): part for part in parts}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_panel_draws_data(page, tmp_path, require_program, path):
    """Lines, rows of a table or figures in each; no panel is empty, and none shows an error."""
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size=1600,{HEIGHTS[path]}", "--virtual-time-budget=60000"),
    ]  # fmt: skip
    command = [require_program("chromium"), *flags, "--dump-dom", page + path]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "CONSOLE" not in ran.stderr, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    drawn = panels(ran.stdout)
    declared = {panel["spec"]["display"]["name"]: panel for panel in DOCUMENTS[path]["spec"]["panels"].values()}
    assert drawn.keys() == declared.keys()
    for title, panel in declared.items():
        assert MARKS[panel["spec"]["plugin"]["kind"]] in drawn[title], title
        assert "No data" not in drawn[title], title
        assert 'role="alert"' not in drawn[title], title


def typed(documents: dict[str, dict[str, Any]]) -> str:
    """Return TypeScript that says of each document, and of the options of each plug-in in it, what type it must have."""
    lines = ["import type { DashboardResource } from '@perses-dev/core';"]
    lines += [f"import type {{ {name} }} from '@perses-dev/{package}';" for package, name in TYPES.values()]
    for document in documents.values():
        # The server knows the project from the command that applies it.
        within = {**document, "metadata": {**document["metadata"], "project": "shown"}}
        lines.append(f"export const d{len(lines)}: DashboardResource = {json.dumps(within)};")
        spec = document["spec"]
        plugins = [each["spec"]["plugin"] for each in (*spec["variables"], *spec["panels"].values())]
        plugins += [query["spec"]["plugin"] for panel in spec["panels"].values() for query in panel["spec"]["queries"]]
        lines += [f"export const p{len(lines) + i}: {TYPES[each['kind']][1]} = {json.dumps(each['spec'])};" for i, each in enumerate(plugins)]  # fmt: skip
    return "\n".join(lines) + "\n"


def compiled(text: str) -> subprocess.CompletedProcess[str]:
    """Run the compiler of TypeScript over *text*, where the packages are."""
    path = PACKAGES / "typed.ts"
    path.write_text(text)
    flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
    flags += ["--target", "es2022", "--jsx", "react-jsx"]
    command = ["node", PACKAGES / "node_modules/typescript/bin/tsc", *flags, path]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    finally:
        path.unlink()


def test_documents_have_the_types_of_perses():
    """As its packages declare them, without fields that they do not know; a field that is wrong is found."""
    ran = compiled(typed(DOCUMENTS))
    assert ran.returncode == 0, ran.stdout
    wrong = json.loads(json.dumps(DOCUMENTS))
    spec = wrong["model.json"]["spec"]
    spec["panels"]["calls"]["spec"]["plugin"]["spec"]["visual"]["stack"] = "normal"
    spec["layouts"][0]["spec"]["items"][0]["hight"] = 8
    ran = compiled(typed(wrong))
    assert ran.returncode != 0
    assert len(re.findall(r"error TS", ran.stdout)) == 2, ran.stdout
