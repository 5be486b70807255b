"""Public functions, bound to the pipeline of the process. Importing this module has no side effects."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from radiosonde._api.observe_arguments import (
    check_arguments,
    check_function,
    check_name,
    own_name,
    profile_of,
    unobserved,
)
from radiosonde._api.selector import Input, first, selector
from radiosonde._api.session import Session
from radiosonde._api.tags import Tag, Tags
from radiosonde._clock import LATEST_S, NS, wall_ns
from radiosonde._guard import Guard
from radiosonde._join.received import is_column, labels_in
from radiosonde._record.ambient import CohortScope, EventTimeScope, admit, to_ns
from radiosonde._record.current import Collected, Stage, current
from radiosonde._record.pools import hand_on_scopes
from radiosonde._settings import model_tag
from radiosonde.errors import ConfigurationError
from radiosonde.reference.profile import Reference

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from radiosonde._api.completed_calls import CompletedCalls
    from radiosonde._labels.label_app import LabelApp
    from radiosonde._record.recorder import Observed, Recorder

__all__ = [
    "at",
    "cohort",
    "collect",
    "current",
    "defer",
    "flush",
    "instrument",
    "instrument_app",
    "label",
    "label_app",
    "observe",
    "queued",
    "record",
    "recorder",
    "shutdown",
    "stage",
    "start",
    "statistics",
    "tag",
    "uninstrument",
    "watch_loop",
]

Function = TypeVar("Function", bound=Callable[..., Any])

LONGEST_CALL_S = 1e9
"""Duration that `record` takes at most: 31 years, whose nanoseconds fit their field."""


class Surface(Session):
    """The functions of `radiosonde`, bound to one pipeline. `Session` has those that start and stop it.

    Args:
        guard: for tests: a guard that re-raises errors.
        environment: for tests: used instead of the environment of the process.
    """

    def __init__(self, guard: Guard | None = None, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(guard, environment)
        self._tags = Tags()
        self._completed: CompletedCalls | None = None

    current = staticmethod(current)
    collect = Collected

    # Recording -------------------------------------------------------------------------------------------------------

    @overload
    def observe(self, function: Function, /) -> Function: ...

    @overload
    def observe(
        self,
        name: str | None = None,
        *,
        version: str | Callable[[], str] = ...,
        variant: str = ...,
        input: Input = ...,
        output: Callable[[Any], object] | None = ...,
        task: Literal["classification", "regression"] | None = ...,
        reference: Reference | str | os.PathLike[str] | None = ...,
        features: Sequence[str] | None = ...,
        classes: Sequence[str] | None = ...,
        id: str | Callable[..., object] | None = ...,
    ) -> Callable[[Function], Function]: ...

    def observe(  # noqa: PLR0913 - each is commonly needed; all have defaults
        self,
        name: str | Callable[..., Any] | None = None,
        *,
        version: str | Callable[[], str] = "",
        variant: str = "stable",
        input: Input = None,
        output: Callable[[Any], object] | None = None,
        task: Literal["classification", "regression"] | None = None,
        reference: Reference | str | os.PathLike[str] | None = None,
        features: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        id: str | Callable[..., object] | None = None,
    ) -> Any:
        """Observe the predictions of a function.

        The function may be sync, async, a generator, an async generator or a method, and may predict one row or a batch.
        ``@rs.observe("delays")`` names the model. ``@rs.observe`` without parentheses uses the name of the function.

        Args:
            name: model name. Default: the name of the function.
            version: model version, or a callable that returns it. The callable is called once, in the consumer's thread; with a
                spool, at the first prediction.
            variant: role in the rollout: ``stable``, ``canary``, ``shadow``, or the variant of a feature flag.
            input: where to find the features. None: the first parameter. A string: the parameter of that name. A callable:
                called with the arguments of the prediction, returns the features. False: the function passes them to
                ``current().features(...)``.
            output: converts the result to a label, a row or matrix of probabilities, a number, or a dict with ``label`` and
                ``confidence``. None: the result is used as is.
            task: meaning of a numeric result: ``classification`` (a class, or the probability of the second of two classes) or
                ``regression`` (a value). Default: the task of the reference; without one, ``classification`` if *classes* are
                given; else inferred from the first results.
            reference: reference profile, or its path.
            features: feature names in column order, for arrays without column names.
            classes: class names in the order of the columns of a probability matrix.
            id: your own id of each prediction, accepted by `label` beside the generated one: the name of a parameter, or a
                callable that is called with the arguments and returns the id, or None for a prediction without one.

        Raises:
            ConfigurationError: an argument is invalid, *input* names no parameter, or the decorated object is not a function.
            ProfileError: the reference cannot be read.
        """
        if callable(name):
            return self.observe()(name)
        check_name(name)
        check_arguments(
            {"input": input, "output": output, "task": task, "reference": reference, "features": features,
             "classes": classes, "id": id}
        )  # fmt: skip
        if self.is_off:
            return unobserved
        profile = profile_of(reference, features)

        from radiosonde._record.recorder import Observed  # at first use: imports everything that records
        from radiosonde._record.wrappers import wrap

        def decorate(function: Function) -> Function:
            check_function(function)
            model = own_name(function) if name is None else name
            select, position = selector(function, input)
            recorder = self.recorder_for(
                Observed(
                    name=model,
                    version=version,
                    variant=variant,
                    select=select,
                    position=position,
                    output=output,
                    task=task,
                    classes=() if classes is None else tuple(classes),
                    features=() if features is None else tuple(features),
                    own_id=None if id is None else selector(function, id, "id")[0],
                    is_generator=inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
                    reference=profile,
                )
            )
            return wrap(function, recorder)  # type: ignore[return-value]

        return decorate

    def recorder(
        self,
        name: str,
        *,
        version: str | Callable[[], str] = "",
        variant: str = "stable",
        output: Callable[[Any], object] | None = None,
        task: Literal["classification", "regression"] | None = None,
        features: Sequence[str] = (),
        classes: Sequence[str] = (),
    ) -> Recorder | None:
        """Return a recorder for calls that a plug-in wraps itself; None if Radiosonde is disabled.

        For plug-ins that replace a method anyway. It saves two function calls, 3 us in a server (bench_served). Usage:
        ``writer = recorder.writer``, ``token = writer.begin((features,), {})``, the call, then ``writer.finish(token, result)`` or
        ``writer.fail(token, error)``. None of these raises.

        Args:
            name: model name.
            version: as for `observe`.
            variant: role in the rollout.
            output: as for `observe`.
            task: as for `observe`.
            features: feature names in column order, for arrays without column names.
            classes: class names in the order of the columns of a probability matrix.
        """
        if self.is_off:
            return None
        from radiosonde._record.recorder import Observed

        return self.recorder_for(
            Observed(
                name=name,
                version=version,
                variant=variant,
                select=first,
                position=0,
                output=output,
                task=task,
                classes=tuple(classes),
                features=tuple(features),
            )
        )

    def recorder_for(self, observed: Observed) -> Recorder:
        """Return a new recorder of the pipeline."""
        from radiosonde._api.reviving import revive  # at first use: imports everything that records
        from radiosonde._record.recorder import Recorder

        recorder = Recorder(self.pipeline(), observed, revive)
        self.pipeline().add(recorder)
        return recorder

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a named phase of a prediction. At most six names per model.

        Example: ``with rs.stage("feature_fetch"): ...``
        """
        return nullcontext() if self.is_off else Stage(name, self.pipeline())

    def cohort(self, **dimensions: object) -> AbstractContextManager[None]:
        """Count the predictions inside the scope under a cohort.

        Example: ``with rs.cohort(carrier="UA"): ...``

        Values that are listed at `start` (``cohorts={"carrier": ["UA", "AA"]}``) are counted by name, other values of that
        dimension as ``other``. Values of a dimension that is not listed are counted by their hash. Scopes nest, and are propagated
        to thread pools. A dimension of None is ignored.
        """
        if self.is_off:
            return nullcontext()
        hand_on_scopes()
        pipeline = self.pipeline()
        return CohortScope(admit(dimensions, pipeline.settings.cohorts, pipeline.guard))

    def at(self, timestamp: datetime | float) -> AbstractContextManager[None]:
        """Set the event time of the predictions inside the scope, for backfills and replays.

        Args:
            timestamp: an aware datetime, or seconds since the epoch.

        Raises:
            ConfigurationError: the datetime has no time zone, or the number is out of range.
        """
        if self.is_off:
            return nullcontext()
        hand_on_scopes()
        return EventTimeScope(to_ns(timestamp))

    def label(self, prediction_id: Any, value: Any, time: Any = None) -> None:
        """Report the true outcome of one prediction or of many, in any process and in any order, even weeks later.

        A single label is queued and joined within seconds. Columns of labels are written to the join store before this returns,
        and are durable if the join store is.

        Args:
            prediction_id: ``current().id``, ``current().receipt()`` or your own id; or a list, array or Series of them.
            value: true class (its name, or its position among the classes) or true value; or one per id.
            time: when the label became known: an aware datetime or seconds since the epoch. Default: now. One, or one per id.

        Raises:
            ConfigurationError: *time* is invalid, a column cannot be read, or columns differ in length.
            StoreError: columns only: the join store cannot be reached; no label was stored.

        The result of each label is counted in ``statistics().labels``.
        """
        if self.is_off:
            return
        pipeline = self.pipeline()
        if not is_column(prediction_id):
            pipeline.label(prediction_id, value, None if time is None else to_ns(time))
        else:
            pipeline.receive(list(labels_in(prediction_id, value, time, to_ns)))

    # Calls and models of other software ----------------------------------------------------------------------------------

    def record(  # noqa: PLR0913 - all but name and duration have defaults
        self,
        name: str,
        duration_s: float,
        *,
        version: str = "",
        variant: str = "stable",
        start: datetime | float | None = None,
        phases: Mapping[str, float] | None = None,
        error: BaseException | type[BaseException] | str | None = None,
        span: SpanContext | None = None,
    ) -> None:
        """Record a completed call that was timed elsewhere, such as a request or a line of a log.

        It counts in traffic, errors and latency under the current cohort, like an observed call without features.

        Args:
            name: name of the route or model; each name is a series of its own.
            duration_s: duration in seconds.
            version: its version.
            variant: its role in the rollout.
            start: start time. Default: *duration_s* before now.
            phases: seconds by phase, at most six names per *name*.
            error: the exception, its type, or a short name for it; None for success.
            span: context of the OpenTelemetry span of this call; exemplars refer to it.

        Raises:
            ConfigurationError: the duration is negative, longer than 31 years or no number, or *start* is invalid.
        """
        pipeline = self._pipeline
        if pipeline is None or self._is_off:
            if self.is_off:
                return
            pipeline = self.pipeline()
        try:
            is_usable = 0 <= duration_s < LONGEST_CALL_S
        except (TypeError, ValueError):  # no number, or a missing one
            is_usable = False
        if not is_usable:
            raise ConfigurationError(f"record got a duration of {duration_s!r}; give seconds, 0 or more")
        if type(start) is float and 0.0 < start < LATEST_S:  # inline: a web server does this for every request
            start_ns = round(start * NS)
        else:
            start_ns = wall_ns() - round(duration_s * NS) if start is None else to_ns(start)
        completed = self._completed or self._load_completed()
        completed.record(pipeline, (name, version, variant), (start_ns, duration_s), phases, error, span)

    def _load_completed(self) -> CompletedCalls:
        from radiosonde._api.completed_calls import CompletedCalls  # at first use: imports everything that records

        with self._lock:
            if self._completed is None:
                self._completed = CompletedCalls(self.recorder_for)
            return self._completed

    def defer(self, function: Callable[[], object]) -> None:
        """Call *function* within seconds in the consumer's thread, under the current cohort and event time.

        For plug-ins: describing a request to `record` is cheaper between requests than within one. Exceptions are counted and
        logged like internal errors.
        """
        pipeline = self._pipeline
        if pipeline is None or self._is_off:
            if self.is_off:
                return
            pipeline = self.pipeline()
        if not pipeline.is_shut:
            pipeline.deferred.put(function)

    def tag(
        self,
        model: object,
        *,
        name: str | None = None,
        version: str | None = None,
        variant: str | None = None,
        task: Literal["classification", "regression"] | None = None,
        classes: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
    ) -> Tag:
        """Set name, version and other attributes of a model object for plug-ins; return all attributes that are set.

        Call it before the first prediction of the object. Name, version and variant default to ``RADIOSONDE_MODEL_NAME``,
        ``RADIOSONDE_MODEL_VERSION`` and ``RADIOSONDE_MODEL_VARIANT``.

        Args:
            model: the object whose predict method is called.
            name: model name.
            version: model version.
            variant: role in the rollout.
            task: as for `observe`. For networks, ``classification`` also means that a matrix of scores holds logits.
            classes: class names in the order of the columns of a probability matrix.
            features: feature names in column order.

        Raises:
            ConfigurationError: objects of this type cannot be tagged.
        """
        known, said = self._tags.of(model), Tag(name, version, variant, task, _names(classes), _names(features))
        if said != Tag():
            known = self._tags.add(model, said)
        usual = Tag(*model_tag(self._environment))._asdict()
        return Tag(**(usual | {field: value for field, value in known._asdict().items() if value is not None}))

    def instrument(self, *libraries: str, **options: Any) -> tuple[str, ...]:
        """Observe the predictions of installed model libraries; return the names of those that are observed.

        Example: ``rs.instrument("sklearn", "xgboost")``. Without code: run under ``opentelemetry-instrument``.

        Args:
            *libraries: names of plug-ins. Default: all.
            **options: options of the named plug-ins, such as ``modules=[...]`` of ``torch``.

        Raises:
            ConfigurationError: a library has no plug-in.
        """
        from radiosonde._api import plugins  # reads the metadata of installed packages: not at import

        return () if self.is_off else plugins.instrument(libraries, self.pipeline().guard, undo=False, options=options)

    def uninstrument(self, *libraries: str) -> tuple[str, ...]:
        """Restore the original functions of model libraries; return the names of those restored."""
        from radiosonde._api import plugins

        return () if self.is_off else plugins.instrument(libraries, self.pipeline().guard, undo=True)

    def instrument_app(self, app: object, **options: Any) -> None:
        """Observe the requests of a FastAPI, Starlette or Flask application.

        Args:
            app: the application object.
            **options: see docs/web.md: ``cohorts``, ``id_header``, ``receipt_header``, ``labels_token``,
                ``metrics_path``.

        Raises:
            ConfigurationError: no plug-in knows the application, or an option is wrong.
        """
        from radiosonde._api import plugins

        if not self.is_off:
            plugins.instrument_app(app, options)

    def watch_loop(self) -> None:
        """Measure the lag of the asyncio event loop of this thread, four times a second. Repeated calls have no effect.

        Plug-ins for servers call it in each request. The first prediction of a model in a coroutine calls it too.
        """
        health = None if self.is_off else self.pipeline().health
        if health is not None:
            health.watch_running_loop()

    def queued(self, function: Function) -> Function:
        """Return a wrapper of *function* that measures how long it waits in the queue of a thread pool. Submit it at once.

        Example: ``pool.submit(rs.plugin.queued(function), argument)``
        """
        health = None if self.is_off else self.pipeline().health
        return function if health is None else health.queued(function)  # type: ignore[return-value]

    def label_app(self, token: str) -> LabelApp:
        """Return an application that accepts labels at ``POST /labels``: an ASGI application, whose ``wsgi`` is a WSGI one.

        Example: ``app.mount("/radiosonde", rs.label_app(token))``. After a response of 202, the labels are durable if the join
        store is (see ``RADIOSONDE_LABELS``).

        Args:
            token: bearer token that requests must send: ``Authorization: Bearer TOKEN``.

        Raises:
            ConfigurationError: the token is empty or not allowed in a header, or the receipt keys cannot be read.
        """
        from radiosonde._labels.label_app import LabelApp
        from radiosonde._labels.label_route import LabelRoute
        from radiosonde._receipt_keys import ReceiptKeys

        pipeline = self.pipeline()
        text = pipeline.settings.receipt_keys
        return LabelApp(LabelRoute(token, pipeline.receive, keys=ReceiptKeys.parse(text) if text else None))


def _names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


SURFACE = Surface()

observe, stage, cohort, at, label = SURFACE.observe, SURFACE.stage, SURFACE.cohort, SURFACE.at, SURFACE.label
collect, record, recorder = SURFACE.collect, SURFACE.record, SURFACE.recorder
defer, tag, label_app = SURFACE.defer, SURFACE.tag, SURFACE.label_app
instrument, uninstrument, instrument_app = SURFACE.instrument, SURFACE.uninstrument, SURFACE.instrument_app
start, flush, shutdown, statistics = SURFACE.start, SURFACE.flush, SURFACE.shutdown, SURFACE.statistics
queued, watch_loop = SURFACE.queued, SURFACE.watch_loop
