"""Runbooks as Markdown: names from telemetry are shown as they are, and nothing in them is markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from radiosonde.runbook.markdown import escape, render
from tests.unit.runbook.books import make_book

HOSTILE = {
    "link": "[fix](https://evil.example)",
    "image": "![x](https://evil.example/x.png)",
    "html": "<script>alert(1)</script><!-- x -->",
    "heading": "# owned",
    "fence": "```sh",
    "closed fence": "x\n```\n$ rm -rf /\n```",
    "emphasis": "**bold** _it_ ~~gone~~ `code$(x)`",
    "entity": "&lt;b&gt; &#35;",
    "list": "- a\n- b",
    "quote": "> quoted",
    "rule": "---",
    "table": "|a|b|\n|-|-|",
    "autolink": "<https://evil.example> https://evil.example www.evil.example",
    "reference": "[a]: https://evil.example",
    "ordered": "1. one\n2) two",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "direction": "\u202egnp.exe",
    "backslash": "\\[a\\](b) \\",
}
ALLOWED = {"paragraph", "bullet_list", "ordered_list", "list_item", "heading", "inline", "fence", "html_block", "text", "strong", "softbreak", "code_inline"}  # fmt: skip
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens_of(page):
    """Return all tokens of *page*, inline ones included."""
    return [each for token in PARSER.parse(page) for each in (token, *(token.children or ()))]


def text_of(inline):
    """Return the text that a reader sees, with single spaces."""
    (token,) = [token for token in PARSER.parse(inline) if token.type == "inline"]
    shown = "".join(" " if each.type == "softbreak" else each.content for each in token.children)
    return " ".join(shown.split())


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_name_adds_no_markup_anywhere(name, width):
    """A page with the name in every text has the blocks, headings and links of a page with a plain name."""
    plain, hostile = (tokens_of(render(make_book(word), width)) for word in ("name", name))
    assert {re.sub("_(open|close)$", "", token.type) for token in hostile} <= ALLOWED
    for kind in ("heading_open", "fence", "html_block", "list_item_open", "bullet_list_open", "ordered_list_open"):
        assert sum(token.type == kind for token in hostile) == sum(token.type == kind for token in plain), kind
    page = render(make_book(name), width)
    assert all(character.isprintable() or character == "\n" for character in page)
    assert "https://" not in re.sub(r"```.*?```", "", page, flags=re.DOTALL)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("\\`*_[]()<>#+-=.!|~&;:/w1a \u00e9"), min_size=1, max_size=12), min_size=1, max_size=12
    )
)
def test_any_text_is_shown_as_it_is(words):
    """A parser of CommonMark reads back what was escaped."""
    text = " ".join(" ".join(words).split()) or "a"
    shown = text_of(f"x{escape(text)}x")
    assert shown.replace("`", "") == f"x{text}x".replace("`", "")


@pytest.mark.parametrize("width", [80, 100])
def test_lines_fit_except_commands(width):
    """Prose is wrapped to the width; a command is never wrapped."""
    page = render(make_book("name"), width)
    assert max(len(line) for line in page.splitlines() if not line.lstrip().startswith("$ ")) <= width
    assert "$ radiosonde incident show /data/store.sqlite name" in page


def test_what_is_not_declared_is_a_gap_with_its_line_and_nothing_else():
    """A mitigation without a command shows the line; the end of the page lists all lines once."""
    page = render(make_book("name"), 100)
    section = page.partition("### Add processes or cores")[2].partition("##")[0]
    assert "Gap: this command is not declared." in section
    assert '[model.delays]\nmitigate.scale = "..."' in section
    assert "console" not in section
    end = page.partition("## Not declared")[2]
    assert end.count('mitigate.scale = "..."') == 1
