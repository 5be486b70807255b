"""The resource of this process: attributes from the environment, from detectors, and from Radiosonde.

Where the environment names detectors (``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS``), OpenTelemetry's SDK runs them, and nothing else loads it.
Without the SDK (`LACKS_DETECTORS`) the resource has no attributes from detectors. The SDK runs them in a thread pool, which an ending
interpreter refuses: a script shorter than an export interval needs the resource for the first time at exit. The detectors then run
sequentially in the calling thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from radiosonde._settings import resource_variables
from radiosonde._version import __version__
from radiosonde.export.otlp_encoding import Value

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource, ResourceDetector

Made = TypeVar("Made")

_SDK = {"telemetry.sdk.language": "python", "telemetry.sdk.name": "radiosonde", "telemetry.sdk.version": __version__}
_SERVICE_NAME = "service.name"

LACKS_DETECTORS = (
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS names detectors that OpenTelemetry's SDK would run, which is not installed; "
    "their attributes are missing"
)
"""Message if `lacks_detectors`."""
INSTALL_DETECTORS = "pip install 'radiosonde[otel]'"


def make_resource(attributes: Mapping[str, str]) -> tuple[dict[str, Value], str]:
    """Return the attributes of this process, with *attributes* over the others, and the schema that their names follow."""
    named, has_detectors = resource_variables()
    is_detected = has_detectors and not lacks_detectors()
    found, schema_url = _detected(attributes) if is_detected else ({**named, **attributes}, "")
    if not found.get(_SERVICE_NAME):
        found[_SERVICE_NAME] = "unknown_service" + (f":{Path(sys.executable).name}" if sys.executable else "")
    return {**found, **_SDK}, schema_url


def lacks_detectors(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the environment names resource detectors that cannot be run: OpenTelemetry's SDK is not installed."""
    if not resource_variables(environment)[1]:
        return False
    try:
        return find_spec("opentelemetry.sdk") is None
    except ModuleNotFoundError:  # not even the package around it
        return True


def _detected(attributes: Mapping[str, str]) -> tuple[dict[str, Value], str]:
    from opentelemetry.sdk.resources import Resource

    resource = _with_resources(lambda: Resource.create(dict(attributes)))
    plain = {
        name: value if isinstance(value, (str, bool, int, float)) else str(value)
        for name, value in resource.attributes.items()
    }
    return plain, resource.schema_url


def _with_resources(make: Callable[[], Made]) -> Made:
    """Return the result of *make*, which creates a resource; called again without threads when no thread can be started."""
    try:
        return make()
    except RuntimeError:
        with _without_threads():
            return make()


@contextmanager
def _without_threads() -> Iterator[None]:
    """Run OpenTelemetry's resource detectors in the thread that creates a resource. Only while the interpreter ends."""
    from opentelemetry.sdk import resources

    def aggregated(
        detectors: Sequence[ResourceDetector], initial_resource: Resource | None = None, timeout: int = 5
    ) -> Resource:
        del timeout  # of threads
        found = initial_resource or resources.Resource({})
        for detector in detectors:
            try:
                found = found.merge(detector.detect())
            except Exception:
                if detector.raise_on_error:
                    raise
        return found

    before = resources.get_aggregated_resources
    resources.get_aggregated_resources = aggregated
    try:
        yield
    finally:
        resources.get_aggregated_resources = before
