"""The token of a prediction in progress: a list, because making one costs 40 ns and a slotted object 170 (bench_record).

Context-local: `CURRENT` holds the last token begun in this context, so `radiosonde.current` works inside the prediction
and right after it. It is never reset: the value is one small list per context, and a reset would cost every call.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from radiosonde._record.recorder import Recorder

Token = list[Any]

WRITER: Final = 0
"""The writer whose ring holds the record."""
INDEX: Final = 1
"""Index of the record in that ring."""
START_NS: Final = 2
"""Monotonic clock at the start."""
WALL_NS: Final = 3
"""Wall clock at the start, as written into the slot."""
RECORDED: Final = 4
"""`radiosonde._record.inputs.Recorded` of the features."""
SPAN: Final = 5
"""The live span and its context token, or None when the trace is not recording."""
OUTER: Final = 6
"""The token of the enclosing prediction or None while this one is in progress; `ENDED` afterwards."""

AT: Final = 7
"""Byte offset of the record's header in the ring's memory."""

ENDED: Final = object()

CURRENT: ContextVar[Token | None] = ContextVar("radiosonde_current", default=None)


def leave(token: Token) -> None:
    """Mark a prediction ended, even if its record was lost, so that the enclosing prediction becomes current."""
    outer = token[OUTER]
    token[OUTER] = ENDED
    if outer is not None and outer is not ENDED:
        CURRENT.set(outer)


def is_in_progress(token: Token) -> bool:
    """Return whether the prediction of *token* has begun and not ended."""
    return token[OUTER] is not ENDED


def is_within(outer: Token | None, recorder: Recorder) -> bool:
    """Return whether one of the predictions in progress, *outer* and its enclosing ones, is of the same model and variant.

    Then the call is part of that one: a method that calls its base's or a sibling, recursion. A shadow or a canary called beside the stable
    model is another variant, and counts.
    """
    while outer is not None and outer is not ENDED:
        other = outer[WRITER].recorder
        if other.name == recorder.name and other.variant == recorder.variant and other.host is recorder.host:
            return True
        outer = outer[OUTER]
    return False
