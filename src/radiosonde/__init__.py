"""Radiosonde observes machine-learning models in production.

    import radiosonde as rs

    @rs.observe("delays", version="2.3.1")
    def predict(features): ...

Everything works with nothing else: settings come from ``OTEL_*`` and ``RADIOSONDE_*`` environment variables at the first
prediction, or from `start`. Importing has no side effect.
"""

from radiosonde import errors
from radiosonde._pipeline.surface import (
    at,
    cohort,
    collect,
    current,
    defer,
    flush,
    instrument,
    instrument_app,
    label,
    label_app,
    observe,
    queued,
    record,
    recorder,
    shutdown,
    stage,
    start,
    statistics,
    tag,
    uninstrument,
    watch_loop,
)
from radiosonde._version import __version__
from radiosonde.reference.profile import Reference

__all__ = [
    "Reference",
    "__version__",
    "at",
    "cohort",
    "collect",
    "current",
    "defer",
    "errors",
    "flush",
    "instrument",
    "instrument_app",
    "label",
    "label_app",
    "observe",
    "queued",
    "record",
    "recorder",
    "shutdown",
    "stage",
    "start",
    "statistics",
    "tag",
    "uninstrument",
    "watch_loop",
]
