"""Finds the rows in an envelope of several fields, as ``{"model": "m", "instances": [...]}`` or a pydantic request with a name.

Such a mapping or object reads as one row by name as well. With known features it is an envelope if none of its fields is a feature and exactly
one container in it has rows of them (`rows_within`). Without, its first calls are one row each; as soon as there are as many answers as rows
in its only container of rows, it is an envelope from then on (`Alternative` of `radiosonde._record.learning`).

Names may lie beside the rows: ``{"columns": [...], "data": [...]}``, as `DataFrame.to_dict` writes it, or ``{"names": ..., "ndarray": ...}``. Then they
count, not the places.

Searched only where no field is a feature, so rows by name cost nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from radiosonde._record.row_sequences import Viewed, first_item, is_pair_with_row, row_width, under_names, without_keys
from radiosonde._record.shapes import Form, column_names, form_of_item, is_scalar, recognise
from radiosonde._record.wrapped import DEPTH, FIELDS, PLAIN, TABLES, fields_of
from radiosonde.model.feature_names import feature_names
from radiosonde.model.iteration import items_of

_MOST_NAMES: Final = 1 << 16
"""Longest list of texts that may be the names of columns: a frame of so many is a summary anyhow."""


class Content(NamedTuple):
    """A container in an envelope.

    Attributes:
        rows: the container: rows, or one row, by name or of values.
        names: names of the values, those given beside it included; None where they have none.
        width: number of values of a row.
        size: number of rows; None for one row.
    """

    rows: Any
    names: Sequence[str] | None
    width: int
    size: int | None


def rows_within(fields: Mapping[Any, Any], known: frozenset[str], width: int) -> Any:
    """Return the only container in *fields* that has rows of these features, None if there is none or several.

    Exceptions of the containers propagate.

    Args:
        fields: of a mapping or an object, none of which is a feature.
        known: names of the features.
        width: number of features.
    """
    held = list(contents(fields, known))
    # Names are evidence; a list of as many values, such as the index of as many rows, is a candidate only without any.
    found = [each for each in held if each.names is not None and not known.isdisjoint(each.names)] or [
        each for each in held if each.names is None and each.width == width
    ]
    if (
        len(found) > 1
        and len(found) == min(len(fields), FIELDS)
        and all(each.names == found[0].names for each in found)
    ):
        return Viewed(fields.values())  # rows by key
    return found[0].rows if len(found) == 1 else None


def only_batch(fields: Mapping[Any, Any]) -> Content | None:
    """Return the only container of rows in *fields*; None if there is none or several. Exceptions of the containers propagate."""
    found = [each for each in contents(fields) if each.size is not None]
    return found[0] if len(found) == 1 else None


def contents(fields: Mapping[Any, Any], known: frozenset[str] = frozenset(), depth: int = DEPTH) -> Iterator[Content]:
    """Yield the containers in *fields*, and in mappings and objects among them, that may hold rows; names of *known* features come first."""
    entries = [each for each in islice(items_of(fields.values()), FIELDS) if type(each) not in PLAIN]
    labels = sorted((list(each) for each in entries if _is_labels(each)), key=known.isdisjoint)
    for entry in entries:
        form = recognise(entry)
        if form in (Form.MAPPING, Form.OBJECT):
            inner = fields_of(entry, form)
            yield Content(entry, feature_names(inner), len(inner), None)
            if depth > 1:
                yield from contents(inner, known, depth - 1)
        elif not _is_labels(entry):
            found = _content(entry, form, labels)
            if found is not None:
                yield found


def _is_labels(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and 0 < len(value) <= _MOST_NAMES
        and all(isinstance(each, str) for each in value)
    )


def _content(value: Any, form: Form, labels: list[list[str]]) -> Content | None:
    if form in TABLES:
        names = column_names(value)
        rows, width = (
            (value.num_row(), value.num_col()) if form is Form.DMATRIX else (int(axis) for axis in value.shape)
        )
        return Content(value, names, width, rows)
    if form is Form.ARRAY and len(getattr(value, "shape", ())) == 2:
        return _named(value, int(value.shape[1]), labels)
    if form is not Form.SEQUENCE or not len(value):
        return None
    if is_pair_with_row(first_item(value)):
        value = without_keys(value)
    first = first_item(value)
    form = form_of_item(first)
    if form in (Form.MAPPING, Form.OBJECT):
        names = feature_names(fields_of(first, form))
        return Content(value, names, len(names), len(value))
    if form in (Form.SEQUENCE, Form.ARRAY):
        return _named(value, row_width(first, form), labels)
    return Content(value, None, len(value), None) if is_scalar(form) and form is not Form.TEXT else None


def _named(rows: Any, width: int, labels: list[list[str]]) -> Content:
    """Return rows of values under the names beside them, if there are as many."""
    names = next((each for each in labels if len(each) == width), None)
    if names is None:
        return Content(rows, None, width, len(rows))
    names = feature_names(names)
    return Content(under_names(rows, names), names, width, len(rows))
