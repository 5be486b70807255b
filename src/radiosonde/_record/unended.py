"""Calls of observed functions whose stack was full when they were to be recorded.

A wrapper takes one frame. Where the application's stack is all but full the function may still fit, and what records it may
not. Then the caller gets what it would have got one frame deeper without us: the function's own result or exception. What is to
be recorded is kept here, by operations that call nothing, and the consumer's thread, whose stack is its own, writes it.

So a wrapper may only use item and slice assignments to say it (``unended[:0] = (...,)``). A call of any kind, Python's or C's, takes a frame
or is counted as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from radiosonde._clock import wall_ns
from radiosonde._record.completed_call import record_completed_call
from radiosonde._record.outputs import NOTHING, UNREADABLE
from radiosonde._record.token import ENDED, INDEX, RECORDED, Token
from radiosonde._ring.layout import DONE, FAILED
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._record.record_writer import RecordWriter

Entry = str | type[BaseException] | tuple[Token, type[BaseException] | None]
"""A loss; the error of a call that did not begin; or a prediction that ended, with its error or None."""


class Unended(list[Entry]):
    """What waits. Any thread adds, the consumer takes.

    Attributes:
        mark: for the place of a token that says whether it is in progress.
    """

    mark: Final = ENDED


def settle(writer: RecordWriter) -> None:
    """Write what waits. How long these calls took is not known: there was no room to ask the clock, and they count as 0."""
    recorder, unended = writer.recorder, writer.unended
    guard = recorder.host.guard
    while unended:
        entry = unended.pop()
        if isinstance(entry, str):
            guard.lose(entry)
        elif isinstance(entry, type):
            with guard("full_stack", losses.RECORD_FAILED):
                record_completed_call(writer, wall_ns(), 0.0, None, entry, None)
        else:
            with guard("full_stack_end", losses.RECORD_FAILED):
                _end(writer, *entry)


def _end(writer: RecordWriter, token: Token, error: type[BaseException] | None) -> None:
    recorded = token[RECORDED]
    if error is None:
        writer.recorder.host.guard.lose(losses.OUTPUT_UNREADABLE, recorded.rows)
    kind, code, confidence, score = UNREADABLE if error is None else NOTHING
    error_code = 0 if error is None else writer.recorder.error_code(error)
    fields: tuple[Any, ...] = (score, 0, code, confidence, error_code, kind, *recorded[4:1:-1], recorded.rows)
    # Ends nothing that has ended: how far `finish` came is not known.
    writer.reclaimer.end(token[INDEX], (*fields, DONE if error is None else FAILED), recorded.position)
