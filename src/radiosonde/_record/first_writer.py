"""The writer of a function that was not called yet: the first call opens the real one, when there is something to learn the schema from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radiosonde._record.unended import Unended
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._record.recorder import Recorder
    from radiosonde._record.token import Token


class FirstRecordWriter:
    """Takes the first call, or the first after a rest."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.unended = Unended()

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token | None:
        """Open the writer and begin there; after a shutdown nothing is recorded."""
        host = self._recorder.host
        try:
            writer = None if host.is_shut else self._recorder.open_writer(args, kwargs)
        except RecursionError:
            self.unended[:0] = (losses.RECORD_FAILED,)
            return None
        if host.is_shut:  # also if this happened while the writer was opened: its ring is not drained any more
            host.lose_late_call()
            if writer is not None:
                self._recorder.let_go(writer)
            return None
        return None if writer is None else writer.begin(args, kwargs)

    def finish(self, token: Token | None, result: object) -> None:
        """Finish in the writer that began."""
        if token is not None:
            token[0].finish(token, result)

    def fail(self, token: Token | None, error: BaseException) -> None:
        """Fail in the writer that began."""
        if token is not None:
            token[0].fail(token, error)
