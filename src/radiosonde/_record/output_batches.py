"""Reads the outputs of a batch row by row; unreadable rows do not affect the others.

Arrays of numbers are read whole. Everything else (lists, columns of objects or text, columns with missing entries) is read as a list of
values. Text is encoded value by value and never converted to an array, which would need the rows times the longest text.

A matrix is one of distributions if at least half of its rows are (see `radiosonde._record.outputs`); then the rows that
are not are unreadable one by one. Otherwise all are: of a matrix of anything else some rows add up to one by chance. So they are of
labels per class, 0 or 1 each, unless every row has exactly one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiosonde._clock import NS, monotonic_ns
from radiosonde._guard import Guard
from radiosonde._record.answers_of_rows import LabelColumn, ScoreColumn, answers_of_rows
from radiosonde._record.blocks import kept_rows
from radiosonde._record.class_codes import distinct
from radiosonde._record.classifier_floats import NO_PROBABILITIES, PROBABILITY_SLACK
from radiosonde._record.outputs import (
    NAN,
    UNREADABLE,
    OutputReader,
    Summary,
)
from radiosonde._record.responses import (
    CONFIDENCES,
    LABELS,
    SCORES,
    SUM_SLACK,
    WRAPPERS,
    columns_of,
    holds_rows,
    largest,
    unwrapped,
)
from radiosonde._record.shapes import Form, as_array, attribute_names, column_names, recognise
from radiosonde._ring.layout import OUTPUT_CLASS, OUTPUT_NONE, OUTPUT_SCORE, OUTPUT_UNREADABLE
from radiosonde.model import FIRST_HASHED, losses
from radiosonde.model.iteration import items_of
from radiosonde.reference.containers import EVERY, Rows, cut, rows_of, with_doubles
from radiosonde.reference.values import is_masked

_MISSING_TYPES = ("NAType", "NaTType", "MaskedConstant")

Block = NDArray[np.float64]

PIECE_ROWS = 1 << 14
"""Number of rows of a batch too large for the arena that are read at a time: a quarter of a MiB for any batch."""

COUNTING_NS = NS // 2
"""Time limit for counting the answers of one batch: enough for millions of rows of numbers or texts. Of answers that are objects, which are
read one by one, or of rows that take no memory, one more piece is read as a sample of the rest."""


ROW_VALUES_READ = 1 << 18
"""Numbers of answers in rows that are made an array of at a time: 2 MiB, and as much again to read it."""


class _Answers(NamedTuple):
    """The answers of a batch, one per row, with confidences where they came in a separate column."""

    found: NDArray[Any] | Sequence[Any]
    sure: NDArray[np.float64] | None = None


class BatchOutputReader:
    """Reads the outputs of a model's batches.

    Args:
        reader: reads single rows, and holds the task and the classes.
        guard: counts unreadable answers.
    """

    def __init__(self, reader: OutputReader, guard: Guard) -> None:
        self._reader, self._guard = reader, guard

    def read(self, value: object, rows: int, block: Block) -> int:
        """Write the outputs of all rows into *block* (rows, 2: code or score, confidence); return their kind.

        Args:
            value: what the function returned for *rows* rows.
            rows: rows of the call.
            block: where to.
        """
        answers = self._answers(value, rows)
        return answers if isinstance(answers, int) else self._part_of(answers, EVERY, block)

    def read_all(self, value: object, rows: int, index: int, take: Callable[[int, Block, int], None]) -> int:
        """Read the outputs of all rows, in pieces; return their kind where they have no answers, else `OUTPUT_NONE`.

        Args:
            value: what the function returned for *rows* rows.
            rows: rows of the call.
            index: index of its record, which seeds the sample of rows that cannot be read in time.
            take: called with the kind of each piece, its rows, shape (rows, 2), which are overwritten afterwards, and their weight.
        """
        began_ns, answers = monotonic_ns(), self._answers(value, rows)
        if isinstance(answers, int):
            return answers
        block = np.empty((min(rows, PIECE_ROWS), 2))
        start = 0
        while start < rows:
            step = 1
            if start and monotonic_ns() - began_ns > COUNTING_NS:
                step = -(-(rows - start) // PIECE_ROWS)
            stop = min(rows, start + PIECE_ROWS * step)
            chosen = kept_rows(index, stop - start, step)
            kept = slice(start, stop) if isinstance(chosen, slice) else start + chosen
            piece = block[: stop - start if isinstance(chosen, slice) else len(chosen)]
            if len(piece):
                take(self._part_of(answers, kept, piece), piece, step)
            start = stop
        return OUTPUT_NONE

    def _answers(self, value: object, rows: int) -> _Answers | int:
        """Return the answers of a batch, or the kind of a result without answers."""
        if value is None:
            return OUTPUT_NONE
        if recognise(value) is Form.OBJECT:
            value = {name: getattr(value, name, None) for name in attribute_names(value) or ()}
        if isinstance(value, Mapping):
            found = unwrapped(value)
            return self._columns(found, rows) if isinstance(found, Mapping) else self._answers(found, rows)
        if (columns := columns_of(value, rows)) is not None:
            return self._columns(columns, rows)
        names = value.dtype.names if isinstance(value, np.ndarray) else column_names(value)
        if names is not None and any(name in names for name in LABELS + WRAPPERS):
            return self._answers({name: value[name] for name in names}, rows)  # type: ignore[index]
        found = _entries(value, names)
        if found is None or len(found) != rows:
            return self._unreadable(value, f"it does not have one output for each of {rows} rows", rows)
        order = self._reader.order_of(names)
        return _Answers(found if order is None or not isinstance(found, np.ndarray) else found[:, order])

    def _columns(self, value: Mapping[Any, Any], rows: int) -> _Answers | int:
        """Return the answers of columns by name: labels or values, with or without confidences, or probabilities."""
        chances = value.get("probabilities")
        wanted = SCORES + LABELS if self._reader.task == "regression" else LABELS + SCORES
        column = next((value[name] for name in wanted if value.get(name) is not None), None)
        if chances is not None and column is None and not isinstance(chances, Mapping):
            return self._answers(chances, rows)
        found = None if column is None else _entries(column, column_names(column))
        if found is None or len(found) != rows:
            return self._unreadable(value, f"it has no column of labels or values with {rows} rows", rows)
        beside = (value.get(name) for name in (*CONFIDENCES, "score", "probabilities"))
        confidence = next(
            (each for each in beside if each is not column and not isinstance(each, (Mapping, type(None)))), None
        )
        sure = (
            None
            if confidence is None
            else self._guard.attempt(_largest, _entries(confidence, column_names(confidence)))
        )
        if sure is not None and (isinstance(sure, Exception) or sure.shape != (rows,)):
            return self._unreadable(value, f"its confidences are not {rows} numbers", rows)
        return _Answers(found, sure)

    def _part_of(self, answers: _Answers, kept: Rows, block: Block) -> int:
        """Read some rows of a batch; return their kind."""
        found = answers.found
        with np.errstate(all="ignore"):  # the sum of a row of large numbers is infinite
            kind = self._column(
                rows_of(found, kept) if isinstance(found, np.ndarray) else list(items_of(cut(found, kept))), block
            )
        if kind == OUTPUT_CLASS and answers.sure is not None:
            block[:, 1] = bounded(answers.sure[kept])
        return kind

    def _column(self, found: NDArray[Any] | list[Any], block: Block) -> int:
        """Read one answer a row."""
        if isinstance(found, list):
            return self._list(found, block)
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        kind = found.dtype.kind
        if found.ndim == 2 and kind in "fiub":
            return self._matrix(found, block)
        if found.ndim == 1 and kind == "f":
            return self._floats(found, block)
        if found.ndim == 1 and kind in "iub":
            return self._whole_numbers(found, block)
        if found.ndim in (1, 2) and kind in "OTUS":
            return self._list(found.tolist(), block)
        return self._unreadable(found, "its type and shape do not match one output per row", len(found))

    # Numbers ---------------------------------------------------------------------------------------------------------

    def _whole_numbers(self, array: NDArray[Any], block: Block) -> int:
        reader = self._reader
        if reader.task is None:
            reader.learn_task("classification", is_ambiguous=array.dtype.kind != "b")
        if reader.task == "regression":
            return self._values(array, block)
        block[:, 0], block[:, 1] = self._codes(array), NAN
        return OUTPUT_CLASS

    def _floats(self, array: NDArray[Any], block: Block) -> int:
        reader = self._reader
        finite = np.isfinite(array)
        known = array if finite.all() else array[finite]
        if reader.task is None and known.size:
            lowest, highest = known.min(), known.max()
            reader.learn_task("regression", is_ambiguous=bool(lowest >= 0.0 and highest <= 1.0))
        if reader.task != "classification":
            return self._values(array, block)
        block[:] = (-1.0, NAN)
        if not known.size:
            return self._unreadable(array, "no output is finite", len(array))
        lowest, highest = float(known.min()), float(known.max())
        whole = known == np.floor(known)
        if reader.floats.are_labels(lowest, highest, is_whole=bool(whole.all())):
            read = finite.copy()
            read[finite] = whole
            block[read, 0] = self._codes(array[read])
        else:
            read = finite & (array >= 0.0) & (array <= 1.0 + PROBABILITY_SLACK)
            inside = int(np.count_nonzero(read))
            outside = 0 if inside == len(known) else int(np.count_nonzero(~(read[finite] | whole)))
            if not reader.floats.are_probabilities(inside, outside):
                return self._unreadable(array, NO_PROBABILITIES, len(array))
            reader.learn_columns(2)
            chances = array[read].astype(np.float64)
            is_second = chances > 0.5
            block[read, 0] = reader.codes_of_columns(is_second.astype(np.intp))
            block[read, 1] = np.minimum(np.where(is_second, chances, 1.0 - chances), 1.0)
        return self._part(array, read, "a number is neither a class nor a probability")

    def _values(self, array: NDArray[Any], block: Block) -> int:
        block[:, 0], block[:, 1] = array, NAN
        return self._part(array, np.isfinite(block[:, 0]), "a value is not finite", OUTPUT_SCORE)

    def _codes(self, array: NDArray[Any]) -> Block:
        values, places = distinct(array)
        known = self._reader.classes.codes
        codes = np.array([known.get(value, -1) for value in values.tolist()], dtype=np.float64)
        for at in np.flatnonzero(codes < 0):
            codes[at] = self._reader.classes.of(values[at].item())
        codes = codes[places]
        if codes.max(initial=0) >= FIRST_HASHED:
            self._guard.lose(losses.CLASS_OVERFLOW, int((codes >= FIRST_HASHED).sum()))
        return codes

    def _matrix(self, array: NDArray[Any], block: Block) -> int:
        reader, width = self._reader, array.shape[1]
        if reader.task == "regression":
            return self._unreadable(array, "the task is regression, whose output for a row is one number", len(array))
        if width < 2 or (reader.declared and width != reader.declared):
            return self._unreadable(array, f"{width} columns for {reader.declared} classes", len(array))
        # Column by column, masks added up: argmax along a short last axis, and writing through masks, are several times
        # slower (bench_batch).
        best = array[:, 0].astype(np.float64)
        total, lowest = best.copy(), best.copy()
        column = np.zeros(len(array), dtype=np.intp)
        for place in range(1, width):
            each = array[:, place]
            larger = each > best
            if place == 1:
                column += larger
            else:
                column[larger] = place
            np.maximum(best, each, out=best)
            np.minimum(lowest, each, out=lowest)
            total += each
        read = (np.abs(total - 1.0) <= SUM_SLACK) & (lowest >= -PROBABILITY_SLACK)  # False where anything is NaN
        is_whole = read.all()
        if not is_whole and (2 * np.count_nonzero(read) < np.count_nonzero(~np.isnan(total)) or _are_flags(array)):
            read[:] = False
        if not read.any():
            return self._unreadable(
                array, "its rows do not add up to 1, so they are not class probabilities", len(array)
            )
        if reader.task is None:
            reader.learn_task("classification", is_ambiguous=False)
        reader.learn_columns(width)
        if is_whole and reader.is_in_order and width <= len(reader.columns):
            block[:, 0] = column
        else:
            block[:, 0] = -1.0
            block[read, 0] = reader.codes_of_columns(column[read])
        block[:, 1] = np.minimum(best, 1.0)
        block[~read, 1] = NAN
        return OUTPUT_CLASS if is_whole else self._part(array, read, "a row does not add up to 1")

    # Lists -----------------------------------------------------------------------------------------------------------

    def _list(self, values: list[Any], block: Block) -> int:
        """Read a list of answers, whose types may differ."""
        types = set(map(type, values))
        if len(types) == 1 and types <= {list, tuple} and len(values[0]) * len(values) > ROW_VALUES_READ:
            return self._pieces(values, max(1, ROW_VALUES_READ // len(values[0])), block)
        alike = self._guard.attempt(answers_of_rows, values) if len(types) == 1 else None
        if isinstance(alike, LabelColumn) and self._reader.task != "regression":
            return self._labels(alike, block)
        if isinstance(alike, ScoreColumn):
            self._reader.learn_task("regression", is_ambiguous=False)
            return self._floats(alike.values, block)
        if isinstance(alike, np.ndarray):
            return self._column(alike, block)
        if types <= {int, float, type(None)} and float in types:
            return self._floats(_floats(values), block)
        if all(issubclass(each, np.generic) and not issubclass(each, (str, bytes)) for each in types):
            return self._column(np.array(values), block)
        if types <= {str, np.str_} and self._reader.task != "regression":
            self._reader.learn_task("classification", is_ambiguous=False)
            return self._texts(values, block)
        if types == {int}:
            whole = self._guard.attempt(np.array, values)
            if isinstance(whole, np.ndarray) and whole.dtype.kind in "iu":
                return self._whole_numbers(whole, block)
        if self._reader.task is None and float in types and not types & {str, bool}:
            self._reader.learn_task("regression", is_ambiguous=False)  # whole numbers among them are values too
        return self._each(values, block)

    def _pieces(self, values: list[Any], rows: int, block: Block) -> int:
        """Read wide rows, *rows* of them at a time."""
        kinds = set()
        for start in range(0, len(values), rows):
            part = block[start : start + rows]
            kind = self._list(values[start : start + rows], part)
            if kind not in (OUTPUT_CLASS, OUTPUT_SCORE):
                part[:] = (-1.0, NAN)
            kinds.add(kind)
        return next(kind for kind in (OUTPUT_CLASS, OUTPUT_SCORE, OUTPUT_UNREADABLE) if kind in kinds)

    def _labels(self, alike: LabelColumn, block: Block) -> int:
        """Read rows that are each a text, with or without a confidence."""
        self._reader.learn_task("classification", is_ambiguous=False)
        kind = self._texts(alike.labels, block)
        if alike.confidences is not None:
            block[:, 1] = bounded(alike.confidences)
        return kind

    def _texts(self, values: list[str], block: Block) -> int:
        known, of = self._reader.classes.codes, self._reader.classes.of
        codes = list(map(known.get, values))
        if None in codes:
            # A text that is not a known class (new, too long, beyond the bound) is resolved once, regardless of its frequency.
            others = dict.fromkeys(value for value, code in zip(values, codes, strict=True) if code is None)
            others.update((value, of(value)) for value in others)
            codes = [others[value] if code is None else code for value, code in zip(values, codes, strict=True)]
        block[:, 0], block[:, 1] = codes, NAN
        beyond = int(np.count_nonzero(block[:, 0] >= FIRST_HASHED))
        if beyond:
            self._guard.lose(losses.CLASS_OVERFLOW, beyond)
        return OUTPUT_CLASS

    def _each(self, values: Iterable[Any], block: Block) -> int:
        summaries = [self._one(value) for value in values]
        kinds = {summary[0] for summary in summaries}
        # The task makes all readable ones of a kind.
        kind = next((each for each in (OUTPUT_SCORE, OUTPUT_CLASS) if each in kinds), OUTPUT_UNREADABLE)
        block[:, 0] = [
            (row[3] if kind == OUTPUT_SCORE else row[1]) if row[0] == kind else _NO_ANSWER[kind] for row in summaries
        ]
        block[:, 1] = [row[2] for row in summaries]
        missing = sum(row[0] == OUTPUT_NONE for row in summaries)
        self._reader.unreadable_rows(values, "some of its rows are missing", missing)
        return kind

    def _one(self, value: Any) -> Summary:
        """Read one row; an exception of its object loses that row only."""
        if type(value).__name__ in _MISSING_TYPES:
            return (OUTPUT_NONE, -1, NAN, NAN)
        summary = self._guard.attempt(self._reader.read, value)
        if isinstance(summary, Exception):
            self._reader.unreadable(value, f"it raised {type(summary).__name__}")
            return UNREADABLE
        return summary

    # Unreadable rows -------------------------------------------------------------------------------------------------

    def _part(self, array: NDArray[Any], read: NDArray[np.bool_], why: str, kind: int = OUTPUT_CLASS) -> int:
        """Count the rows that were not read; return *kind*, or that none could be read."""
        unread = len(read) - int(np.count_nonzero(read))
        self._reader.unreadable_rows(array, why, unread)
        return kind if unread < len(read) else OUTPUT_UNREADABLE

    def _unreadable(self, value: object, why: str, rows: int) -> int:
        self._reader.unreadable_rows(value, why, rows)
        return OUTPUT_UNREADABLE


_NO_ANSWER = {OUTPUT_CLASS: -1.0, OUTPUT_SCORE: NAN, OUTPUT_UNREADABLE: -1.0}
"""Placeholder in a block for a row without an answer, by kind."""


def bounded(confidences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return confidences within [0, 1]; other values become NaN."""
    is_chance = (confidences >= 0.0) & (confidences <= 1.0 + PROBABILITY_SLACK)
    return np.where(is_chance, np.minimum(confidences, 1.0), NAN)


def _entries(value: Any, names: Sequence[str] | None) -> NDArray[Any] | Sequence[Any] | None:
    """Return the answers of a batch: an array, or a sequence where entries are missing or differ in type; None for neither.

    Args:
        value: of any library.
        names: its column names, where it has some.
    """
    if isinstance(value, (str, bytes, Mapping)) or value is None:
        return None
    if names is not None and len(names) == 1:
        return _entries(_only_column(value, names[0]), None)
    if is_masked(value):
        return value.tolist() if value.ndim == 1 else _dense(np.ma.filled(value.astype(np.float64), NAN))
    if isinstance(value, np.ndarray):
        return _dense(value)
    if names is None and (listed := _with_nulls(value)) is not None:
        return listed
    if hasattr(value, "to_pylist"):
        return _dense(np.asarray(value))
    if hasattr(value, "to_numpy"):
        return _dense(np.asarray(value.to_numpy()))
    form = recognise(value)
    if form is Form.SEQUENCE:
        return value  # type: ignore[no-any-return] # not copied: a list of millions takes more than a batch may
    return _dense(as_array(value)) if form is Form.ARRAY else None


def _with_nulls(value: Any) -> list[Any] | None:
    """Return the answers of a column with missing entries, which are None; None for a column without, or no column.

    As an array its whole numbers would be floats, and text would raise.
    """
    lists = getattr(value, "to_pylist", None) or getattr(value, "to_list", None) or getattr(value, "tolist", None)
    nulls = getattr(value, "null_count", None)
    if lists is None:
        return None
    if nulls is not None:
        return list(items_of(lists())) if (nulls() if callable(nulls) else nulls) else None
    # pandas' own dtypes: nullable numbers, texts and truth values, categories.
    if not hasattr(type(value), "isna") or isinstance(getattr(value, "dtype", None), np.dtype):
        return None
    missing = np.asarray(value.isna())
    if not missing.any():
        return None
    return [None if gone else entry for entry, gone in zip(lists(), missing.tolist(), strict=True)]


def _largest(rows: Any) -> NDArray[np.float64]:
    """Return the largest probability of each row, NaN where a row is no distribution; of a flat column the numbers themselves."""
    if not holds_rows(rows):
        return _floats(rows)
    if not isinstance(rows, np.ndarray):
        return np.array([largest(row) for row in items_of(rows)], dtype=np.float64)  # None becomes NaN
    is_distribution = (np.abs(rows.sum(axis=1, dtype=np.float64) - 1.0) <= SUM_SLACK) & (rows.min(axis=1) >= 0.0)
    return np.where(is_distribution, rows.max(axis=1), NAN)


def _are_flags(array: NDArray[Any]) -> bool:
    """Whether a matrix holds 0 and 1 only: labels per class, of which a row may have one by chance."""
    return array.dtype.kind in "iub" or bool(((array == 0.0) | (array == 1.0) | np.isnan(array)).all())


def _dense(array: NDArray[Any]) -> NDArray[Any] | None:
    # As a plain array: the columns of a `numpy.matrix` would be matrices again.
    return with_doubles(np.asarray(array)) if array.ndim in (1, 2) else None


def _only_column(frame: Any, name: str) -> Any:
    try:
        return frame[name]
    except (KeyError, TypeError):  # labels that are no text
        return frame.iloc[:, 0]


def _floats(values: NDArray[Any] | Sequence[Any] | None) -> NDArray[np.float64]:
    """Return numbers as an array; missing ones are NaN.

    Raises:
        TypeError: some are no numbers.
        ValueError: so.
    """
    if values is not None and not isinstance(values, np.ndarray):
        values = np.array([NAN if each is None or type(each).__name__ in _MISSING_TYPES else each for each in values])
    return np.asarray(values).astype(np.float64) if np.asarray(values).dtype.kind in "fiub" else _no_numbers()


def _no_numbers() -> NDArray[np.float64]:
    raise TypeError("these are not numbers")
