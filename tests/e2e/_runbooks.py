"""Runs the commands of runbooks in a shell, as a person would copy them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from radiosonde.cli import main

CODES = {
    "canary": {0, 1, 3, 5},
    "config show": {0},
    "diagnose": {1, 3},
    "doctor": {0, 1},
    "incident ack": {0},
    "incident list": {0},
    "incident show": {0},
    "incident verify": {1, 3},
    "store show": {0},
    "triage": {1},
}
"""Exit codes of the commands of a runbook of an open incident; 2 is never among them."""


def shell(command, folder):
    """Run *command* in bash in *folder* and return the ended process."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RADIOSONDE_")}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment | {"PATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def answer(command, capsys):
    """Run *command* of Radiosonde in this process and return it as an ended one: a process for each would take minutes."""
    capsys.readouterr()
    code = main(shlex.split(command)[1:])
    said = capsys.readouterr()
    return subprocess.CompletedProcess(command, code, said.out, said.err)


def commands_of(page):
    """Return the commands of a page, in their order, each once."""
    lines = [line.strip() for line in page.splitlines()]
    return list(dict.fromkeys(line[2:] for line in lines if line.startswith("$ ")))


def kind_of(command):
    """Return the words that name a command of Radiosonde; the program for any other."""
    program, *words = shlex.split(command)
    if program != "radiosonde":
        return program
    return " ".join(words[:2]) if words[0] in ("incident", "store", "config") else words[0]


def faults_of(command, done, shown):
    """Return what is wrong with the result of *command*: its exit code, or that it does not show the fault.

    Args:
        command: the command of a runbook.
        done: its ended process.
        shown: texts by kind of command, of which each must be in the output.
    """
    kind, said = kind_of(command), " ".join(done.stdout.split())
    is_before = "--until" in command
    if done.returncode not in CODES.get(kind, {0}) | ({0} if is_before else set()):
        return f"{command}: exit code {done.returncode}: {done.stderr or done.stdout[-500:]}"
    # Traces of single calls are kept only where a server samples them.
    if kind == "sqlite3" and not said and "exemplars" not in command:
        return f"{command}: no rows"
    wanted = [] if is_before else shown.get(kind, [])
    missing = [text for text in wanted if " ".join(text.split()) not in said]
    return f"{command}: does not show {missing}: {said[:2000]}" if missing else ""
