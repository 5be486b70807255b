"""Radiosonde observes machine-learning models in production.

    import radiosonde as rs

    @rs.observe("delays", version="2.3.1")
    def predict(features): ...

Everything works with nothing else: settings come from ``OTEL_*`` and ``RADIOSONDE_*`` environment variables at the first
prediction, or from `start`. Importing has no side effect.
"""

from radiosonde import errors
from radiosonde import plugin as plugin
from radiosonde._api.surface import (
    at,
    cohort,
    current,
    flush,
    instrument,
    instrument_app,
    label,
    label_app,
    observe,
    record,
    shutdown,
    stage,
    start,
    statistics,
    tag,
    uninstrument,
)
from radiosonde._version import __version__
from radiosonde.forensics.tables import fingerprint
from radiosonde.frames import read
from radiosonde.reference.profile import Reference

__all__ = [
    "Reference",
    "__version__",
    "at",
    "cohort",
    "current",
    "errors",
    "fingerprint",
    "flush",
    "instrument",
    "instrument_app",
    "label",
    "label_app",
    "observe",
    "read",
    "record",
    "shutdown",
    "stage",
    "start",
    "statistics",
    "tag",
    "uninstrument",
]

_OF_PLUGINS = ("collect", "defer", "queued", "recorder", "watch_loop")


def __getattr__(name: str) -> object:
    """Return a name that has moved to `radiosonde.plugin`, with a warning; it goes with the next release."""
    if name not in _OF_PLUGINS:
        raise AttributeError(f"module 'radiosonde' has no attribute {name!r}")
    import warnings

    warnings.warn(f"radiosonde.{name} is radiosonde.plugin.{name} now", DeprecationWarning, stacklevel=2)
    return getattr(plugin, name)
