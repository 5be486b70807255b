"""Calls that were timed elsewhere: one recorder per name, version and variant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from radiosonde._record.completed_call import record_completed_call
from radiosonde._record.record_writer import RecordWriter
from radiosonde._record.recorder import Observed, Recorder
from radiosonde.model import OVERFLOW_COHORT, losses, name_of

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from radiosonde._pipeline.pipeline import Pipeline


class CompletedCalls:
    """Records completed calls.

    Args:
        recorder_for: makes a recorder.
    """

    def __init__(self, recorder_for: Callable[[Observed], Recorder]) -> None:
        self._recorder_for = recorder_for
        self._lock = threading.RLock()  # a finaliser may interrupt the holder
        self._recorders: dict[tuple[str, str, str], Recorder] = {}

    def record(
        self,
        pipeline: Pipeline,
        series: tuple[str, str, str],
        times: tuple[int, float],
        phases: Mapping[str, float] | None,
        error: BaseException | type[BaseException] | str | None,
        span: SpanContext | None,
    ) -> None:
        """Record one call.

        Args:
            pipeline: counts the call.
            series: name, version and variant of the model.
            times: start in nanoseconds since the epoch, and duration in seconds.
            phases: seconds by phase.
            error: the error, None for success.
            span: context of the span of this call.
        """
        try:
            recorder = self._recorders.get(series)
        except Exception:  # noqa: BLE001 - unhashable, or its hash or equality raises; it has a name all the same
            recorder = None
        if recorder is None:
            recorder = self._recorder(pipeline, *series)
        writer = None if pipeline.is_shut else recorder.writer
        if writer is not None and not isinstance(writer, RecordWriter):
            writer = recorder.open_writer((), {})
        if writer is None:
            if pipeline.is_shut:
                pipeline.lose_late_call()
            return
        try:
            record_completed_call(writer, *times, phases, error, span)
        except Exception as failure:  # noqa: BLE001 - our bug must not reach the caller
            pipeline.guard.lose(losses.RECORD_FAILED)
            pipeline.guard.swallow("record", failure)

    def _recorder(self, pipeline: Pipeline, name: object, version: object, variant: object) -> Recorder:
        # Compared with None, because a missing value or an array has no truth value.
        version = "" if version is None else name_of(version)
        series = name_of(name), version, ("" if variant is None else name_of(variant)) or "stable"
        with self._lock:
            if len(self._recorders) >= pipeline.settings.max_series:
                series = OVERFLOW_COHORT, "", "stable"
                pipeline.guard.lose(losses.COHORT_OVERFLOW)
            recorder = self._recorders.get(series)
            if recorder is None:
                observed = Observed(series[0], version=series[1], variant=series[2])
                recorder = self._recorders[series] = self._recorder_for(observed)
            return recorder
