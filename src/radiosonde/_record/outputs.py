"""Summarises what a model answered into four numbers a row: kind, class code, confidence, score.

* probabilities (a row or matrix with two or more columns): the class of the largest, and it as the confidence;
* labels (text, booleans, integers): the class;
* numbers: P(second class) for a classifier with at most two classes, else a value or raw score;
* for a batch a mapping of columns: ``label``, and perhaps ``confidence``;
* mappings, dataclasses and pydantic models: ``label``/``class``/``prediction`` with ``confidence``/``probability`` (of
  that label), or ``probabilities``, or ``score``/``value``;
* a pair ``(label, confidence)``.

The rest is unreadable: counted, told once a minute, and the prediction still counts. ``output=`` of ``observe`` turns
it into one of the above.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._record.intern import Codes
from radiosonde._record.shapes import Form, as_array, as_mapping, attribute_names, recognise
from radiosonde._ring.layout import OUTPUT_CLASS, OUTPUT_NONE, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import class_text, losses
from radiosonde.model.classes import plain_class

NAN = float("nan")
MAX_CLASSES = 100
"""Predicted classes per model that get a code of their own; bounds the class tables and the metrics' label values."""

_SLACK = 1e-6
"""How far rounding may carry a probability above 1."""

_LABELS = ("label", "class", "prediction", "predicted", "class_name")
_CONFIDENCES = ("confidence", "probability", "proba")
_SCORES = ("score", "value")


Summary = tuple[int, int, float, float]
"""One row's output: kind (`radiosonde._ring.layout.OUTPUT_*`), class code or -1, confidence or NaN, score or NaN.

A plain tuple: a named one costs 0.25 us more to make (bench_record)."""

NOTHING: Summary = (OUTPUT_NONE, -1, NAN, NAN)
UNREADABLE: Summary = (OUTPUT_UNREADABLE, -1, NAN, NAN)


class OutputReader:
    """Reads the outputs of one model.

    Attributes:
        classes: codes of the classes.
        columns: class code by column of a probability row.
        two_columns: whether the model answers two probabilities, as far as is known; `radiosonde._record.record_writer` then
            reads them itself and puts this to False when something else comes.

    Args:
        classes: names of the classes, in the order of a probability matrix's columns; may be empty.
        is_classifier: numbers are probabilities of the second class (True), values (False), or unknown (None: values).
        guard: counts what cannot be read.
    """

    def __init__(self, classes: Sequence[str], guard: Guard, *, is_classifier: bool | None) -> None:
        self._guard = guard
        self._two_classes = bool(is_classifier) and len(classes) <= 2
        self._is_regression = is_classifier is False
        self.classes = Codes(MAX_CLASSES, first=[class_text(name) for name in classes])
        self.declared = len(classes)
        self.columns = list(range(len(classes)))  # column of a probability row -> class code
        self._is_in_order = True
        self.two_columns = len(classes) == 2
        self.by_type: dict[type, Callable[[Any], Summary]] = {
            np.ndarray: self._array,
            str: self._label,
            bool: self._label,
            np.bool_: lambda value: self._label(bool(value)),
            int: self._label,
            float: self._number,
            np.float64: lambda value: self._number(float(value)),
            type(None): lambda _: NOTHING,
        }

    def read(self, value: object) -> Summary:
        """Return the summary of a single row's output; may raise what the user's object raises."""
        reader = self.by_type.get(type(value))
        if reader is None:
            reader = self.by_type[type(value)] = self._reader_for(value)
        return reader(value)

    def _reader_for(self, value: object) -> Callable[[Any], Summary]:
        if isinstance(value, np.generic):
            return lambda item: self.read(item.item())
        form = recognise(value)
        if form is Form.ARRAY:
            return lambda item: self._array(as_array(item))
        if form is Form.FRAME or hasattr(value, "to_numpy"):  # a frame or a series of one row
            return lambda item: self._array(np.asarray(item.to_numpy()))
        if form is Form.MAPPING:
            return lambda item: self._mapping(as_mapping(item))
        if form is Form.SEQUENCE:
            return self._sequence
        if form is Form.OBJECT:
            names = attribute_names(value) or ()
            return lambda item: self._mapping({name: getattr(item, name) for name in names})
        return self._unknown

    # One row ---------------------------------------------------------------------------------------------------------

    def _array(self, value: NDArray[Any]) -> Summary:
        # A list of floats is handled faster by max() and index() than by argmax for any number of classes seen here.
        row = value.tolist()
        if type(row) is list and len(row) == 1:
            row = row[0]
            if type(row) is list and len(row) == 1:
                row = row[0]
        if type(row) is not list:
            return self.read(row)
        return self._probabilities(row)

    def _probabilities(self, row: list[Any]) -> Summary:
        # The labels or values of a batch that was taken for one row (its input could not be read) are no probabilities.
        if self._is_regression or (self.declared and len(row) != self.declared):
            return self._unknown(row)
        try:
            confidence = max(row)
            if not 0.0 <= confidence <= 1.0 + _SLACK or min(row) < 0.0:
                return self._unknown(row)
            column = row.index(confidence)
        except (TypeError, ValueError):
            return self._unknown(row)
        if column >= len(self.columns):
            self._learn_columns(len(row))
        return (OUTPUT_CLASS, self.columns[column], confidence, NAN)

    def _learn_columns(self, count: int) -> None:
        # Built beside and put in place whole: two threads that learn at once come to the same list.
        known = self.columns
        if count > len(known):
            self.columns = [*known, *(self._code(str(column)) for column in range(len(known), count))]
        self._is_in_order = self.columns == list(range(len(self.columns)))
        self.two_columns = len(self.columns) == 2

    def _label(self, value: Hashable) -> Summary:
        code = self.classes.codes.get(value)
        return (OUTPUT_CLASS, self._code(value) if code is None else code, NAN, NAN)

    def _code(self, value: Hashable) -> int:
        code, overflowed = self.classes.add(value, self._guard.lose, name=plain_class(value))
        if overflowed:
            self._guard.lose(losses.CLASS_OVERFLOW)
        return code

    def _number(self, value: float) -> Summary:
        if not self._two_classes:
            return (OUTPUT_SCORE, -1, NAN, value)
        if not 0.0 <= value <= 1.0 + _SLACK:
            return self._unknown(value)
        self._learn_columns(2)
        if value > 0.5:
            return (OUTPUT_CLASS, self.columns[1], value, NAN)
        return (OUTPUT_CLASS, self.columns[0], 1.0 - value, NAN)

    def _mapping(self, value: Mapping[Any, Any]) -> Summary:
        probabilities = value.get("probabilities")
        if isinstance(probabilities, Mapping) and probabilities:
            label = max(probabilities, key=lambda name: probabilities[name])
            return self._labelled(label, probabilities[label])
        if probabilities is not None:
            return self.read(probabilities)
        label = next((value[name] for name in _LABELS if value.get(name) is not None), None)
        confidence = next((value[name] for name in _CONFIDENCES if value.get(name) is not None), None)
        if label is not None and not (isinstance(label, float) and confidence is None):
            return self._labelled(label, confidence)
        number = next(
            (value[name] for name in (*_SCORES, *_CONFIDENCES, *_LABELS) if value.get(name) is not None), None
        )
        return self._unknown(value) if number is None else self._number(float(number))

    def _labelled(self, label: Any, confidence: Any) -> Summary:
        summary = self._label(label.item() if isinstance(label, np.generic) else label)
        if confidence is None:
            return summary
        kind, code, _, score = summary
        number = float(confidence)
        return (kind, code, number if 0.0 <= number <= 1.0 + _SLACK else NAN, score)

    def _sequence(self, value: Sequence[Any]) -> Summary:
        if len(value) == 1:
            return self.read(value[0])
        if len(value) == 2 and isinstance(value[0], (str, bool, int)) and isinstance(value[1], float):
            return self._labelled(value[0], value[1])
        return self._probabilities(list(value)) if len(value) else self._unknown(value)

    def _unknown(self, value: object) -> Summary:
        self._guard.lose(losses.OUTPUT_UNREADABLE)
        self._guard.tell(
            "output", "An output of type %s cannot be read; give observe(..., output=a callable that returns a label,"
            " a probability row, a number, or a dict with label and confidence)", type(value).__name__,
        )  # fmt: skip
        return UNREADABLE

    # Batches ---------------------------------------------------------------------------------------------------------

    def read_batch(self, value: object, rows: int, kept: slice, block: NDArray[np.float64]) -> int:
        """Write the outputs of the kept rows into *block* (kept, 2: code or score, confidence); return their kind.

        Args:
            value: what the function returned for *rows* rows.
            rows: rows of the call.
            kept: which of them are in the block.
            block: where to.
        """
        if value is None:
            return OUTPUT_NONE
        if isinstance(value, Mapping):
            return self._columns(value, rows, kept, block)
        if recognise(value) is Form.SEQUENCE and len(value) == rows and not _is_plain(value[0]):  # type: ignore[arg-type,index]
            return self._each(list(value)[kept], block)  # type: ignore[call-overload]
        array = np.asarray(value.to_numpy()) if hasattr(value, "to_numpy") else as_array(value)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.shape[:1] != (rows,) or array.ndim not in (1, 2):
            return self._unknown_batch(value, rows)
        array = array[kept]
        if array.ndim == 2:
            return self._matrix(array, block)
        if array.dtype.kind == "f":
            return self._numbers(array, block)
        return self._labels(array, block)

    def _columns(self, value: Mapping[Any, Any], rows: int, kept: slice, block: NDArray[np.float64]) -> int:
        """Read a batch that came as columns by name: labels, with or without their confidences."""
        labels = np.asarray(value.get("label", ()))
        confidences = np.asarray(value.get("confidence", np.full(rows, NAN)))
        if labels.shape != (rows,) or confidences.shape != (rows,) or confidences.dtype.kind != "f":
            return self._unknown_batch(value, rows)
        kind, confidences = self._labels(labels[kept], block), confidences[kept]
        block[:, 1] = np.where((confidences >= 0.0) & (confidences <= 1.0 + _SLACK), confidences, NAN)
        return kind

    def _labels(self, array: NDArray[Any], block: NDArray[np.float64]) -> int:
        values, places = np.unique(array, return_inverse=True)
        codes = np.array([self._label(label)[1] for label in values.tolist()], dtype=np.float64)[places.reshape(-1)]
        block[:, 0], block[:, 1] = codes, NAN
        # Each value has counted one row.
        beyond = codes == self.classes.overflow
        if beyond.any():
            self._guard.lose(losses.CLASS_OVERFLOW, int(beyond.sum()) - len(np.unique(array[beyond])))
        return OUTPUT_CLASS

    def _matrix(self, array: NDArray[Any], block: NDArray[np.float64]) -> int:
        if array.dtype.kind not in "fiu":
            return self._unknown_batch(array, len(array))
        # Column by column, masks added up: argmax along a short last axis, and writing through masks, are several times
        # slower (bench_batch).
        best = array[:, 0].astype(np.float64)
        column = np.zeros(len(array), dtype=np.intp)
        for place in range(1, array.shape[1]):
            larger = array[:, place] > best
            if place == 1:
                column += larger
            else:
                column[larger] = place
            np.maximum(best, array[:, place], out=best)
        lowest = array.min()
        if lowest != lowest:  # noqa: PLR0124 - NaN in some rows, which are unreadable; the others are judged without them
            return self._without_missing(array, block)
        if not (lowest >= 0.0 and best.max() <= 1.0 + _SLACK):
            return self._unknown_batch(array, len(array))
        self._learn_columns(array.shape[1])
        block[:, 0] = column if self._is_in_order else np.array(self.columns, dtype=np.float64)[column]
        block[:, 1] = best
        return OUTPUT_CLASS

    def _without_missing(self, array: NDArray[Any], block: NDArray[np.float64]) -> int:
        whole = ~np.isnan(array).any(axis=1)
        if not whole.any():
            return self._unknown_batch(array, len(array))
        outputs = np.empty((int(whole.sum()), block.shape[1]))
        kind = self._matrix(array[whole], outputs)
        self._unknown(array)
        self._guard.lose(losses.OUTPUT_UNREADABLE, len(array) - len(outputs) - 1)
        block[whole], block[~whole] = outputs, (-1.0, NAN)
        return kind

    def _numbers(self, array: NDArray[Any], block: NDArray[np.float64]) -> int:
        if not self._two_classes:
            block[:, 0], block[:, 1] = array, NAN
            return OUTPUT_SCORE
        return self._matrix(np.stack([1.0 - array, array], axis=1), block)

    def _each(self, values: Sequence[Any], block: NDArray[np.float64]) -> int:
        summaries = [self.read(value) for value in values]
        kinds = {summary[0] for summary in summaries}
        readable = kinds - {OUTPUT_UNREADABLE}
        kind = readable.pop() if len(readable) == 1 else OUTPUT_UNREADABLE
        if readable and kind == OUTPUT_UNREADABLE:  # labels and values in one batch: no table takes both
            self._guard.lose(losses.OUTPUT_UNREADABLE, sum(row[0] != OUTPUT_UNREADABLE for row in summaries))
        block[:, 0] = [summary[3] if kind == OUTPUT_SCORE else summary[1] for summary in summaries]
        block[:, 1] = [summary[2] for summary in summaries]
        return kind

    def _unknown_batch(self, value: object, rows: int) -> int:
        self._unknown(value)
        self._guard.lose(losses.OUTPUT_UNREADABLE, rows - 1)
        return OUTPUT_UNREADABLE


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, bool, int, float, np.generic))
