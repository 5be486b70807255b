"""Writes YAML: mappings, lists, texts, numbers and flags, which is all that rules and routes need.

A separate writer, because PyYAML is not a dependency of the library, and because queries in version-controlled files are more readable as
blocks of lines. Texts are quoted as in JSON, of which YAML is a superset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/ -]*[A-Za-z0-9_]|[A-Za-z_]|[0-9]+[smhd]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def yaml_text(document: Mapping[str, Any], comment: str = "") -> str:
    """Return a document, after a comment of some lines."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in comment.splitlines())
    return head + "".join(f"{line}\n" for line in _lines(document))


def _lines(value: Any) -> Iterator[str]:
    """Yield the lines of a mapping or a list, not indented."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{_scalar(key)}:", item)
        return
    for item in value:
        first, *rest = list(_lines(item)) if _is_nested(item) else [_scalar(item)]
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _entry(key: str, item: Any) -> Iterator[str]:
    if isinstance(item, str) and _is_block(item):
        yield f"{key} |-"
        yield from (f"  {line}" for line in item.split("\n"))
    elif _is_nested(item):
        yield key
        yield from (f"  {line}" for line in _lines(item))
    else:
        yield f"{key} {_scalar(item)}"


def _is_block(text: str) -> bool:
    """Return whether a text consists of lines that a YAML block keeps unchanged."""
    lines = text.split("\n")
    return len(lines) > 1 and all(line.isprintable() and line.strip() == line != "" for line in lines)


def _is_nested(item: Any) -> bool:
    return bool(item) and (isinstance(item, Mapping) or (isinstance(item, Sequence) and not isinstance(item, str)))


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and ": " not in value:
        return value
    return "".join(each if each.isprintable() else _escaped(each) for each in json.dumps(value, ensure_ascii=False))


def _escaped(character: str) -> str:
    """Return the escape of a character that YAML does not accept."""
    return f"\\U{ord(character):08x}"
