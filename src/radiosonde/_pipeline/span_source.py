"""Finds the user's tracer provider and keeps the maker of live spans for it. The user may set one at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._record.tracing import LiveSpans, find_provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from radiosonde._guard import Guard
    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.token import Token


class SpanSource:
    """Creates live spans with the current tracer provider.

    Args:
        guard: swallows exceptions of a broken provider.
        cells_of: returns the cells string of a recorded row for a writer, or None without a grid.
    """

    def __init__(self, guard: Guard, cells_of: Callable[[RecordWriter, Token], str | None]) -> None:
        self._guard, self._cells_of = guard, cells_of
        self._spans: LiveSpans | None = None

    def find(self) -> LiveSpans | None:
        """Return the maker of live spans, None when the user has set no tracer provider. Does not raise."""
        with self._guard("span_tracer"):  # a broken tracer provider costs the spans, not the records
            provider = find_provider()
            if provider is None:
                self._spans = None
            elif self._spans is None or self._spans.provider is not provider:
                self._spans = LiveSpans(provider, self._guard, self._cells_of)
            return self._spans
        return None
