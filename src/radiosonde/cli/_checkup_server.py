"""Parses the command that starts a server: its variables, its prefixes, and its number of worker processes.

The command is parsed and not run, so values computed by a configuration file are unknown.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from radiosonde._health.probes import available_cores, cpu_limit
from radiosonde._settings import Settings
from radiosonde.cli._checkup import CheckupLine
from radiosonde.cli._checkup_quirks import PYTHON, interpreter_options

SPOOL: Final = "/var/lib/radiosonde"
"""The spool proposed if none is set and this folder can be created."""

INSTRUMENT: Final = "opentelemetry-instrument"
DISTRO: Final = "opentelemetry-distro"
DISTRO_DEFAULTS: Final = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
}
"""Defaults that `opentelemetry-distro` sets under `opentelemetry-instrument`."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_SHELLS = {"sh", "bash", "dash", "zsh"}
_WITH_VALUE: Final = {
    "nice": ("-n", "--adjustment"), "sudo": ("-u", "-g", "-h", "-p", "--user", "--group"), "env": ("-u", "-C", "--unset", "--chdir"),
    "run": ("-p", "--python", "--with", "--extra", "--group", "--env-file", "--project", "--directory", "--package", "-n", "--name"),
}  # fmt: skip
"""Options of prefixes that are followed by a value."""

_RUNNERS = {"uv", "poetry", "pipenv", "pdm", "hatch", "conda"}
_BEFORE = {"env", "exec", "nice", "nohup", "time", "sudo", "run", "--", INSTRUMENT}
_WORKERS_IN_FILE = re.compile(r"^\s*workers\s*=\s*(.+?)\s*(?:#.*)?$", re.MULTILINE)


class WorkerOption(NamedTuple):
    """How a program configures its worker processes.

    Attributes:
        options: names of the option.
        per_core: whether the default is one per core.
        variables: environment variables for the option, the first that is set counts.
    """

    options: tuple[str, ...]
    per_core: bool = False
    variables: tuple[str, ...] = ()


_CONCURRENCY = "WEB_CONCURRENCY"
_POOLS: Final = {
    "gunicorn": WorkerOption(("-w", "--workers"), variables=(_CONCURRENCY,)),
    "uvicorn": WorkerOption(("--workers",), variables=("UVICORN_WORKERS", _CONCURRENCY)),
    "fastapi": WorkerOption(("--workers",), variables=(_CONCURRENCY,)),
    "hypercorn": WorkerOption(("-w", "--workers")),
    "granian": WorkerOption(("--workers",), variables=("GRANIAN_WORKERS",)),
    "sanic": WorkerOption(("-w", "--workers")),
    "uwsgi": WorkerOption(("-p", "--processes", "--workers")),
    "celery": WorkerOption(("-c", "--concurrency"), per_core=True),
    "flask": WorkerOption(()),
    "waitress-serve": WorkerOption(()),
    "waitress": WorkerOption(()),
    "daphne": WorkerOption(()),
    "dramatiq": WorkerOption(("-p", "--processes"), per_core=True),
    "rq": WorkerOption(("-n", "--num-workers")),
}
_ANY = WorkerOption(("-w", "--workers"), variables=(_CONCURRENCY,))
_IN_ONE_PROCESS = {"solo", "threads", "thread", "gevent", "eventlet"}
"""Celery's pools without processes."""


class Server(NamedTuple):
    """A parsed command.

    Attributes:
        words: the command.
        variables: set in it, before the program and as options of `opentelemetry-instrument`.
        program: name of the program that serves; empty without a command.
        is_instrumented: whether `opentelemetry-instrument` is in it.
        workers: worker processes; 0: set by a file, which was not run.
        place: origin of the value; empty: none.
        arguments: the words after the program.
        starter_at: where in *words* `opentelemetry-instrument` belongs: before the program, behind prefixes that drop variables.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str]
    program: str
    is_instrumented: bool
    workers: int
    place: str
    arguments: tuple[str, ...]
    starter_at: int

    @property
    def started(self) -> str:
        """The command that starts it with Radiosonde, once."""
        if self.is_instrumented:
            return _joined(self.words)
        return _joined((*self.words[: self.starter_at], INSTRUMENT, *self.words[self.starter_at :]))


def _joined(words: Sequence[str]) -> str:
    """Return a command for a shell. An assignment is not quoted as a whole, or it would become the name of a program."""
    shown = []
    for word in words:
        name, equals, value = word.partition("=")
        shown.append(f"{name}={shlex.quote(value)}" if equals and _ASSIGNMENT.fullmatch(word) else shlex.quote(word))
    return " ".join(shown)


def read_server(words: Sequence[str], variables: Mapping[str, str]) -> Server:
    """Parse the command *words*, started with *variables*."""
    added: dict[str, str] = {}
    rest, starter_at = _unwrapped(words, added)
    program = PurePath(rest[0]).name if rest else ""
    package = program.partition(".")[0]  # of `python -m rq.cli`
    program = package if package in _POOLS else program
    is_instrumented = any(PurePath(word).name == INSTRUMENT for word in _flat(words))
    workers, place = _workers(program, rest[1:], {**variables, **added})
    return Server(tuple(words), added, program, is_instrumented, workers, place, tuple(rest[1:]), starter_at)


def variables_of(server: Server, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of the server."""
    seen = {**variables, **server.variables}
    return {**DISTRO_DEFAULTS, **seen} if server.is_instrumented and distro() else seen


def distro() -> str:
    """Return the installed version of `opentelemetry-distro`; empty if it is not installed."""
    try:
        return version(DISTRO)
    except PackageNotFoundError:
        return ""


def _flat(words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        if word == "-c" and place and PurePath(words[place - 1]).name in _SHELLS and place + 1 < len(words):
            yield from _split(words[place + 1])
        yield word


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed
        return text.split()


def _unwrapped(words: Sequence[str], added: dict[str, str]) -> tuple[Sequence[str], int]:
    """Return the command without its prefixes, and where the program or its interpreter is. Add the variables that they set to *added*."""
    at = 0
    while at < len(words):
        word, name = words[at], PurePath(words[at]).name
        if _ASSIGNMENT.fullmatch(word):
            key, _, value = word.partition("=")
            added[key] = value
            at += 1
        elif name in _SHELLS and len(words) > at + 2 and words[at + 1] == "-c":
            return _unwrapped(_split(words[at + 2]), added)[0], at
        elif name == INSTRUMENT:
            at = _options(words, at + 1, added)
        elif name in _BEFORE or name in _RUNNERS:
            at += 1
            while at < len(words) and words[at].startswith("-") and words[at] != "--":
                at += 2 if words[at] in _WITH_VALUE.get(name, ()) else 1
        elif PYTHON.fullmatch(name):
            module = at + 1 + len(interpreter_options(words[at + 1 :]))
            return words[module + 1 if list(words[module : module + 1]) == ["-m"] else at :], at
        else:
            return words[at:], at
    return (), at


def _options(words: Sequence[str], at: int, added: dict[str, str]) -> int:
    """Read the options of `opentelemetry-instrument`, each of which is one of OpenTelemetry's variables."""
    while at < len(words) and words[at].startswith("--"):
        name, equals, value = words[at].removeprefix("--").partition("=")
        at += 1
        if not equals and at < len(words):
            value = words[at]
            at += 1
        added[f"OTEL_{name.upper()}"] = value
    return at


def _workers(program: str, words: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    pool = _POOLS.get(program, _ANY)
    if program == "celery":
        kind = _option(words, ("-P", "--pool")) or "prefork"
        if "worker" not in words or kind in _IN_ONE_PROCESS:
            return 1, ""
        most = (_option(words, ("--autoscale",)) or "").partition(",")[0]
        if most.isdecimal():
            return max(int(most), 1), "the command"
    if (
        program == "rq"
        and "worker" in words
        and not (_option(words, ("-w", "--worker-class")) or "").endswith("SimpleWorker")
    ):
        return 0, "rq runs each job in a process of its own"
    found = _option(words, pool.options)
    if found is not None and found.isdecimal():
        return max(int(found), 1), "the command"
    arguments = variables.get("GUNICORN_CMD_ARGS", "") if program in ("gunicorn", "") else ""
    found = _option(_split(arguments), ("-w", "--workers"))
    if found is not None and found.isdecimal():
        return int(found), "GUNICORN_CMD_ARGS"
    if program == "gunicorn" and (said := _configured(words)) is not None:
        return said
    for name in pool.variables:
        text = variables.get(name, "").strip()
        if text.isdecimal() and int(text) > 0:
            return int(text), name
    if pool.per_core:
        return os.cpu_count() or 1, f"default of {program}, one per core; {pool.options[-1]} sets it"
    return 1, ""


def _configured(words: Sequence[str]) -> tuple[int, str] | None:
    """Return the number of workers in gunicorn's configuration file; 0 if it is computed."""
    path = Path((_option(words, ("-c", "--config")) or "gunicorn.conf.py").removeprefix("file:"))
    try:
        found = _WORKERS_IN_FILE.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    if not found:
        return None
    return (int(found[-1]), str(path)) if found[-1].isdecimal() else (0, f"{path}: workers = {found[-1]}")


def _option(words: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the last value of an option, in any of its spellings; None if it is absent."""
    found = None
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if equals and name in names:
            found = value
        elif word in names and place + 1 < len(words):
            found = words[place + 1]
        else:
            short = next((each for each in names if len(each) == 2 and word.startswith(each) and len(word) > 2), None)
            found = word[2:] if short and word[2:].isalnum() else found
    return found


def server_lines(settings: Settings, server: Server) -> Iterator[CheckupLine]:
    """Yield the lines on worker processes and their CPUs."""
    count, place = server.workers, server.place
    whose = "worker processes" if count != 1 else "worker process"
    many = f"{count} {whose} ({place})" if count else f"a computed number of worker processes ({place})"
    if count != 1 and not settings.agent:
        port = f", and only one can listen on port {settings.prometheus_port}" if settings.prometheus_port else ""
        spool = shlex.quote(settings.spool or _proposed_spool())
        yield CheckupLine(
            "server", "fix",
            f"{many} without an agent: each exports by itself, and a scrape reaches only one of them"
            f"{port}; set RADIOSONDE_SPOOL={spool} RADIOSONDE_AGENT=true for the server and run the agent beside it",
            f"radiosonde agent --spool {spool}",
        )  # fmt: skip
    elif count != 1:
        yield CheckupLine("server", "ok", f"{many}, drained by an agent")
    else:
        yield CheckupLine("server", "ok", "one process, according to the environment")
    yield _cpu_line(count)


def _proposed_spool() -> str:
    """Return a folder that the current user can create."""
    folder = Path(SPOOL)
    return SPOOL if _may_write(folder if folder.exists() else folder.parent) else str(Path.cwd() / "radiosonde-spool")


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _cpu_line(workers: int) -> CheckupLine:
    available, limit = available_cores(), cpu_limit().cores
    said = f"CPU: {available} core{'s' * (available != 1)}"
    if limit < available:
        said += f", limited to {limit:g} by the cgroup"
        if limit < workers:
            said += f", for {workers} process{'es' * (workers != 1)}: expect throttling"
            return CheckupLine("server", "note", f"{said}; radiosonde.runtime.cpu.throttled_periods counts it")
    if available < workers:
        return CheckupLine("server", "note", f"{said} for {workers} worker processes: they compete for CPU")
    return CheckupLine("server", "ok", said)
