"""Each library that is observed without code has a page of a screen, an example, and one range of versions everywhere."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCREEN_LINES, SCREEN_COLUMNS = 45, 150
ASKED = ("Versions", "Observed", "Name", "Version", "Features", "Not observed", "Example")
"""Required sections of a library's page, in this order, after the activation."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ENTRIES = PROJECT["project"]["entry-points"]["opentelemetry_instrumentor"]
SERVERS = ("BentoML", "MLServer", "LitServe", "Ray Serve", "KServe")
"""Model servers: sections of docs/serving.md. Most need no plug-in, so a page each would say one thing five times."""

NAMES = sorted({name.removeprefix("radiosonde_") for name in ENTRIES} - {server.lower() for server in SERVERS})
ROWS = tomllib.loads((ROOT / "tests/matrix/libraries.toml").read_text("utf-8"))["row"]


def page_of(name: str) -> str:
    """Return the page of a plug-in."""
    path = ROOT / "docs" / "integrations" / f"{name}.md"
    assert path.is_file(), f"write docs/integrations/{name}.md: a new plug-in has a page, as the others have"
    return path.read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_a_screen_and_answers_in_order(name: str) -> None:
    """A page fits on a screen and answers how, which versions, what, under which names, what not, and where to see it."""
    page = page_of(name)
    assert len(page.splitlines()) <= SCREEN_LINES, "say it once, in docs/integrations.md, or shorter"
    assert max(map(len, page.splitlines())) <= SCREEN_COLUMNS
    places = [page.find(f"\n**{word}**") for word in ASKED]
    assert -1 not in places, f"begin a paragraph with **{ASKED[places.index(-1)]}**"
    assert [page.find("opentelemetry-instrument"), *places] == sorted([page.find("opentelemetry-instrument"), *places])


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_the_versions_that_the_plug_in_supports(name: str) -> None:
    """The requirements on a page are those of the plug-in, which it checks and `radiosonde doctor` reports."""
    module, _, kind = ENTRIES[f"radiosonde_{name}"].partition(":")
    (line,) = [line for line in page_of(name).splitlines() if line.startswith("**Versions**: ")]
    said = re.findall(r"`([^`]* [<>=][^`]*)`", line)
    assert said == list(getattr(import_module(module), kind).requires)


@pytest.mark.parametrize("name", NAMES)
def test_a_plug_in_has_an_example_and_the_index_names_its_page(name: str) -> None:
    """An example is named after its plug-in, is linked from the page, and turns the plug-in on by that name."""
    (example,) = (ROOT / "examples").glob(f"[0-9][0-9]_{name}.py")
    assert f"(../../examples/{example.name})" in page_of(name)
    switch = f'rs.instrument("{name}"'
    assert f"\n{switch}" in example.read_text("utf-8"), f"switch the plug-in on with {switch}) in {example.name}"
    assert f"(integrations/{name}.md)" in (ROOT / "docs" / "integrations.md").read_text("utf-8")


@pytest.mark.parametrize("server", SERVERS)
def test_a_model_server_has_a_section_of_a_screen_an_example_and_rows(server: str) -> None:
    """The section says how to start it, what works and what does not; its example and its rows of the matrix exist."""
    _, _, rest = (ROOT / "docs" / "serving.md").read_text("utf-8").partition(f"\n## {server}\n")
    section = rest.partition("\n## ")[0]
    assert 0 < len(section.splitlines()) <= SCREEN_LINES
    assert max(map(len, section.splitlines())) <= SCREEN_COLUMNS
    for said in ("opentelemetry-instrument", "**Works**"):
        assert said in section, f"say {said} in the section"
    assert "**Does not**" in section or "**Not tried**" in section
    name = server.lower().removesuffix(" serve")
    assert list((ROOT / "examples").glob(f"2[0-9]_{name}.py"))
    assert [row for row in ROWS if row["library"] == name], f"add rows for {name} to tests/matrix/libraries.toml"


def test_every_page_has_its_plug_in() -> None:
    """No page is left of a plug-in that is gone."""
    assert sorted(path.stem for path in (ROOT / "docs" / "integrations").glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_somewhere(name: str) -> None:
    """What the development environment lacks is in the matrix, and there each row of its library runs its example."""
    (example,) = (ROOT / "examples").glob(f"[0-9][0-9]_{name}.py")
    installed = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    if re.search(rf"^{name}==", installed, re.MULTILINE):
        return
    library = {"sklearn": "scikit-learn"}.get(name, name)
    ran = [row.get("example") for row in ROWS if row["library"] == library]
    assert ran, f"add rows for {library} to tests/matrix/libraries.toml: the oldest and the newest version"
    assert set(ran) == {example.stem}, f'add example = "{example.stem}" to each row of {library}'
