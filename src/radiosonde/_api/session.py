"""Life cycle of the pipeline of a process: created by `start` or at first use, flushed, shut down, or disabled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from radiosonde._guard import Guard
from radiosonde._native import RLock
from radiosonde._pipeline._worker import add_fork_handler
from radiosonde._pipeline.forgiving import report_problems
from radiosonde._settings import Settings, is_disabled
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from radiosonde._pipeline.pipeline import Pipeline
    from radiosonde._settings.options import StartOptions
    from radiosonde.model import Statistics


class Session:
    """Holds one pipeline, and whether it is enabled.

    Args:
        guard: for tests: a guard that re-raises errors.
        environment: for tests: used instead of the environment of the process.
    """

    def __init__(self, guard: Guard | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._guard = guard
        self._environment = environment
        self._lock = RLock()
        self._pipeline: Pipeline | None = None
        self._is_started = False
        self._is_off = False

    @property
    def is_off(self) -> bool:
        """Whether Radiosonde is disabled, by `start` or by the environment."""
        return self._is_off or (self._pipeline is None and is_disabled(self._environment))

    def pipeline(self) -> Pipeline:
        """Return the pipeline; creates it at first use."""
        if self._pipeline is None:
            with self._lock:
                if self._pipeline is None:
                    self._pipeline = self._make(Settings.resolve(self._environment))
        return self._pipeline

    def _make(self, settings: Settings) -> Pipeline:
        from radiosonde._pipeline.pipeline import Pipeline  # at first use: imports the rest of the package

        pipeline = Pipeline(settings, self._guard)
        add_fork_handler(pipeline)
        report_problems(settings, pipeline.guard)
        return pipeline

    def start(self, **settings: Unpack[StartOptions]) -> None:
        """Start with these settings, and open store and exporters, so that their errors are raised here.

        Optional. Without it, Radiosonde starts at the first prediction with the settings of the environment.

        Args:
            **settings: see ``docs/settings.md``.

        Raises:
            ConfigurationError: a setting is unknown or invalid, or Radiosonde has already started.
            StoreError: the store cannot be opened.
            SpoolError: the spool cannot be used.
            ProfileError: a reference cannot be read.

        A setting from an environment variable never raises. An error is logged, and the part that it configures is left out.
        """
        resolved = Settings.resolve(self._environment, **settings)
        if resolved.disabled:
            self._switch_off()
            return
        with self._lock:
            self._is_off = False
            if self._is_started or (self._pipeline is not None and self._pipeline.is_recording):
                raise ConfigurationError(
                    "Radiosonde has already started (by start() or by a first prediction); "
                    "call shutdown() first, or call start() before the first prediction"
                )
            if self._pipeline is None:
                self._pipeline = self._make(resolved)
            else:
                self._pipeline.configure(resolved)
                report_problems(resolved, self._pipeline.guard)
            self._pipeline.open()
            self._is_started = True

    def _switch_off(self) -> None:
        with self._lock:
            self._is_off = True
            if self._pipeline is not None:
                self._pipeline.is_off = True
                self.shutdown()  # delivers what was recorded; functions decorated before record nothing

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Drain all records, close all windows, write the store and export. Return whether all of it finished in time.

        A window that is closed early is a part of a window. Later parts of the same window are added to it.
        """
        return self._pipeline is None or self._pipeline.flush(timeout_s)

    def shutdown(self, timeout_s: float = 10.0) -> bool:
        """Flush, stop the threads, and close store and exporters. Observed functions keep working; `start` restarts recording."""
        with self._lock:
            if self._pipeline is None:
                return True
            self._is_started = False
            return self._pipeline.shutdown(timeout_s)

    def statistics(self) -> Statistics:
        """Return the counts of Radiosonde itself: records, losses by reason, results of labels, CPU time."""
        from radiosonde.model import Statistics  # at first use, as all that counting needs

        return Statistics() if self._pipeline is None else self._pipeline.statistics()
