"""Reads `radiosonde.toml`: every mistake is reported with its line and a correction; valid keys are used nevertheless.

`tomllib` keeps no line numbers, so the text is cut into statements: the shortest runs of lines that `tomllib` accepts by themselves. A
header or an assignment is complete in itself, and a part of one never is, with any strings and lists. Cost: each line is parsed
once more, those of a value over *n* lines *n* times; the size of the file is bounded by `MAX_BYTES`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde.config.keys import TABLES, Configuration, ModelConfig, declaration_of
from radiosonde.errors import ConfigurationError

MAX_BYTES = 256 * 1024
_LONGEST_VALUE = 400
"""Lines that one value may take."""

_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TABLES = ("defaults", "model")


class ConfigProblem(NamedTuple):
    """Something in the file that cannot be used.

    Attributes:
        line: its line, from 1 on.
        key: the dotted name of the key; ``""`` where the file is not TOML.
        message: the problem and what to do.
    """

    line: int
    key: str
    message: str

    def words(self, path: Path | None) -> str:
        """Return the problem as one line, ``file:line: key: message``."""
        place = f"{path or 'radiosonde.toml'}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


def read(path: Path) -> tuple[Configuration, list[ConfigProblem]]:
    """Return the configuration in the file at *path*, and its mistakes by line.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}; check the path") from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(
            f"the configuration {path} is larger than {MAX_BYTES // 1024} KiB; is it the right file?"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Configuration(path), [ConfigProblem(line, "", "this is not UTF-8 text; save the file as UTF-8")]
    configuration, problems = read_text(text)
    return replace(configuration, path=path), problems


def read_text(text: str) -> tuple[Configuration, list[ConfigProblem]]:
    """Return the configuration in *text*, and its mistakes by line."""
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Configuration(), [_not_toml(str(error), text)]
    lines = _lines_of(text)
    problems: list[ConfigProblem] = []
    defaults = _table(ModelConfig(), document.get("defaults", {}), ("defaults",), lines, problems)
    models = {}
    declared = document.get("model", {})
    if isinstance(declared, dict):
        for name, table in declared.items():
            models[name] = _table(defaults, table, ("model", name), lines, problems)
    else:
        problems.append(_problem(("model",), lines, "it must be a table; write [model.NAME]"))
    rest = {name: value for name, value in document.items() if name not in _TABLES}
    whole = _table(Configuration(defaults=defaults, models=models), rest, (), lines, problems)
    places = {".".join(path): line for path, line in lines.items()}
    return replace(whole, lines=places), sorted(problems)


def _table(
    filled: Any, given: Any, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], problems: list[ConfigProblem]
) -> Any:
    """Return *filled* with the keys of the table *given*; invalid keys keep their value."""
    if not isinstance(given, dict):
        problems.append(_problem(path, lines, f"it must be a table; write [{'.'.join(path)}]"))
        return filled
    known = {
        item.name: declaration_of(item)
        for item in fields(filled)
        if declaration_of(item) is not None or item.name in TABLES.get(type(filled), {})
    }
    changes = {}
    for name, value in given.items():
        here = (*path, name)
        if name not in known:
            problems.append(_problem(here, lines, _unknown(name, [*known, *(() if path else _TABLES)], path)))
            continue
        declared = known[name]
        if declared is None:
            changes[name] = _table(getattr(filled, name), value, here, lines, problems)
            continue
        try:
            changes[name] = declared.kind.check(value)
        except ValueError as error:
            problems.append(_problem(here, lines, str(error)))
    return replace(filled, **changes)


def _unknown(name: str, known: list[str], path: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name.lower(), known, 1)
    where = f"[{'.'.join(path)}]" if path else "the file"
    said = f"did you mean {near[0]}? " if near else ""
    return f"there is no such key; {said}{where} takes {', '.join(known)}"


def _problem(path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], message: str) -> ConfigProblem:
    shortened = path
    while shortened and shortened not in lines:
        shortened = shortened[:-1]
    return ConfigProblem(lines.get(shortened, 1), ".".join(path), message)


def _not_toml(message: str, text: str) -> ConfigProblem:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    where = f" at column {found[2]}" if found else " at the end"
    said = _AT_LINE.sub("", message).removesuffix(" (at end of document)")
    return ConfigProblem(
        line, "", f"this is not TOML: {said[:1].lower()}{said[1:]}{where}; nothing of the file is in force"
    )


def _lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line in which each key of the TOML document *text* is written, by its path."""
    found: dict[tuple[str, ...], int] = {}
    context: tuple[str, ...] = ()
    rows = text.split("\n")
    first = 0
    while first < len(rows):
        for last in range(first + 1, min(first + _LONGEST_VALUE, len(rows)) + 1):
            try:
                statement = tomllib.loads("\n".join(rows[first:last]))
            except tomllib.TOMLDecodeError:
                continue
            break
        else:
            first += 1
            continue
        paths = _paths(statement)
        if rows[first].lstrip().startswith("["):
            context = max(paths, key=len, default=())
            paths, statement = [context[:end] for end in range(1, len(context) + 1)], {}
            for path in paths:
                found.setdefault(path, first + 1)
            found[context] = first + 1
        else:
            for path in paths:
                found.setdefault((*context, *path), first + 1)
        first = last
    return found


def _paths(table: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all keys of *table*; a list of tables counts as the one it holds."""
    if isinstance(table, list):
        return [each for entry in table for each in _paths(entry, path)] if path else []
    if not isinstance(table, dict):
        return []
    made = []
    for name, value in table.items():
        here = (*path, str(name))
        made += [here, *_paths(value, here)]
    return made
