"""Which settings are in force: variables, worker processes, reference profiles, CPU."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from radiosonde._pipeline.probes import cpu_limit
from radiosonde._settings import Settings, is_disabled
from radiosonde._settings import variables as known_variables
from radiosonde.cli._checkup import Line, masked
from radiosonde.errors import RadiosondeError
from radiosonde.reference.profile import Reference

SPOOL = "/var/lib/radiosonde"
"""The spool a command proposes where none is set."""

_OURS = "RADIOSONDE_"
_WORKERS = re.compile(r"(?:^|\s)(?:-w\s*|--workers[=\s]\s*)(\d+)(?=\s|$)")


def variable_lines(variables: Mapping[str, str]) -> Iterator[Line]:
    """Yield what is wrong with the variables, then those in force."""
    ours = known_variables()
    for name in variables:
        if name.startswith(_OURS) and name not in ours:
            # Without what all have in common, which would make any two alike.
            known = {each.removeprefix(_OURS): each for each in ours}
            near = difflib.get_close_matches(name.removeprefix(_OURS), known, 1)
            said = f"{name} is not known and does nothing" + (f"; did you mean {known[near[0]]}?" if near else "")
            yield Line("settings", "fix", said, f"unset {name}")
        elif "OLTP" in name:
            yield Line("settings", "fix", f"{name} does nothing; it is spelt OTLP", f"unset {name}")
    for problem in Settings.resolve(variables).problems:
        yield Line("settings", "fix", problem.message, f"unset {problem.variable}")
    if is_disabled(variables):
        name = "OTEL_SDK_DISABLED" if not variables.get("RADIOSONDE_DISABLED") else "RADIOSONDE_DISABLED"
        yield Line("settings", "fix", f"everything is switched off by {name}: nothing is observed", f"unset {name}")
    shown = [f"{name}={masked(name, value)}" for name, value in variables.items()]
    yield Line("settings", "ok", "in force: " + ("  ".join(shown) if shown else "none, all defaults"))


def worker_count(variables: Mapping[str, str], server: Sequence[str]) -> tuple[int, str]:
    """Return how many worker processes the server would start, and what says so; (1, "") when nothing does."""
    told = (("the command", shlex.join(server)), ("GUNICORN_CMD_ARGS", variables.get("GUNICORN_CMD_ARGS", "")))
    for place, text in told:
        found = _WORKERS.findall(text)
        if found:
            return int(found[-1]), place
    text = variables.get("WEB_CONCURRENCY", "").strip()
    return (int(text), "WEB_CONCURRENCY") if text.isdecimal() else (1, "")


def server_lines(settings: Settings, workers: tuple[int, str]) -> Iterator[Line]:
    """Yield what is to say of worker processes and the CPU they share."""
    count, place = workers
    if count > 1 and not settings.agent:
        port = f", and all but one cannot listen on port {settings.prometheus_port}" if settings.prometheus_port else ""
        spool = shlex.quote(settings.spool or SPOOL)
        yield Line(
            "server",
            "fix",
            f"{count} worker processes ({place}) without an agent: each exports for itself, and a scrape sees one of them"
            f"{port}; set RADIOSONDE_SPOOL={spool} RADIOSONDE_AGENT=true for the server and run the agent beside it",
            f"radiosonde agent --spool {spool}",
        )
    elif count > 1:
        yield Line("server", "ok", f"{count} worker processes ({place}), drained by an agent")
    else:
        yield Line("server", "ok", "one process, as far as the environment says")
    yield _cpu_line(count)


def _cpu_line(workers: int) -> Line:
    available, limit = len(os.sched_getaffinity(0)), cpu_limit().cores
    said = f"CPU: {available} core{'s' * (available != 1)}"
    if limit < available:
        said += f", of which the control group may use {limit:g}"
        if limit < workers:
            said += f", for {workers} process{'es' * (workers != 1)}: expect throttling"
            return Line("server", "note", f"{said}; radiosonde.runtime.cpu.throttled_periods counts it")
    if available < workers:
        return Line("server", "note", f"{said} for {workers} worker processes: they wait for each other")
    return Line("server", "ok", said)


def reference_lines(settings: Settings) -> Iterator[Line]:
    """Yield one line per reference profile of the settings."""
    for model, path in settings.references.items():
        try:
            profile = Reference.load(path)
        except RadiosondeError as error:
            yield Line("reference", "fix", str(error), f"ls -l {shlex.quote(path)}")
            continue
        whose = "every model" if model == "*" else model
        said = f"{path} for {whose}: {len(profile.features)} features, {profile.rows} rows"
        yield Line("reference", "ok", said)
    if not settings.references:
        yield Line(
            "reference",
            "note",
            "none set: the first rows of each model stand in for training data, unless the code gives one",
            "radiosonde reference build train.parquet --target y --out model.reference.json",
        )
