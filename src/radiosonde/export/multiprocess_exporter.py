"""The carrier of prometheus-client's multiprocess mode: see `radiosonde.export.multiprocess` for the files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.errors import ConfigurationError
from radiosonde.export.exporter import BaseExporter, ExportContext, ExportCounts, ExporterHealth
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._settings import Settings
    from radiosonde.export.multiprocess import MultiprocessFiles

EVERY_S = 5.0


class MultiprocessExporter(BaseExporter):
    """Writes all samples into the folder every `EVERY_S`, and at each flush."""

    setting = "prometheus_folder"
    interval_s: float | None = EVERY_S

    def __init__(self, context: ExportContext) -> None:
        self._context = context
        self._folder = str(context.settings.prometheus_folder)
        self._files: MultiprocessFiles | None = None
        self._exports = 0

    def open(self) -> None:
        """Check that the folder exists: prometheus-client does not create it, so the application must.

        Raises:
            ConfigurationError: it is not there.
        """
        if not Path(self._folder).is_dir():
            raise ConfigurationError(
                f"PROMETHEUS_MULTIPROC_DIR is {self._folder}, which is not a folder; create it before the server starts, or unset "
                "the variable"
            )

    def flush(self) -> None:
        """Write all counts so far; a failure is counted, logged, and retried the next time."""
        if self._files is None:
            from radiosonde.export.multiprocess import MultiprocessFiles

            self._files = MultiprocessFiles(self._folder, self._context.snapshot, self._context.process)
        guard = self._context.guard
        failure = guard.attempt(self._files.publish)
        if isinstance(failure, Exception):
            guard.lose(losses.EXPORT_FAILED)
            guard.warn("prometheus_folder", "Metrics cannot be written into %s: %s", self._folder, failure)
        else:
            self._exports += 1

    def close(self, timeout_s: float) -> None:
        """Close the files, and remove the gauges of this process."""
        files, self._files = self._files, None
        if files is not None:
            files.close()

    def counts(self) -> ExportCounts:
        """Return the number of complete writes."""
        return ExportCounts({"prometheus.files": self._exports})

    def abandon(self) -> None:
        """Forget the files: they are the parent's."""
        self._files = None


def make(context: ExportContext) -> MultiprocessExporter | None:
    """Return the exporter, None where prometheus-client is not in multiprocess mode."""
    return None if context.settings.prometheus_folder is None else MultiprocessExporter(context)


def health(settings: Settings, variables: Mapping[str, str]) -> Iterator[ExporterHealth]:  # noqa: ARG001 - of all carriers
    """Report whether the folder exists and is writable; nothing if the mode is off."""
    folder = settings.prometheus_folder
    if folder is None:
        return
    if not Path(folder).is_dir():
        said = f"Prometheus: PROMETHEUS_MULTIPROC_DIR is {folder}, which is not a folder; create it before the server starts"
        yield ExporterHealth("fix", said, f"mkdir -p {shlex.quote(folder)}")
    elif not os.access(folder, os.W_OK):
        yield ExporterHealth(
            "fix", f"Prometheus: {folder} cannot be written by this user", f"ls -ld {shlex.quote(folder)}"
        )
    else:
        said = f"Prometheus: each process writes its metrics into {folder}, for the application's own multiprocess page"
        yield ExporterHealth("ok", said)
