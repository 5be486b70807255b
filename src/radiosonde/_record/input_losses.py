"""Counts inputs whose features cannot be read, and logs once a minute what to do about it. No message holds a value of a row."""

from __future__ import annotations

from collections.abc import Sequence

from radiosonde._guard import Guard
from radiosonde._record.blocks import UNREAD, Doubtful, Recorded
from radiosonde.model.losses import FEATURES_UNREADABLE, FEATURES_WIDTH


class OtherWidthError(Exception):
    """A row of a batch does not have the features of its model."""


class InputLosses:
    """Losses of one model's features.

    Args:
        guard: counts and logs them.
        width: number of features.
    """

    def __init__(self, guard: Guard, width: int) -> None:
        self._guard = guard
        self._width = width

    def other_width(self, rows: int, why: str) -> None:
        """Count *rows* whose features differ from the schema."""
        self._guard.lose(FEATURES_WIDTH, rows)
        self._guard.warn(
            "features", "An input does not match the %d features of its model: %s; give observe(..., features=[...]) the names,"
            " observe(..., input=a callable that returns a dict), or a new reference", self._width, why,
        )  # fmt: skip

    def of_items(self, found: Sequence[object], recorded: Recorded) -> int:
        """Count the rows of a batch that could not be read; return the number of those that could.

        Args:
            found: per kept row its values, or the exception that it raised.
            recorded: the batch; each kept row has the weight of `step` rows.
        """
        other = [row for row in found if isinstance(row, OtherWidthError)]
        unread = sum(isinstance(row, Exception) for row in found) - len(other)
        readable = len(found) - unread - len(other)
        # Where none of the kept rows could be read, all rows are lost, also those between them.
        rest = recorded.rows
        if other:
            lost = rest if len(other) == len(found) else min(len(other) * recorded.step, rest)
            self.other_width(lost, str(other[0]))
            rest -= lost
        if unread:
            self._guard.lose(FEATURES_UNREADABLE, min(unread * recorded.step, rest) if readable else rest)
        return readable

    def lazy(self, value: object, slot: int, index: int) -> Recorded:
        """Count a query that has not been run."""
        del slot, index
        self._guard.lose(FEATURES_UNREADABLE)
        self._guard.warn(
            "features", "Features of type %s are a lazy query, which Radiosonde does not run; collect it before"
            " the call, or pass observe(..., input=...)", type(value).__name__,
        )  # fmt: skip
        return UNREAD

    def unreadable(self, value: object, slot: int, index: int) -> Recorded:
        """Count an input of an unsupported type."""
        del slot, index
        self._guard.lose(FEATURES_UNREADABLE)
        self._guard.warn(
            "features", "Features of type %s cannot be read; give observe(..., input=a callable that returns a dict)",
            type(value).__name__,
        )  # fmt: skip
        return UNREAD

    def other_rows(self, recorded: Doubtful, rows: int) -> None:
        """Count the features of an input that has *rows* rows, as its answers show, and was read as another number of them."""
        self._guard.lose(recorded.loss, rows - recorded.lost)
        self._guard.warn(
            "features", "An input holds a batch of %d rows that cannot be told from its other fields; give observe(..., input=a"
            " callable that returns the rows)", rows,
        )  # fmt: skip
