"""``radiosonde config``: check, show and complete `radiosonde.toml`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde.config import FILE_NAME, ConfigProblem, Configuration, ModelConfig, locate, read
from radiosonde.config.keys import declared_keys
from radiosonde.config.schema import shipped_schema
from radiosonde.errors import ConfigurationError
from radiosonde.model import printable

if TYPE_CHECKING:
    import argparse

VALID, MISTAKES = 0, 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``config check``, ``config show`` and ``config schema`` to the command line."""
    parser = subparsers.add_parser("config", help="check and show radiosonde.toml (objectives, owners)")
    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")
    checking = commands.add_parser(
        "check",
        help="list every mistake with its line",
        description="List every mistake of a radiosonde.toml with its line and a correction.",
        epilog="Exit code: 0 no mistakes, 1 mistakes, 2 there is no file or it cannot be read.",
    )
    showing = commands.add_parser(
        "show",
        help="print the effective configuration",
        description="Print the effective configuration of each model in radiosonde.toml.",
    )
    showing.add_argument("--json", action="store_true", help="print it as JSON")
    for command in (checking, showing):
        command.add_argument(
            "file",
            type=Path,
            nargs="?",
            metavar="FILE",
            help=f"configuration, or a folder or store it lies beside (default: RADIOSONDE_CONFIG, else {FILE_NAME} here)",
        )
    commands.add_parser("schema", help="print the JSON schema, for editors")


def run(args: argparse.Namespace) -> int:
    """Run the command that *args* names and return the exit code.

    Raises:
        ConfigurationError: there is no configuration, or it cannot be read.
    """
    if args.config_command == "schema":
        sys.stdout.write(shipped_schema())
        return VALID
    configuration, problems = read(_file(args.file))
    if args.config_command == "show":
        _show(configuration, problems, as_json=args.json)
    else:
        _check(configuration, problems)
    return MISTAKES if problems else VALID


def _file(given: Path | None) -> Path:
    if given is not None and given.suffix == ".toml":
        return given
    found = locate([given or Path()])
    if found is None:
        raise ConfigurationError(
            f"there is no {FILE_NAME} in {(given or Path()).absolute()}; make one (see docs/configuration.md), pass its path, or set RADIOSONDE_CONFIG"
        )
    return found


def _check(configuration: Configuration, problems: list[ConfigProblem]) -> None:
    for problem in problems:
        print(printable(problem.words(configuration.path)))
    if problems:
        print(f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}; the rest is in force")
        return
    models = len(configuration.models)
    print(f"{configuration.path}: no mistakes; {models} model{'' if models == 1 else 's'}")


def _show(configuration: Configuration, problems: list[ConfigProblem], *, as_json: bool) -> None:
    tables = {"defaults": configuration.defaults} | {
        f"model.{name}": configuration.models[name] for name in sorted(configuration.models)
    }
    if as_json:
        document = {
            "schema": "radiosonde.config/1",
            "path": str(configuration.path),
            "store": configuration.store,
            "tables": {name: _values(table) for name, table in tables.items()},
            "problems": [problem._asdict() for problem in problems],
        }
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    print(f"# {configuration.path}")
    if configuration.store:
        print(f"store = {_toml(configuration.store)}")
    for name, table in tables.items():
        print(printable(f"\n[{name}]"))
        for key, value in _values(table).items():
            line = configuration.lines.get(f"{name}.{key}") or configuration.lines.get(f"defaults.{key}")
            origin = f"  # line {line}" if line else ""
            print(printable(f"{key} = {_toml(value)}{origin}" if value not in (None, "", []) else f"# {key}: not set"))
    for problem in problems:
        print(printable(f"# ignored: {problem.words(configuration.path)}"))


def _values(table: ModelConfig) -> dict[str, Any]:
    made = {}
    for key in declared_keys(ModelConfig):
        value: Any = table
        for name in key.path:
            value = getattr(value, name)
        if isinstance(value, float) and key.declared.kind.unit == "s":
            value = f"{value:.15g}s" if value >= 1 else f"{1000 * value:.15g}ms"
        made[".".join(key.path)] = list(value) if isinstance(value, tuple) else value
    return made


def _toml(value: Any) -> str:
    """Return *value* as TOML, whose basic strings and lists have the syntax of JSON."""
    return json.dumps(value, ensure_ascii=False)
