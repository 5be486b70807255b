"""What users call, bound to the one pipeline of the process. Nothing happens at import; settings resolve at first use."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from radiosonde._guard import Guard
from radiosonde._pipeline._worker import survive
from radiosonde._record.ambient import CohortScope, EventTimeScope, admit, to_ns
from radiosonde._record.current import Stage, current
from radiosonde._record.recorder import Observed, Recorder
from radiosonde._record.wrappers import wrap
from radiosonde._settings import Settings, is_disabled
from radiosonde.errors import ConfigurationError
from radiosonde.model import Statistics
from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from radiosonde._pipeline.pipeline import Pipeline

__all__ = ["at", "cohort", "current", "flush", "label", "observe", "shutdown", "stage", "start", "statistics"]

Function = TypeVar("Function", bound=Callable[..., Any])
Input = str | Callable[..., object] | Literal[False] | None
"""Where the features are: a parameter's name, a callable on the call's arguments, False (the function records them
itself with ``current().features``), None (the first parameter)."""


class Surface:
    """The functions of `radiosonde`, bound to one pipeline.

    Args:
        guard: for tests: a guard that re-raises.
        environment: for tests: instead of the process's.
    """

    def __init__(self, guard: Guard | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._guard = guard
        self._environment = environment
        self._lock = threading.RLock()
        self._pipeline: Pipeline | None = None
        self._is_started = False
        self._is_off = False

    @property
    def is_off(self) -> bool:
        """Whether everything is switched off, by `start` or by the environment."""
        return self._is_off or (self._pipeline is None and is_disabled(self._environment))

    def pipeline(self) -> Pipeline:
        """Return the pipeline, made at first use."""
        if self._pipeline is None:
            with self._lock:
                if self._pipeline is None:
                    self._pipeline = self._make(Settings.resolve(self._environment))
        return self._pipeline

    def _make(self, settings: Settings) -> Pipeline:
        from radiosonde._pipeline.pipeline import Pipeline  # at first use: imports the rest of us

        pipeline = Pipeline(settings, self._guard)
        survive(pipeline)
        return pipeline

    current = staticmethod(current)

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def start(self, **settings: Any) -> None:
        """Set what is not in the environment, and open store and exporters now, so that their errors are seen now.

        Optional: without it everything starts at the first prediction with the environment's settings.

        Args:
            **settings: see `radiosonde._settings.Settings`: ``store``, ``window_s``, ``references``, ``cohorts``,
                ``service_name``, ``otlp``, ``export_interval_s``, ``prometheus``, ``prometheus_port``, ``ring_bytes``,
                ``max_series``, ``cpu_budget``.

        Raises:
            ConfigurationError: a setting is unknown or cannot be used, or Radiosonde has started already.
            StoreError: the store cannot be opened.
            ProfileError: a reference cannot be read.
        """
        resolved = Settings.resolve(self._environment, **settings)
        if resolved.disabled:
            self._switch_off()
            return
        with self._lock:
            self._is_off = False
            if self._is_started or (self._pipeline is not None and self._pipeline.is_recording):
                raise ConfigurationError(
                    "Radiosonde has started already (by start() or by a first prediction); "
                    "call shutdown() first, or call start() before the first prediction"
                )
            if self._pipeline is None:
                self._pipeline = self._make(resolved)
            else:
                self._pipeline.configure(resolved)
            self._pipeline.open()
            self._is_started = True

    def _switch_off(self) -> None:
        with self._lock:
            self._is_off = True
            if self._pipeline is not None:
                self._pipeline.is_shut = True  # what was decorated before records nothing
                if self._pipeline.is_recording:
                    self.shutdown()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Drain what is recorded, close all windows, write the store, export. Return whether that ended in time.

        Windows closed early are parts: what comes later for them adds up.
        """
        return self._pipeline is None or self._pipeline.flush(timeout_s)

    def shutdown(self, timeout_s: float = 10.0) -> bool:
        """Flush, end the threads, close store and exporters. Observed functions go on working; `start` starts again."""
        with self._lock:
            if self._pipeline is None:
                return True
            self._is_started = False
            return self._pipeline.shutdown(timeout_s)

    def statistics(self) -> Statistics:
        """Return what Radiosonde says about itself: records, losses by reason, label results, its own CPU time."""
        return Statistics() if self._pipeline is None else self._pipeline.statistics()

    # Recording -------------------------------------------------------------------------------------------------------

    def observe(  # noqa: PLR0913 - each is a question every user of a decorator asks; all but the name have defaults
        self,
        name: str,
        *,
        version: str = "",
        variant: str = "stable",
        input: Input = None,
        output: Callable[[Any], object] | None = None,
        task: Literal["classification", "regression"] | None = None,
        reference: Reference | str | os.PathLike[str] | None = None,
        features: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Callable[[Function], Function]:
        """Observe the predictions of a function: sync, async, generator, async generator or method; row or batch.

        Args:
            name: model name.
            version: model version.
            variant: role in the rollout: ``stable``, ``canary``, ``shadow``, a flag's variant.
            input: where the features are: None the first parameter; a parameter's name; a callable that takes the
                call's arguments and returns them; False when the function calls ``current().features(...)`` itself.
            output: turns the result into a label, a probability row or matrix, a number, or a dict with ``label`` and
                ``confidence``; None reads the result as it is.
            task: what a number means: ``classification`` (the probability of the second class) or ``regression``;
                by default what the reference says, else a value.
            reference: reference profile or its path.
            features: feature names in column order, for arrays without names.
            classes: class names in the order of a probability matrix's columns.

        Raises:
            ConfigurationError: the name is empty, *input* names no parameter, or what is decorated is no function.
            ProfileError: the reference cannot be read.
        """
        if not name:
            raise ConfigurationError(f'observe needs the model\'s name, got {name!r}; write @observe("delays")')
        if self.is_off:
            return lambda function: function
        profile = (
            reference if reference is None or isinstance(reference, Reference) else Reference.load(os.fspath(reference))
        )

        names = None if profile is None else tuple(feature.name for feature in profile.features)
        if features is not None and names and tuple(features) != names:
            raise ConfigurationError(
                f"features={list(features)} is not the reference's order {list(names)}; leave features= out, the "
                "reference says it, or fit the reference again"
            )

        def decorate(function: Function) -> Function:
            select, position = selector(function, input)
            recorder = Recorder(
                self.pipeline(),
                Observed(
                    name=name,
                    version=version,
                    variant=variant,
                    select=select,
                    position=position,
                    output=output,
                    is_classifier=None if task is None else task == "classification",
                    classes=tuple(classes or ()),
                    features=tuple(features or ()),
                    is_generator=inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
                    reference=profile,
                ),
            )
            self.pipeline().add(recorder)
            return wrap(function, recorder)  # type: ignore[return-value]

        return decorate

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a named phase inside a prediction; at most six names per model.

        Example: ``with rs.stage("feature_fetch"): ...``
        """
        return nullcontext() if self.is_off else Stage(name, self.pipeline())

    def cohort(self, **dimensions: object) -> AbstractContextManager[None]:
        """Count the predictions inside under a cohort.

        Example: ``with rs.cohort(carrier="UA"): ...``

        A value counts as itself when `start` was told so (``cohorts={"carrier": ["UA", "AA"]}``), else as ``other``; a
        dimension `start` was told nothing about counts by a hash of its value. Scopes nest; None leaves one out.
        """
        if self.is_off:
            return nullcontext()
        pipeline = self.pipeline()
        return CohortScope(admit(dimensions, pipeline.settings.cohorts, pipeline.guard))

    def at(self, timestamp: datetime | float) -> AbstractContextManager[None]:
        """Set the event time of the predictions inside, for backfill and replay: aware datetime or epoch seconds.

        Raises:
            ConfigurationError: the datetime has no time zone, or the number is no time.
        """
        return nullcontext() if self.is_off else EventTimeScope(to_ns(timestamp))

    def label(self, prediction_id: str, value: object, time: datetime | float | None = None) -> None:
        """Report what really happened.

        Args:
            prediction_id: ``current().id`` of the prediction.
            value: true class (name, or position among the classes) or true value.
            time: when it became known; default: now.

        Raises:
            ConfigurationError: *time* is no time. What becomes of the label is counted: see ``statistics().labels``.
        """
        if self.is_off:
            return
        self.pipeline().label(prediction_id, value, None if time is None else to_ns(time))


def selector(
    function: Callable[..., Any], source: Input
) -> tuple[Callable[[tuple[Any, ...], Mapping[str, Any]], object] | None, int]:
    """Return how to take the features out of a call's arguments, and their position among them (-1: ask the former)."""
    if isinstance(function, (type, staticmethod, classmethod, property)):
        raise ConfigurationError(
            f"observe decorates functions, not {function!r}; put it below @staticmethod, @classmethod or @property"
        )
    if source is False:
        return None, -1
    if callable(source):
        take = source
        return lambda args, kwargs: take(*args, **kwargs), -1
    names = list(inspect.signature(function).parameters)
    if source is None:
        named = [name for name in names if name not in ("self", "cls")]
        if not named:
            return None, -1
        source = named[0]
    if source not in names:
        raise ConfigurationError(
            f"input={source!r} is no parameter of {function.__qualname__}; it has {', '.join(names)}"
        )
    position, wanted, parameter = names.index(source), source, inspect.signature(function).parameters[source]
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return lambda _, kwargs: kwargs, -1
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        position = -1
    if parameter.default is not inspect.Parameter.empty:
        usual = parameter.default
        return lambda args, kwargs: args[position] if 0 <= position < len(args) else kwargs.get(wanted, usual), position
    return lambda args, kwargs: args[position] if 0 <= position < len(args) else kwargs[wanted], position


SURFACE = Surface()

observe, stage, cohort, at, label = SURFACE.observe, SURFACE.stage, SURFACE.cohort, SURFACE.at, SURFACE.label
start, flush, shutdown, statistics = SURFACE.start, SURFACE.flush, SURFACE.shutdown, SURFACE.statistics
