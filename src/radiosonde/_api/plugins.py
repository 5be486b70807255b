"""Discovers plug-ins by entry point, so that nothing here imports them.

* Group ``opentelemetry_instrumentor``: classes on OpenTelemetry's ``BaseInstrumentor``, found by
  ``opentelemetry-instrument`` too; ours are those whose module is in `PACKAGE`.
* Group ``radiosonde_app``: functions ``(app, **options) -> None`` by the name of a web framework's root module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError

PACKAGE = "radiosonde_integrations"
INSTRUMENTORS, APPS = "opentelemetry_instrumentor", "radiosonde_app"


def instrumentors(names: tuple[str, ...]) -> Iterator[tuple[str, EntryPoint]]:
    """Yield (library, entry point of its instrumentor) of the libraries *names*, or of all.

    Raises:
        ConfigurationError: a name is not that of a plug-in.
    """
    found = {_library(each): each for each in entry_points(group=INSTRUMENTORS) if each.value.startswith(PACKAGE)}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise ConfigurationError(f"no plug-in for {', '.join(unknown)}; there are {', '.join(sorted(found))}")
    for name in sorted(names or found):
        yield name, found[name]


def _library(entry: EntryPoint) -> str:
    return entry.name.removeprefix("radiosonde_")


def instrument(
    names: tuple[str, ...], guard: Guard, *, undo: bool, options: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Instrument (or *undo*) libraries; return those that succeeded. A failure of one does not affect the others."""
    done = []
    for name, entry in instrumentors(names):
        has_turned = guard.attempt(partial(_turn, entry, options or {}, undo=undo))
        if isinstance(has_turned, Exception):
            guard.warn(f"plug-in {name}", "The plug-in for %s failed: %r; the others work", name, has_turned)
        elif has_turned:
            done.append(name)
    return tuple(done)


def _turn(entry: EntryPoint, options: Mapping[str, Any], *, undo: bool) -> bool:
    """Enable or disable a plug-in; return whether it is in that state. A plug-in of an absent library is never enabled."""
    plugin: Any = entry.load()()
    if undo:
        plugin.uninstrument()
        return True
    plugin.instrument(**options)
    return bool(getattr(plugin, "is_instrumented_by_opentelemetry", True))


def instrument_app(app: object, options: dict[str, Any]) -> None:
    """Pass *app* to the plug-in for its framework.

    Raises:
        ConfigurationError: no plug-in knows it, or an option is wrong.
    """
    known = {each.name: each for each in entry_points(group=APPS)}
    roots = [kind.__module__.partition(".")[0] for kind in type(app).__mro__]
    entry = next((known[root] for root in roots if root in known), None)
    if entry is None:
        raise ConfigurationError(
            f"a {type(app).__module__}.{type(app).__qualname__} is not an application of {', '.join(sorted(known)) or 'any plug-in'}; "
            "give the application object itself"
        )
    entry.load()(app, **options)
