"""Reads rows by name in the order of a model's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radiosonde._guard import Guard
from radiosonde._record.envelopes import rows_within
from radiosonde._record.input_losses import OtherWidthError
from radiosonde._record.schema import Schema
from radiosonde._record.shapes import Form, form_of_item
from radiosonde._record.wrapped import fields_of
from radiosonde.model.feature_names import feature_names
from radiosonde.model.iteration import items_of
from radiosonde.model.losses import FEATURE_VALUES_UNKNOWN


class NamedRows:
    """Rows by name of one model.

    Args:
        schema: names of the features.
        guard: counts rows with other names.
    """

    def __init__(self, schema: Schema, guard: Guard) -> None:
        self._schema = schema
        self._guard = guard

    def values(self, row: Mapping[Any, object]) -> Sequence[object] | None:
        """Return the values of the features by name, None for a missing one; None when no name is known."""
        if self._schema.reading == "wide":
            return list(items_of(row.values()))
        names = self._schema.names
        missing = object()
        values = [row.get(name, missing) for name in names]
        absent = sum(item is missing for item in values)
        if absent and not all(isinstance(name, str) for name in items_of(row)):
            by_text = dict(
                zip(feature_names(row), items_of(row.values()), strict=True)
            )  # labelled by position, or mixed
            values = [by_text.get(name, missing) for name in names]
            absent = sum(item is missing for item in values)
        if absent == len(names):
            return None
        if len(row) > len(names) - absent:
            self._guard.lose(FEATURE_VALUES_UNKNOWN)
        return [None if item is missing else item for item in values]

    def batch_in(self, envelope: Mapping[Any, object]) -> Any:
        """Return the rows in a mapping of no known name; None if there are none, or several."""
        if self._schema.reading != "columns":
            return None
        found = self._guard.attempt(rows_within, envelope, self._schema.known, self._schema.width)
        return None if isinstance(found, Exception) else found

    def item(self, fields: Mapping[Any, object]) -> Sequence[object]:
        """Return the values of a row by name of a batch, or of the only row by name in it.

        Raises:
            OtherWidthError: it has none of the features.
        """
        found = self.values(fields)
        if found is None:
            row = self.batch_in(fields)
            form = form_of_item(row)
            found = self.values(fields_of(row, form)) if form in (Form.MAPPING, Form.OBJECT) else None
        if found is None:
            raise OtherWidthError("none of its names is one of them")
        return found
