"""Encodes an output as four numbers per row: kind, class code, confidence, score.

Answers are read according to the task: the argument of ``observe``, else the reference, else the declared classes (then it is a
classification), else the first answers. If these are numbers that could mean either, the choice is logged once.

====================================  ==================================  ==================================================
answer                                regression                          classification
====================================  ==================================  ==================================================
whole number, truth value             value                               class
other number                          value                               P(second class), where two classes or none are
                                                                          declared; a whole one names a class otherwise;
                                                                          margins and logits are unreadable
text                                  unreadable                          class
row of two or more numbers            unreadable                          class of the largest, which is its confidence, if
                                                                          they are a distribution; else unreadable
pair (label, confidence)              unreadable                          class and confidence
other forms of services                                                   see `radiosonde._record.responses`
mapping, dataclass, pydantic model    ``score``, ``value``, or a label    ``label``/``class``/``prediction`` with
                                      that is a number                    ``confidence``/``probability``, ``probabilities``
NaN, infinity, missing                unreadable                          unreadable
====================================  ==================================  ==================================================

A row is a distribution if no number is negative and they add up to one within `SUM_SLACK`, and if it has as many numbers as
there are declared classes. So labels per class (multi-label), sigmoids, intervals, quantiles, embeddings, boxes and logits
are none, and no class is made up for them.

An unreadable answer is counted and logged once a minute with what to do, and the prediction still counts. ``output=`` of ``observe``
converts it to one of the above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import takewhile
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from radiosonde._guard import Guard
from radiosonde._record.class_codes import MAX_CLASSES, ClassCodes
from radiosonde._record.classifier_floats import NO_PROBABILITIES, PROBABILITY_SLACK, ClassifierFloats
from radiosonde._record.responses import CONFIDENCES, LABELS, SCORES, SUM_SLACK, alone, largest, only, ranked, unwrapped
from radiosonde._record.row_counts import is_pair
from radiosonde._record.shapes import TYPES_KNOWN, Form, as_array, as_mapping, attribute_names, column_names, recognise
from radiosonde._ring.layout import OUTPUT_CLASS, OUTPUT_NONE, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import FIRST_HASHED, losses
from radiosonde.model.classes import bare, plain_class
from radiosonde.model.iteration import items_of
from radiosonde.model.names import has_own_text
from radiosonde.reference.values import MISSING_TYPES

NAN = float("nan")

_EXACT: Final = 1 << 53

_LISTED: Final = 1_000
"""Numbers of a row that are read from a list of them; more are read as an array, where a list takes four times its memory."""

Task = Literal["classification", "regression"]

Summary = tuple[int, int, float, float]
"""One row's output: kind (`radiosonde._ring.layout.OUTPUT_*`), class code or -1, confidence or NaN, score or NaN.

A plain tuple: a named one costs 0.25 us more to make (bench_record)."""

NOTHING: Summary = (OUTPUT_NONE, -1, NAN, NAN)
UNREADABLE: Summary = (OUTPUT_UNREADABLE, -1, NAN, NAN)


class OutputReader:
    """Reads the outputs of one model.

    Attributes:
        task: classification or regression; None until it is known.
        classes: codes of the classes.
        declared: how many classes were declared.
        floats: what floats of a classifier are.
        columns: class code by column of a probability row.
        two_columns: whether all answers so far were two probabilities; `radiosonde._record.record_writer` then reads them itself and sets
            this to False at the first other answer.
        by_type: reader by type of answer; a plain dictionary that the hot path reads directly.

    Args:
        classes: names of the classes, in the order of a probability matrix's columns; may be empty.
        guard: counts unreadable answers.
        task: as declared, or from the reference; None: unknown.
        name: model name, for log messages.
    """

    def __init__(self, classes: Sequence[str], guard: Guard, *, task: Task | None, name: str = "") -> None:
        self._guard, self._name = guard, name
        self.task: Task | None = task or ("classification" if len(classes) else None)
        self.classes = ClassCodes(classes, guard.lose)
        self.declared = len(classes)
        # Classes that were only seen do not make a number the probability of the second of them.
        self.floats = ClassifierFloats(
            self.classes.codes, len(classes), takes_probability=self.task == "classification" and len(classes) <= 2
        )
        self.columns = list(range(len(classes)))
        self.is_in_order = True
        self.two_columns = len(classes) == 2 and self.task == "classification"
        self.by_type: dict[type, Callable[[Any], Summary]] = {
            np.ndarray: self._array,
            np.bool_: lambda value: self.read(bool(value)),
            np.float64: lambda value: self.read(float(value)),
            type(None): lambda _: NOTHING,
        }
        self._settle()
        self._lasting = frozenset(self.by_type)

    def _settle(self) -> None:
        """Choose how plain values are read, by the task."""
        label: Callable[[Any], Summary]
        whole: Callable[[Any], Summary]
        number: Callable[[Any], Summary]
        if self.task == "regression":
            label, whole, number = self._no_value, self._value, self._value
        elif self.task == "classification":
            label, whole, number = self._label, self._label, self._float_of_classifier
        else:
            label, whole, number = self._first_label, self._first_whole, self._first_float
        self.by_type.update({str: label, bool: whole if self.task else label, int: whole, float: number})

    def learn_task(self, task: Task, *, is_ambiguous: bool) -> None:
        """Take the task from the first answers unless it is known; log the choice if they are ambiguous."""
        if self.task is not None:
            return
        self.task = task
        self._settle()
        if is_ambiguous:
            meaning, other = ("classes", "regression") if task == "classification" else ("values", "classification")
            self._guard.warn(
                f"task {self._name}", "Model %r answers numbers, and no task is declared: they are counted as %s; pass"
                " observe(..., task=%r) if they are not, or task=%r to confirm", self._name, meaning, other, task,
            )  # fmt: skip

    def read(self, value: object) -> Summary:
        """Return the summary of a single row's output; exceptions of the user's object propagate."""
        reader = self.by_type.get(type(value))
        if reader is None:
            if len(self.by_type) >= TYPES_KNOWN:
                self._forget_types()
            reader = self.by_type[type(value)] = self._reader_for(value)
        return reader(value)

    def _forget_types(self) -> None:
        """Forget the types of answers but the plain ones: an application may make a type per request, which nothing else keeps.

        The plain ones stay all the time, because another thread may be reading an answer.
        """
        for known in list(self.by_type):
            if known not in self._lasting:
                self.by_type.pop(known, None)

    def _reader_for(self, value: object) -> Callable[[Any], Summary]:
        if isinstance(value, np.generic):
            # The item of a long double is a long double, and number types that libraries add to numpy have no kind of their own.
            is_odd = value.dtype.char == "g" or (value.dtype.kind == "V" and not isinstance(value, np.void))
            return (lambda item: self.read(float(item))) if is_odd else self._scalar
        if isinstance(value, Enum):
            return lambda item: self._within(item, item.value)
        for plain in (str, int, float):  # bool cannot be derived from
            if isinstance(value, plain):
                return lambda item: self.read(plain(item))
        if isinstance(value, bytes):
            return lambda item: self.read(item.decode("utf-8", "replace"))
        if hasattr(value, "to_pylist"):  # of Arrow, whose arrays become numpy's only where these hold the same bytes
            return self._arrow
        if hasattr(value, "as_py"):
            return lambda item: self._within(item, item.as_py())
        form = recognise(value)
        if form is Form.ARRAY:
            return lambda item: self._array(as_array(item))
        if form is Form.FRAME or hasattr(value, "to_numpy"):  # a frame or a series of one row
            return self._frame
        if form is Form.MAPPING:
            return lambda item: self._mapping(as_mapping(item))
        if form is Form.SEQUENCE:
            return self._sequence
        if form is Form.OBJECT:
            names = attribute_names(value) or ()
            return lambda item: self._mapping({name: getattr(item, name, None) for name in names})
        if type(value).__name__ in ("Decimal", "Fraction"):
            # As an integer where a double would be another one.
            return lambda item: self.read(plain_class(item) if abs(item) > _EXACT else float(item))
        return self.unreadable

    def _within(self, value: object, found: object) -> Summary:
        """Read the answer inside an object; a missing value in it is an unreadable answer, not an absent one."""
        return self.unreadable(value, "it is missing") if found is None else self.read(found)

    # Plain values ----------------------------------------------------------------------------------------------------

    def _scalar(self, value: np.generic) -> Summary:
        item = value.item()
        return self.unreadable(value) if type(item) is type(value) else self._within(value, item)

    def _label(self, value: Any) -> Summary:
        code = self.classes.codes.get(value)
        return (OUTPUT_CLASS, self.code(value) if code is None else code, NAN, NAN)

    def code(self, value: object) -> int:
        """Return the code of the class that *value* names; one beyond the bound is counted as a loss."""
        code = self.classes.of(value)
        if code >= FIRST_HASHED:
            self._guard.lose(losses.CLASS_OVERFLOW)
        return code

    def _value(self, value: float) -> Summary:
        number = float(value)
        if number - number != 0.0:  # NaN, or infinite
            return self.unreadable(value, "it is not finite")
        return (OUTPUT_SCORE, -1, NAN, number)

    def _no_value(self, value: object) -> Summary:
        return self.unreadable(value, "the task is regression, whose outputs are numbers")

    def _float_of_classifier(self, value: float) -> Summary:
        if not -np.inf < value < np.inf:
            return self.unreadable(value, "it is not finite")
        is_whole = value.is_integer()
        if self.floats.are_labels(value, value, is_whole=is_whole):
            if is_whole:
                return self._label(value)
            return self.unreadable(value, "a number that is not whole is not a class")
        is_inside = 0.0 <= value <= 1.0 + PROBABILITY_SLACK
        if not self.floats.are_probabilities(is_inside, not (is_inside or is_whole)):
            return self.unreadable(value, NO_PROBABILITIES)
        if not is_inside:
            return self.unreadable(value, "it is not a probability of the second class")
        self.learn_columns(2)
        if value > 0.5:
            return (OUTPUT_CLASS, self.columns[1], min(value, 1.0), NAN)
        return (OUTPUT_CLASS, self.columns[0], 1.0 - value, NAN)

    def _first_label(self, value: Any) -> Summary:
        self.learn_task("classification", is_ambiguous=False)
        return self.read(value)

    def _first_whole(self, value: Any) -> Summary:
        self.learn_task("classification", is_ambiguous=True)
        return self.read(value)

    def _first_float(self, value: float) -> Summary:
        if value - value == 0.0:
            self.learn_task("regression", is_ambiguous=0.0 <= value <= 1.0)
        return self._value(value)

    # Rows ------------------------------------------------------------------------------------------------------------

    def _array(self, value: NDArray[Any]) -> Summary:
        # A list of floats is handled faster by max() and index() than by argmax for a few hundred classes.
        if value.size > _LISTED:
            return self._large_array(value)
        row = value.tolist()
        if type(row) is list and len(row) == 1:
            row = row[0]
            if type(row) is list and len(row) == 1:
                row = row[0]
        if type(row) is not list:
            return self.unreadable(value, "it is missing") if row is None else self.read(row)
        return self._distribution(row)

    def _large_array(self, value: NDArray[Any]) -> Summary:
        """Read a distribution over many classes; a matrix of many rows, which an application may return for one row, is none."""
        while value.ndim > 1 and len(value) == 1:
            value = value[0]
        if value.ndim > 1 or value.dtype.kind not in "fiubO":
            return self.unreadable(value, "it is not a row of numbers")
        if value.dtype.kind == "O":
            return self._distribution(value.tolist())
        if (why := self._no_distribution(len(value))) is not None:
            return self.unreadable(value, why)
        column = int(value.argmax())
        return self._class_of(value, float(value.min()), float(value.sum(dtype=np.float64)), column, len(value))

    def _arrow(self, value: Any) -> Summary:
        if len(value) <= _LISTED:
            return self._sequence(value.to_pylist())
        if column_names(value) is not None or not isinstance(value[0].as_py(), (int, float)):
            return self.unreadable(value, "it is not a row of numbers")
        return self._large_array(np.asarray(value))

    def _frame(self, value: Any) -> Summary:
        if len(value) > 1 and len(getattr(value, "shape", ())) > 1:
            return self.unreadable(value, "it has more than one row")
        values, order = np.asarray(value.to_numpy()), self.order_of(column_names(value))
        return self._array(values if order is None or values.ndim < 2 else values[:, order])

    def order_of(self, names: Sequence[str] | None) -> list[int] | None:
        """Return the places of the declared classes among column *names*; None if columns are in order, or named otherwise.

        Columns that are numbered for want of names are in the order of the classes, also where these are numbers.
        """
        classes = list(self.classes.names[: self.declared])
        if names is None or list(names) == classes or sorted(names) != sorted(classes):
            return None
        return None if list(names) == list(map(str, range(len(names)))) else list(map(list(names).index, classes))

    def _no_distribution(self, count: int) -> str | None:
        """Return why *count* numbers cannot be a distribution over the classes."""
        if self.task == "regression":
            return "the task is regression, whose output for a row is one number"
        if self.declared and count != self.declared:
            return f"{count} numbers for {self.declared} classes"
        return None

    def _distribution(self, row: list[Any]) -> Summary:
        if (why := self._no_distribution(len(row))) is not None:
            return self.unreadable(row, why)
        if isinstance(row[0], str):
            return self.unreadable(row, "it is not a row of numbers")
        try:
            if type(row[0]) is not float:
                row = [each if isinstance(each, (float, str)) else float(each) for each in row]  # Decimal, bfloat16
            lowest, total, column = min(row), sum(row), row.index(max(row))
        except (TypeError, ValueError):
            return self.unreadable(row, "it is not a row of numbers")
        return self._class_of(row, lowest, total, column, len(row))

    def _class_of(self, row: Any, lowest: float, total: float, column: int, count: int) -> Summary:
        """Return the class at the place of the largest number of *row*, where its numbers are a distribution."""
        if not (lowest >= -PROBABILITY_SLACK and -SUM_SLACK <= total - 1.0 <= SUM_SLACK):
            return self.unreadable(row, "its numbers do not add up to 1, so they are not class probabilities")
        if self.task is None:
            self.learn_task("classification", is_ambiguous=False)
        if column >= len(self.columns):
            self.learn_columns(count)
        code = self.columns[column] if column < len(self.columns) else self.code(str(column))
        return (OUTPUT_CLASS, code, min(float(row[column]), 1.0), NAN)

    def learn_columns(self, count: int) -> None:
        """Give the first *count* columns of a probability row the classes of their numbers, unless they have some."""
        # Built beside and put in place whole: two threads that learn at once come to the same list.
        known = self.columns
        if count > len(known):
            learned = (self.classes.of(str(column)) for column in range(len(known), min(count, MAX_CLASSES)))
            self.columns = [*known, *takewhile(lambda code: code < FIRST_HASHED, learned)]
        self.is_in_order = self.columns == list(range(len(self.columns)))
        self.two_columns = len(self.columns) == 2

    def codes_of_columns(self, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the class code of each of *columns*; those beyond the bound are counted as losses."""
        known = np.array(self.columns, dtype=np.float64)
        if not len(columns) or columns.max() < len(known):
            return known[columns]
        found, places = np.unique(columns, return_inverse=True)
        codes = np.array([self.classes.of(str(at)) if at >= len(known) else known[at] for at in found.tolist()])[places]
        self._guard.lose(losses.CLASS_OVERFLOW, int((codes >= FIRST_HASHED).sum()))
        return codes

    # Containers ------------------------------------------------------------------------------------------------------

    def _mapping(self, value: Mapping[Any, Any]) -> Summary:
        probabilities = value.get("probabilities")
        if isinstance(probabilities, Mapping) and probabilities:
            return self._named_distribution(probabilities)
        label, confidence, score = (
            alone(next((value[name] for name in names if value.get(name) is not None), None))
            for names in (LABELS, CONFIDENCES, SCORES)
        )
        if label is None and score is None and (answer := unwrapped(value)) is not value:
            return self.read(answer)
        if probabilities is not None:
            if label is None or self.task == "regression":
                return self.read(probabilities)
            confidence = largest(only(probabilities)) if confidence is None else confidence
        if isinstance(label, (Sequence, Mapping, np.ndarray)) and not isinstance(label, (str, bytes)):
            return self._alternatives(label, confidence)
        label = label.item() if isinstance(label, np.generic) else label
        if confidence is None and isinstance(score, (float, np.floating)) and "score" in value:
            confidence = score  # of the label beside it; a "value" is something else
        is_value = self.task == "regression" or (self.task is None and isinstance(label, float))
        if label is not None and not is_value and not (isinstance(label, float) and confidence is None):
            return self._labelled(label, confidence)
        number = next(
            (each for each in (score, label if is_value else None, confidence, label) if each is not None), None
        )
        if number is None:
            return self.unreadable(value, "it has none of the supported keys")
        if self.task is None:
            self.learn_task("regression", is_ambiguous=False)
        return self.read(float(number))

    def _alternatives(self, labels: Any, confidences: Any) -> Summary:
        """Read the answer of one row under a name: a distribution, or several labels, of which each has its probability."""
        if confidences is None or isinstance(labels, Mapping):
            return self.read(labels)
        if not isinstance(confidences, (Sequence, np.ndarray)) or len(confidences) != len(labels):
            return self.unreadable(labels, "several labels need as many confidences")
        return self._named_distribution(
            dict(zip(map(plain_class, items_of(labels)), items_of(confidences), strict=True))
        )

    def _named_distribution(self, probabilities: Mapping[Any, Any]) -> Summary:
        numbers = [float(number) for number in items_of(probabilities.values())]
        total = sum(numbers)
        if self.task == "regression" or not (
            min(numbers) >= -PROBABILITY_SLACK and -SUM_SLACK <= total - 1.0 <= SUM_SLACK
        ):
            return self.unreadable(probabilities, "its numbers do not add up to 1, so they are not class probabilities")
        confidence = max(numbers)
        return self._labelled(list(items_of(probabilities))[numbers.index(confidence)], min(confidence, 1.0))

    def _labelled(self, label: Any, confidence: Any) -> Summary:
        label = plain_class(label)
        if self.task is None:
            self.learn_task("classification", is_ambiguous=confidence is None and type(label) is int)
        if self.task == "regression" or isinstance(label, float):
            return self.unreadable(label, "a label with a confidence must be a class")
        if type(label).__name__ in MISSING_TYPES:
            return self.unreadable(label, "it is missing")
        if not has_own_text(label):
            return self.unreadable(label, "a label must be text, a number or a boolean")
        if isinstance(label, bytes):
            label = label.decode("utf-8", "replace")
        code = self.classes.codes.get(label)
        code = self.code(label) if code is None else code
        if confidence is None:
            return (OUTPUT_CLASS, code, NAN, NAN)
        number = float(bare(confidence))
        if not 0.0 <= number <= 1.0 + PROBABILITY_SLACK:
            return (OUTPUT_CLASS, code, NAN, NAN)
        return (OUTPUT_CLASS, code, min(number, 1.0), NAN)

    def _sequence(self, value: Sequence[Any]) -> Summary:
        if len(value) == 1:
            return self._within(value, value[0])
        if not len(value):
            return self.unreadable(value, "it is empty")
        if is_pair(value):
            return self._labelled(value[0], value[1])
        if type(value[0]) is not float and (answer := ranked(value)) is not None:
            return self._labelled(*answer)
        return self._distribution(list(value if type(value) is list else items_of(value)))

    def unreadable(self, value: object, why: str = "the type is not supported") -> Summary:
        """Count an unreadable answer and log the reason."""
        return self.unreadable_rows(value, why, 1)

    def unreadable_rows(self, value: object, why: str, rows: int) -> Summary:
        """Count *rows* unreadable answers and log the reason."""
        if rows:
            self._guard.lose(losses.OUTPUT_UNREADABLE, rows)
            self._guard.warn(
                "output", "An output of type %s of model %r cannot be read: %s; give observe(..., output=a callable that returns"
                " a label, a probability row, a number, or a dict with label and confidence), or task=",
                type(value).__name__, self._name, why,
            )  # fmt: skip
        return UNREADABLE
