"""Every way in which a command can end has its exit code, and 0 and 1 are answers."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import sys
from types import SimpleNamespace

import pytest

from radiosonde import cli
from radiosonde.cli import Command, main
from radiosonde.errors import StoreError


def command(run):
    """Return a command ``try`` that does *run*."""

    def add_parser(subparsers):
        subparsers.add_parser("try")

    return Command("try", "for this test", lambda: SimpleNamespace(add_parser=add_parser, run=run))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreError("no store; make one"), 2, "radiosonde: no store; make one\n"),
        (KeyboardInterrupt(), 130, "radiosonde: interrupted\n"),
        (SystemExit(0), 0, ""),
        (SystemExit(1), 2, ""),
        (SystemExit(2), 2, ""),
        (SystemExit("text"), 2, ""),
        (SystemExit(None), 2, ""),
        (OSError(errno.ENOSPC, "No space left on device", "a.db"), 2, "radiosonde: a.db: No space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied"), 2, "radiosonde: Permission denied\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "radiosonde: Broken pipe\n"),
        (OSError(), 2, "radiosonde: OSError\n"),
        (MemoryError(), 2, "radiosonde: out of memory\n"),
        (ModuleNotFoundError("no", name="rich.table"), 2, "pip install 'radiosonde[desk]'\n"),
        (ModuleNotFoundError("no", name="redis"), 2, "pip install 'radiosonde[redis]'\n"),
        (ModuleNotFoundError("no", name="somebodys"), 2, "pip install somebodys\n"),
        (ModuleNotFoundError("no"), 2, "please report it with the lines above\n"),
        (ImportError("undefined symbol"), 2, "please report it with the lines above\n"),
        (sqlite3.DatabaseError("malformed"), 2, "please report it with the lines above\n"),
        (RecursionError(), 2, "please report it with the lines above\n"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), 2, "please report it with the lines above\n"),
        (asyncio.CancelledError(), 2, "please report it with the lines above\n"),
        (GeneratorExit(), 2, "please report it with the lines above\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_ends_a_command_has_a_code_that_is_no_answer(monkeypatch, capsys, error, code, said):
    """Only leaving with 0 on purpose, as after --help, is 0; what is unexpected is shown with its traceback."""

    def run(args):
        raise error

    monkeypatch.setattr(cli, "COMMANDS", (command(run),))
    assert main(["try"]) == code
    shown = capsys.readouterr().err
    assert shown.endswith(said)
    assert ("Traceback" in shown) == ("please report" in said)


@pytest.mark.parametrize("answer", [0, 1, 2, 3])
def test_an_answer_is_handed_on(monkeypatch, answer):
    """The return value of a command is its exit code."""
    monkeypatch.setattr(cli, "COMMANDS", (command(lambda args: answer),))
    assert main(["try"]) == answer


def test_streams_are_put_back(monkeypatch, capsys):
    """A program that runs a command prints afterwards as it did before."""

    def say(args):
        sys.stdout.write("\x1b[31minside\n")
        return 0

    monkeypatch.setattr(cli, "COMMANDS", (command(say),))
    main(["try"])
    sys.stdout.write("\x1b[31moutside\n")
    assert capsys.readouterr().out == "\ufffd[31minside\n\x1b[31moutside\n"
