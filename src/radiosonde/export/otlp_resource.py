"""The resource of this process in OpenTelemetry's terms, whenever it is asked for.

`Resource.create` runs its detectors in a thread pool, which an ending interpreter refuses. A script that lives for less than an
export interval asks for the first time at its exit, and so does the SDK for logs, which makes a resource when it is imported. The
detectors then run one after the other, in the thread that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource, ResourceDetector

Made = TypeVar("Made")


def make_resource(attributes: Mapping[str, str]) -> Resource:
    """Return what the environment and its detectors say of this process, with *attributes* over it."""
    from opentelemetry.sdk.resources import Resource

    return with_resources(lambda: Resource.create(dict(attributes)))


def with_resources(make: Callable[[], Made]) -> Made:
    """Return what *make* returns, which creates a resource on the way; called again where no thread can be started any more."""
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
