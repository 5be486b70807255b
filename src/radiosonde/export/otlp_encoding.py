"""What all OTLP messages have in common: attributes, resource, scope, and the frame of a request.

The field numbers are those of ``opentelemetry/proto`` (stable since 1.0): ``common.proto``, ``resource.proto`` and the service of
each signal, which agree in the frame: request, resource, scope, items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from radiosonde._version import __version__
from radiosonde.export.wire import double, head, message, text, whole
from radiosonde.semconv.attributes import SCHEMA_URL

Value = str | bool | int | float


def attribute_messages(field: int, attributes: Iterable[tuple[str, Value]]) -> bytes:
    """Return attributes as fields number *field* of their parent message."""
    return b"".join(message(field, text(1, name) + message(2, any_value(value))) for name, value in attributes)


def any_value(value: Value) -> bytes:
    """Return the content of an ``AnyValue``."""
    if isinstance(value, str):
        return text(1, value)
    if isinstance(value, bool):
        return whole(2, value)
    if isinstance(value, int):
        return whole(3, value)
    return double(4, value)


class Frame:
    """The envelope of every request of a process: its resource and the instrumentation scope.

    Args:
        resource: attributes of the process.
        schema_url: schema of their names; empty if unknown.
    """

    def __init__(self, resource: Mapping[str, Value], schema_url: str = "") -> None:
        self._resource = message(1, attribute_messages(1, resource.items()))
        self._schema = text(3, schema_url) if schema_url else b""
        self._scope = message(1, text(1, "radiosonde") + text(2, __version__))

    def request(self, items: Iterable[bytes]) -> bytes:
        """Return the request of *items*, each a metric, a log record or a span."""
        # Put together once: a request of a thousand points takes 0.3 MiB, and copies of it would stay with the heap of this thread.
        scoped = [self._scope, *(message(2, item) for item in items), text(3, SCHEMA_URL)]
        scope_head = head(2, sum(map(len, scoped)))
        size = len(self._resource) + len(scope_head) + sum(map(len, scoped)) + len(self._schema)
        return b"".join((head(1, size), self._resource, scope_head, *scoped, self._schema))
