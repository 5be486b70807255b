"""Which libraries would be observed: our plug-ins, what they support, what is installed, what is switched off.

The libraries themselves are never imported: their versions are read from the metadata of what is installed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path

from radiosonde._pipeline.plugins import INSTRUMENTORS, PACKAGE
from radiosonde.cli._checkup import Line

TOPIC = "libraries"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
EXTRA = "pip install 'radiosonde[instrument]'"


def library_lines(variables: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line per supported library that is installed, one for those that are not, and one for the starter."""
    off = {name.strip() for name in variables.get(DISABLED, "").split(",") if name.strip()}
    absent: list[str] = []
    installed = False
    for entry in sorted(entry_points(group=INSTRUMENTORS), key=lambda each: each.name):
        if not entry.value.startswith(PACKAGE):
            continue
        for line in _plugin(entry, off, absent):
            installed = True
            yield line
    if absent:
        yield Line(TOPIC, "off", f"not installed here: {', '.join(absent)}")
    if not installed:
        yield Line(
            TOPIC,
            "fix",
            "none of the libraries that can be observed without code is installed in this environment; run this in the "
            "server's environment, or decorate your predict function with @radiosonde.observe",
            "python -m pip list",
        )
    yield _starter()


def _plugin(entry: EntryPoint, off: set[str], absent: list[str]) -> Iterator[Line]:
    library = entry.name.removeprefix("radiosonde_")
    try:
        # Asked as OpenTelemetry asks: of a library with several distributions, the plug-in tells the one that is installed.
        requires: Collection[str] = entry.load()().instrumentation_dependencies()
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises is what there is to say of it
        yield Line(TOPIC, "fix", f"{library}: its plug-in cannot be loaded ({error})", EXTRA)
        return
    from packaging.requirements import Requirement  # comes with opentelemetry-instrumentation, as the plug-in did

    for requirement in map(Requirement, requires):
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            absent.append(requirement.name)
            return
        supported = f" ({requirement.specifier})" if requirement.specifier else ""
        if not requirement.specifier.contains(found, prereleases=True):
            said = f"{requirement.name} {found} is not supported{supported} and will not be observed"
            yield Line(TOPIC, "fix", said, f"pip install '{requirement}'")
        elif {entry.name, "*"} & off:
            yield Line(TOPIC, "off", f"{requirement.name} {found}{supported}: switched off by {DISABLED}")
        else:
            yield Line(TOPIC, "ok", f"{requirement.name} {found}{supported}")


def _starter() -> Line:
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    if program.exists() or shutil.which("opentelemetry-instrument"):
        return Line(TOPIC, "ok", "opentelemetry-instrument is there: it observes these without a change of code")
    said = "opentelemetry-instrument is missing: without it, call radiosonde.instrument() in the server's code"
    return Line(TOPIC, "fix", said, EXTRA)
