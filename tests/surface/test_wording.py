"""Messages, help, docstrings and comments use standard terms: messages state the problem and what to do."""

from __future__ import annotations

import ast
import io
import re
import tokenize
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

REFUSED_IN_PROSE = {
    r"\b(tell(?!:)|tells|telling|told)\b": "say 'return', 'report', 'log', 'distinguish' or 'configure'",
    r"\b([Nn]obody|[Ss]omebody|[Ww]hoever)\b": "name the caller, the reader or the process, or use the passive",
    r"\b(voices?|speaks?|spoken)\b": "say 'use', 'support' or 'is evidence for'",
    r"\b[Ll]ook(ed|ing) (at|for|into)\b|^Looks? (at|for|into)\b|\bto look (at|for|into)\b": "say 'check', 'read', 'search' or 'inspect'",
    r"\bSay (that|whether|how|what|it)\b": "say 'Return whether', 'Report' or 'Describe'",
    r"\b([Ll]ets?|[Ll]etting) go\b": "say 'release'",
    r"\banew\b(?!:)": "say 'again', 'recount' or 'rebuild'",
    r"\bReturn what\b": "name what is returned",
    r"^What (is|was|became|a|an|the|it|one|there|stands|came|comes)\b": "name the thing",
    r"\b[Ww]hatever\b": "say 'any' or 'for any'",
    r"\bof (ours|theirs)\b": "say 'of Radiosonde' or name the owner",
    r"\b[Ss]tands? for\b|\bstand in for\b": "say 'represent', 'encode' or 'has the weight of'",
    r"\bgiven up\b": "say 'expired', 'dropped' or 'released'",
    r"\bMay raise what\b|\braises what\b": "say 'exceptions of ... propagate'",
}
"""Patterns that docstrings and comments must not match, and what to write instead."""


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


def prose() -> Iterator[tuple[str, str]]:
    """Yield each line of a docstring or comment, with its place."""
    for folder in (*FOLDERS, "benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text("utf-8")
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    for offset, line in enumerate(str(node.value.value).split("\n")):
                        yield f"{path.relative_to(ROOT)}:{node.lineno + offset}", line.strip()
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type == tokenize.COMMENT:
                    yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string.lstrip("# ")


def test_no_message_uses_a_refused_phrase() -> None:
    """Each offence is listed with its place and what to write instead."""
    found = [
        f"{place}: {text[:120]!r}: {advice}"
        for place, text in messages()
        for pattern, advice in REFUSED.items()
        if re.search(pattern, text)
    ]
    assert found == [], "\n".join(found)


def test_no_docstring_uses_a_refused_phrase() -> None:
    """Each offence in a docstring or comment is listed with its place and what to write instead."""
    found = [
        f"{place}: {line[:120]!r}: {advice}"
        for place, line in prose()
        if re.search("|".join(REFUSED_IN_PROSE), line)
        for pattern, advice in REFUSED_IN_PROSE.items()
        if re.search(pattern, line)
    ]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "What became of a label.",
        "Return what the codes stand for.",
        "Say whether the slot still holds this prediction.",
        "Somebody is woken when half of all calls are gone.",
        "counted by reason, told once a minute",
        "Let go of the store; what it keeps stays there.",
        "Look at the answers of the model.",
        "# nothing of ours, whatever the batch",
    ],
)
def test_the_patterns_refuse_the_former_prose(text: str) -> None:
    """Sentences that docstrings once had match a pattern."""
    assert any(re.search(pattern, text) for pattern in REFUSED_IN_PROSE)


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
