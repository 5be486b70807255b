"""The resource of this process in OpenTelemetry's terms, whenever it is asked for.

`Resource.create` runs its detectors in a thread pool, which an ending interpreter refuses. A script that lives for less than an
export interval asks for the first time at its exit; the detectors then run one after the other, in the thread that asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from radiosonde._settings.environment import in_force

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource, ResourceDetector

_GROUP = "opentelemetry_resource_detector"


def make_resource(attributes: Mapping[str, str]) -> Resource:
    """Return what the environment and its detectors say of this process, with *attributes* over it."""
    from opentelemetry.sdk.resources import Resource

    try:
        return Resource.create(dict(attributes))
    except RuntimeError:  # no thread can be started any more
        return _without_threads(attributes)


def _without_threads(attributes: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk import resources
    from opentelemetry.sdk.version import __version__ as sdk_version

    found = resources.Resource(
        {
            resources.TELEMETRY_SDK_LANGUAGE: "python",
            resources.TELEMETRY_SDK_NAME: "opentelemetry",
            resources.TELEMETRY_SDK_VERSION: sdk_version,
        }
    )
    for detector in (*_configured(), resources.OTELResourceDetector()):
        try:
            found = found.merge(detector.detect())
        except Exception:
            if detector.raise_on_error:
                raise
    found = found.merge(resources.Resource(dict(attributes)))
    if found.attributes.get(resources.SERVICE_NAME):
        return found
    return found.merge(resources.Resource({resources.SERVICE_NAME: "unknown_service:python"}))


def _configured() -> Iterator[ResourceDetector]:
    """Yield the detectors that ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS`` names; ``*`` names all that are installed."""
    named = [name.strip() for name in in_force(None).get("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "").split(",")]
    for point in entry_points(group=_GROUP):
        if point.name != "otel" and (point.name in named or "*" in named):
            yield point.load()()
