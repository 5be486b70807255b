"""Every relative link in what people read leads to a file, a folder or a heading of this tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "benchmarks/**/*.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the names of a page's headings as GitHub makes them: lower case, words joined, no punctuation."""
    headings = re.findall(
        r"^#{1,6} (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(tree: Path) -> list[str]:
    """Return one sentence, with what to do, for each link of the pages of *tree* that leads nowhere."""
    faults = []
    for page in sorted({path for pattern in PAGES for path in tree.glob(pattern)}):
        place = page.relative_to(tree).as_posix()
        # A link's text may be code, and then what is left of it is enough.
        for target in LINK.findall(CODE.sub("`", page.read_text("utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            if not path.exists():
                faults.append(f"{place}: {target} is not there: name a file relative to the page")
            elif anchor and anchor not in anchors(path.read_text("utf-8")):
                faults.append(
                    f"{place}: {target} is no heading of {path.name}: it has {', '.join(sorted(anchors(path.read_text('utf-8'))))}"
                )
    return faults


def test_every_link_leads_somewhere() -> None:
    """README, change log, contributors' page, docs and results hold no dead link."""
    assert broken(ROOT) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[`a`](gone.md)", ["README.md: gone.md is not there: name a file relative to the page"]),
        ("[a](docs/page.md#a-heading-2-of-it)", []),
        (
            "[a](docs/page.md#Heading)",
            ["README.md: docs/page.md#Heading is no heading of page.md: it has a-heading-2-of-it"],
        ),
        ("[a](#own) \n# Own", []),
        ("`[a](gone.md)` and [b](https://elsewhere.example/gone.md)", []),
        ("```\n[a](gone.md)\n```", []),
    ],
)
def test_a_dead_link_is_found(tmp_path: Path, text: str, faults: list[str]) -> None:
    """A file that is not there and a heading that is not there are named; code and the web are not checked."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("## A heading, `2` of it\n```\n# no heading\n```\n")
    (tmp_path / "README.md").write_text(text)
    assert broken(tmp_path) == faults
