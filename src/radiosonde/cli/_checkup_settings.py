"""Checks of the settings: variables and reference profiles."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping

from radiosonde._settings import Settings, is_disabled
from radiosonde._settings import variables as known_variables
from radiosonde.cli._checkup import CheckupLine, masked
from radiosonde.errors import RadiosondeError
from radiosonde.reference.profile import Reference

_OURS = "RADIOSONDE_"


def variable_lines(variables: Mapping[str, str]) -> Iterator[CheckupLine]:
    """Yield the problems of the variables, then the variables in force."""
    ours = known_variables()
    for name in variables:
        if name.startswith(_OURS) and name not in ours:
            # Without the common prefix, which would make any two names similar.
            known = {each.removeprefix(_OURS): each for each in ours}
            near = difflib.get_close_matches(name.removeprefix(_OURS), known, 1)
            said = f"{name} is unknown and has no effect" + (f"; did you mean {known[near[0]]}?" if near else "")
            yield CheckupLine("settings", "fix", said, f"unset {name}")
        elif "OLTP" in name:
            yield CheckupLine("settings", "fix", f"{name} has no effect; the correct spelling is OTLP", f"unset {name}")
    for problem in Settings.resolve(variables).problems:
        yield CheckupLine("settings", "fix", problem.message, f"unset {problem.variable}")
    if is_disabled(variables):
        name = "OTEL_SDK_DISABLED" if not variables.get("RADIOSONDE_DISABLED") else "RADIOSONDE_DISABLED"
        yield CheckupLine("settings", "fix", f"{name} disables Radiosonde: nothing is observed", f"unset {name}")
    shown = [f"{name}={masked(name, value)}" for name, value in variables.items()]
    yield CheckupLine("settings", "ok", "in force: " + ("  ".join(shown) if shown else "none, all defaults"))


def reference_lines(settings: Settings) -> Iterator[CheckupLine]:
    """Yield one line per reference profile of the settings."""
    for model, path in settings.references.items():
        try:
            profile = Reference.load(path)
        except RadiosondeError as error:
            yield CheckupLine("reference", "fix", str(error), f"ls -l {shlex.quote(path)}")
            continue
        whose = "every model" if model == "*" else model
        said = f"{path} for {whose}: {len(profile.features)} features, {profile.rows} rows"
        yield CheckupLine("reference", "ok", said)
    if not settings.references:
        yield CheckupLine(
            "reference",
            "note",
            "none set: the first rows of each model serve as its reference, unless the code sets one",
            "radiosonde reference build train.parquet --target y --out model.reference.json",
        )
