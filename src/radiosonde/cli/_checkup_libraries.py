"""Checks of the libraries: plug-ins, supported and installed versions, and disabled plug-ins.

The libraries themselves are never imported: their versions are read from the metadata of installed packages.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from radiosonde._api.plugins import INSTRUMENTORS, PACKAGE
from radiosonde.cli._checkup import CheckupLine

TOPIC = "libraries"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
EXTRA = "pip install 'radiosonde[instrument]'"


def library_lines(variables: Mapping[str, str]) -> Iterator[CheckupLine]:
    """Yield a line per installed library, one for all others, and one for `opentelemetry-instrument`."""
    off = {name.strip() for name in variables.get(DISABLED, "").split(",") if name.strip()}
    absent: list[str] = []
    blocked: list[str] = []
    installed = False
    for entry in sorted(entry_points(group=INSTRUMENTORS), key=lambda each: each.name):
        if not entry.value.startswith(PACKAGE):
            continue
        for line in _plugin(entry, off, absent, blocked):
            installed = True
            yield line
    if absent:
        yield CheckupLine(TOPIC, "off", f"not installed: {', '.join(absent)}")
    if blocked:
        verb = "is" if len(blocked) == 1 else "are"
        said = f"{', '.join(blocked)} {verb} installed but cannot be observed without code: packages that the plug-ins need are missing"
        yield CheckupLine(TOPIC, "fix", said, EXTRA)
        return  # which brings the starter too
    if not installed:
        yield CheckupLine(
            TOPIC,
            "fix",
            "no library that can be observed without code is installed in this environment; run this command in the "
            "server's environment, or decorate your predict function with @radiosonde.observe",
            "python -m pip list",
        )
    yield _starter(is_needed=installed)


def _plugin(entry: EntryPoint, off: set[str], absent: list[str], blocked: list[str]) -> Iterator[CheckupLine]:
    library = entry.name.removeprefix("radiosonde_")
    try:
        requires = _requirements(entry.load())
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            yield CheckupLine(TOPIC, "fix", f"{library}: its plug-in cannot be loaded ({error})", EXTRA)
        elif importlib.util.find_spec(library) is None:  # top level only: searches without importing
            absent.append(library)
        else:
            blocked.append(library)
        return
    except Exception as error:  # noqa: BLE001 - any error of a plug-in is reported
        yield CheckupLine(TOPIC, "fix", f"{library}: its plug-in cannot be loaded ({error})", EXTRA)
        return
    from packaging.requirements import Requirement  # comes with opentelemetry-instrumentation, as the plug-in did

    for requirement in map(Requirement, requires):
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            absent.append(requirement.name)
            return
        # The lowest version first, as is usual; the set of bounds is unordered.
        bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        supported = f" ({bounds})" if bounds else ""
        if not requirement.specifier.contains(found, prereleases=True):
            said = f"{requirement.name} {found} is not supported{supported} and not observed"
            yield CheckupLine(TOPIC, "fix", said, f"pip install '{requirement.name}{bounds}'")
        elif {entry.name, "*"} & off:
            yield CheckupLine(TOPIC, "off", f"{requirement.name} {found}{supported}: disabled by {DISABLED}")
        else:
            yield CheckupLine(TOPIC, "ok", f"{requirement.name} {found}{supported}")


def _requirements(kind: Any) -> Sequence[str]:
    """Return the requirements of a plug-in. Of several distributions of one library, the installed one."""
    if hasattr(kind, "instrumentation_dependencies"):
        found: Sequence[str] = tuple(kind().instrumentation_dependencies())
        return found
    declared: Sequence[str] = kind.requires
    return declared


def _starter(*, is_needed: bool) -> CheckupLine:
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    if program.exists() or shutil.which("opentelemetry-instrument"):
        return CheckupLine(
            TOPIC, "ok", "opentelemetry-instrument is installed: it observes libraries without code changes"
        )
    said = "opentelemetry-instrument is not installed: install it, or call radiosonde.instrument() in the server's code"
    return CheckupLine(TOPIC, "fix" if is_needed else "off", said, EXTRA)
