"""Messages, findings and help are worded as operators expect: what is wrong, and what to do, in the field's terms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/radiosonde", "src/radiosonde_demo", "integrations/radiosonde_integrations")

REFUSED = {
    r"\bnobody counted\b": "say 'was not recorded'",
    r"\bit takes \{": "say 'at least N are needed'",
    r"(?<!there )\b(is|are) no (?!longer\b|more\b)[a-z]+(;|,|$)": "say 'is not a ...'",
    r"\b(come|comes|came) of it\b": "name the consequence",
    r"\bwhat is said here\b": "say 'this report covers'",
    r"\bcannot be made\b": "say 'cannot be created'",
    r"\b(tell|tells|told) (them|these|it|what|how|whether|anything) ?(apart)?\b": "say 'distinguish', 'decide' or 'report'",
    r"\bto tell\b": "say 'to decide', 'to estimate' or 'to report'",
    r"\bspeaks? (of|for|HTTP|http)\b": "say 'uses' or 'supports'",
    r"\b(lets?|letting) go of\b": "say 'releases'",
    r"\bwhatever the past was\b": "say 'whatever the history'",
    r"\bis known of\b": "say 'was recorded'",
    r"\b(whoever|somebody else|somebody is at)\b": "name who",
    r"\bin the end of\b|\bfor want of\b|\bat the end of the time\b": "name the period",
}
"""Patterns that messages must not match, and what to write instead."""


def messages() -> Iterator[tuple[str, str]]:
    """Yield each text of at least four words that is no docstring, with its place; placeholders are kept as ``{...}``."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            docstrings, parts = set(), set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    docstrings.add(id(node.value))
                elif isinstance(node, ast.JoinedStr):
                    parts |= {id(part) for part in ast.walk(node) if part is not node}
            for node in ast.walk(tree):
                if id(node) in docstrings or id(node) in parts:
                    continue
                text = re.sub(r"<!--.*?-->", "", _text(node), flags=re.DOTALL)
                if len(re.findall(r"[A-Za-z]{2,}", text)) >= 4 and "CREATE TABLE" not in text:
                    yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", text


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{...}" for part in node.values)
    return ""


def test_no_message_uses_a_refused_phrase() -> None:
    """Each offence is listed with its place and what to write instead."""
    found = [
        f"{place}: {text[:120]!r}: {advice}"
        for place, text in messages()
        for pattern, advice in REFUSED.items()
        if re.search(pattern, text)
    ]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "nobody counted the health of the processes",
        "3 labels came; it takes {...}",
        "'x' is no id; give another",
        "too few rows since the onset to tell.",
        "Radiosonde speaks http/protobuf only",
        "letting go of the ring of a model",
    ],
)
def test_the_patterns_refuse_the_former_wording(text: str) -> None:
    """Phrases that messages once had match a pattern."""
    assert any(re.search(pattern, text) for pattern in REFUSED)
