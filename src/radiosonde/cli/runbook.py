"""``radiosonde runbook``: the runbooks of a model, one per kind of incident, and what they lack.

A kind of which an incident is open has the runbook of that incident. Exit codes: 0 written; for ``lint`` 0 complete, 1 something is missing;
2 could not run.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._clock import wall_ns
from radiosonde.assets.kinds import KINDS
from radiosonde.cli._incidents import diagnosed
from radiosonde.cli._runbooks import context_of, runbook_of
from radiosonde.cli._stores import HELP, address, stores_of
from radiosonde.cli._terminal import console
from radiosonde.config import Configuration, locate, read
from radiosonde.errors import ConfigurationError
from radiosonde.model import RUNTIME_MODEL
from radiosonde.runbook import LintReport, lint, make_prepared, render

if TYPE_CHECKING:
    import argparse

    from radiosonde.cli._incidents import DiagnosedStore
    from radiosonde.runbook import Runbook

LIST_SCHEMA, LINTED_SCHEMA = "radiosonde.runbooks/1", "radiosonde.runbook-lint/1"
COMPLETE, MISSING = 0, 1
FILE_WIDTH = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``runbook`` to the command line."""
    parser = subparsers.add_parser(
        "runbook",
        help="write the runbooks of a model, or list what they lack",
        usage="radiosonde runbook [MODEL] [--store STORE] [--out DIR] [--json]\n       radiosonde runbook lint [MODEL] [--store STORE] [--json]",
        description="Write the runbooks of a model as Markdown, one per kind of incident, with the facts of open incidents and the commands declared in radiosonde.toml. "
        "With lint, list what the runbooks lack for a person who does not know the model: detection, mitigation, verification, contacts, rollback, pitfalls, last drill.",
        epilog="Exit code: 0 written; for lint 0 complete, 1 something is missing; 2 could not run.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="[lint] MODEL", help="the model (default: the only one; with lint: all)"
    )
    parser.add_argument("--model", metavar="MODEL", help="the model, if its name begins with a hyphen or is lint")
    parser.add_argument("--store", type=address, metavar="STORE", help=HELP)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write a file per kind to this folder instead of printing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Write or check the runbooks that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read.
        ConfigurationError: the model is unknown or ambiguous, a file cannot be written, or the configuration cannot be read.
    """
    words = list(args.words)
    is_lint = words[:1] == ["lint"]
    named = [*words[is_lint:], *([args.model] if args.model is not None else [])]
    if len(named) > 1:
        raise ConfigurationError(f"{len(named)} models are named ({', '.join(map(repr, named))}); name one")
    model = named[0] if named else None
    if is_lint:
        if args.out is not None:
            raise ConfigurationError("--out writes runbooks and lint writes none; leave one of them out")
        return _lint(args.store, model, as_json=args.json)
    if args.out is not None and args.json:
        raise ConfigurationError("--out writes Markdown and --json prints; leave one of them out")
    looked = diagnosed([path.absolute() for path in stores_of([] if args.store is None else [args.store])])
    books = _runbooks(looked, _model(looked, model))
    if args.json:
        _dump({"schema": LIST_SCHEMA, "runbooks": [book.to_json() for book in books]})
    elif args.out is None:
        sys.stdout.write("\n".join(render(book, console().width) for book in books))
    else:
        _write(args.out, books)
    return COMPLETE


def _runbooks(looked: DiagnosedStore, model: str) -> list[Runbook]:
    """Return a runbook per open incident of *model*, and a prepared one for each other kind."""
    open_ones = [
        each for each in looked.diagnosis.incidents if each.where.model == model and each.onset.ended_ns is None
    ]
    context = context_of(looked, model)
    books = []
    for kind in KINDS:
        mine = [runbook_of(looked, each) for each in open_ones if each.kind == kind]
        books += mine or [make_prepared(context, kind)]
    return sorted(books, key=lambda book: not book.incident)


def _models(looked: DiagnosedStore) -> list[str]:
    declared = looked.policy.configuration.models
    return sorted({window.key.model for window in looked.windows if window.key.model != RUNTIME_MODEL} | set(declared))


def _model(looked: DiagnosedStore, given: str | None) -> str:
    known = _models(looked)
    if given is None and len(known) == 1:
        return known[0]
    shown = ", ".join(map(repr, known[:20])) or "none"
    if given is None:
        raise ConfigurationError(f"no model is named; name one of the store or of radiosonde.toml: {shown}")
    if given not in known:
        raise ConfigurationError(
            f"neither the store nor radiosonde.toml has a model {given!r}; they have: {shown}. Correct the name"
        )
    return given


def _write(folder: Path, books: list[Runbook]) -> None:
    """Write a file per runbook, named by kind and incident, never by the model: its name may hold any character."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for book in books:
            name = f"{book.kind}-{book.incident}" if book.incident else book.kind
            (folder / f"{name.replace('/', '_')}.md").write_text(render(book, FILE_WIDTH), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the runbooks to {folder}: {error.strerror}; pass another folder to --out"
        ) from error
    filled = sum(bool(book.incident) for book in books)
    print(f"{len(books)} runbooks in {folder}, {filled} of them of open incidents")


def _lint(store: Path | None, model: str | None, *, as_json: bool) -> int:
    today = dt.datetime.fromtimestamp(wall_ns() / 1e9, dt.UTC).date()
    try:
        stores = stores_of([] if store is None else [store])
    except ConfigurationError:
        looked, path = None, locate([Path()])
        configuration = Configuration() if path is None else read(path)[0]
        known = sorted(configuration.models)
    else:
        looked = diagnosed(stores)
        configuration, known = looked.policy.configuration, _models(looked)
    if looked is not None and model is not None:
        _model(looked, model)
    models = [model] if model is not None else known
    if not models:
        raise ConfigurationError(
            "no model is known; name one, pass --store, or declare [model.NAME] in radiosonde.toml"
        )
    diagnosis = None if looked is None else looked.diagnosis
    reports = [lint(each, configuration.of(each), configuration.path, diagnosis, today) for each in models]
    if as_json:
        _dump({"schema": LINTED_SCHEMA, "reports": [report.to_json() for report in reports]})
    else:
        for report in reports:
            _print(report)
    return MISSING if any(report.missing for report in reports) else COMPLETE


def _print(report: LintReport) -> None:
    terminal = console()

    def put(text: str, indent: int) -> None:
        head = " " * indent
        terminal.print(
            textwrap.fill(text, terminal.width, initial_indent=head, subsequent_indent=f"{head}  "), soft_wrap=True
        )

    count = len(report.missing)
    terminal.print(f"{report.model}: {'complete' if not count else f'{count} missing'}", style="bold", soft_wrap=True)
    for missing in report.missing:
        put(f"{missing.part}: {missing.text}", 2)
        if missing.line:
            terminal.print(f"    add: {missing.line}", soft_wrap=True)
    if report.complete:
        put(f"complete: {', '.join(report.complete)}", 2)
    tables = dict.fromkeys(missing.table for missing in report.missing if missing.table)
    if tables:
        put(f"add the lines to {', '.join(tables)} in {report.configuration}", 2)


def _dump(document: dict[str, object]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
