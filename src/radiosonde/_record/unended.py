"""Calls of observed functions whose stack was full when they were to be recorded.

A wrapper takes one frame. When the application's stack is almost full, the function may still fit while recording does not. The caller then
still gets the function's own result or exception. The call to record is appended here, by operations that call nothing, and the consumer's
thread, which has its own stack, writes it.

A wrapper may therefore only use item and slice assignments (``unended[:0] = (...,)``). A call of any kind, in Python or C, takes a frame or
is counted as one.
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
    """Pending calls. Any thread adds, the consumer removes.

    Attributes:
        mark: value of a token's state once its call is pending here.
    """

    mark: Final = ENDED


def settle(writer: RecordWriter) -> None:
    """Write the pending calls. Their duration counts as 0, because there was no room to read the clock."""
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
    # Has no effect on a call that has ended: `finish` may have run partly.
    writer.reclaimer.end(token[INDEX], (*fields, DONE if error is None else FAILED), recorded.position)
