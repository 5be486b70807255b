"""Public functions, bound to the pipeline of the process. Nothing happens at import."""

from __future__ import annotations

import inspect
import math
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


class Surface(Session):
    """The functions of `radiosonde`, bound to one pipeline; those that begin and end it are `Session`'s.

    Args:
        guard: for tests: a guard that re-raises.
        environment: for tests: instead of the process's.
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

    def observe(  # noqa: PLR0913 - each is a question every user of a decorator asks; all have defaults
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
        """Observe the predictions of a function: sync, async, generator, async generator or method; row or batch.

        ``@rs.observe("delays")`` names the model; ``@rs.observe`` without parentheses takes the function's own name.

        Args:
            name: model name; default: the function's own.
            version: model version; or a callable that tells it, asked once and later, outside any prediction (with a
                spool: at the first one).
            variant: role in the rollout: ``stable``, ``canary``, ``shadow``, a flag's variant.
            input: where the features are: None the first parameter; a parameter's name; a callable that takes the
                call's arguments and returns them; False when the function calls ``current().features(...)`` itself.
            output: turns the result into a label, a probability row or matrix, a number, or a dict with ``label`` and
                ``confidence``; None reads the result as it is.
            task: what a number means: ``classification`` (a class, or the probability of the second of two) or
                ``regression`` (a value). By default what the reference says; else a classification where *classes* are
                given; else what the first answers are.
            reference: reference profile or its path.
            features: feature names in column order, for arrays without names.
            classes: class names in the order of a probability matrix's columns.
            id: the caller's own id of each prediction, which `label` then takes beside ours: a parameter's name, or a
                callable that takes the call's arguments and returns it (None: it has none).

        Raises:
            ConfigurationError: an argument cannot be used, *input* names no parameter, or what is decorated is no function.
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
        """Return what `observe` puts around a function, to be put around a call by hand; None when all is off.

        For plug-ins, which replace a method already: two functions less are 3 us in a server (bench_served).
        ``writer = recorder.writer``, then ``token = writer.begin((features,), {})``, the call, and ``writer.finish(token, result)`` or
        ``writer.fail(token, error)``; none of them raises.

        Args:
            name: model name.
            version: as of `observe`.
            variant: role in the rollout.
            output: as of `observe`.
            task: as of `observe`.
            features: feature names in column order, for arrays without names.
            classes: class names in the order of a probability matrix's columns.
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
        """Time a named phase inside a prediction; at most six names per model.

        Example: ``with rs.stage("feature_fetch"): ...``
        """
        return nullcontext() if self.is_off else Stage(name, self.pipeline())

    def cohort(self, **dimensions: object) -> AbstractContextManager[None]:
        """Count the predictions inside under a cohort.

        Example: ``with rs.cohort(carrier="UA"): ...``

        A value counts as itself when `start` was told so (``cohorts={"carrier": ["UA", "AA"]}``), else as ``other``; a
        dimension `start` was told nothing about counts by a hash of its value. Scopes nest and reach thread pools; None leaves one out.
        """
        if self.is_off:
            return nullcontext()
        hand_on_scopes()
        pipeline = self.pipeline()
        return CohortScope(admit(dimensions, pipeline.settings.cohorts, pipeline.guard))

    def at(self, timestamp: datetime | float) -> AbstractContextManager[None]:
        """Set the event time of the predictions inside, for backfill and replay: aware datetime or epoch seconds.

        Raises:
            ConfigurationError: the datetime has no time zone, or the number is no time.
        """
        if self.is_off:
            return nullcontext()
        hand_on_scopes()
        return EventTimeScope(to_ns(timestamp))

    def label(self, prediction_id: Any, value: Any, time: Any = None) -> None:
        """Report what really happened, to one prediction or to many; in any process, in any order, now or in weeks.

        One label is queued and joined soon. Columns of labels are handed over at once: they are durable (where the join
        store is) when this returns.

        Args:
            prediction_id: ``current().id``, ``current().receipt()``, or the caller's own id; or a list, array or Series
                of them.
            value: true class (name, or position among the classes) or true value; or one for each id.
            time: when it became known, aware datetime or epoch seconds; default: now. One for all, or one for each id.

        Raises:
            ConfigurationError: *time* is no time; a column cannot be read, or columns differ in length.
            StoreError: columns only: the join store cannot be reached; none was taken.

        What becomes of each label is counted: see ``statistics().labels``.
        """
        if self.is_off:
            return
        pipeline = self.pipeline()
        if not is_column(prediction_id):
            pipeline.label(prediction_id, value, None if time is None else to_ns(time))
        else:
            pipeline.receive(list(labels_in(prediction_id, value, time, to_ns)))

    # What others have measured or made ----------------------------------------------------------------------------------

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
        """Record a call that is over and that somebody else has timed: a request, a line of a log.

        It counts in traffic, errors and latency, under the cohort in force, as an observed call without features does.

        Args:
            name: what was called, a series of its own: a route, a model.
            duration_s: how long it took, in seconds.
            version: its version.
            variant: its role in the rollout.
            start: when it began; default: *duration_s* ago.
            phases: seconds by phase, at most six names per *name*.
            error: what went wrong: an exception, its type, or a short name for it; None for success.
            span: context of OpenTelemetry's span of this very call, which exemplars then point to.

        Raises:
            ConfigurationError: the duration is negative or no number, or *start* is no time.
        """
        pipeline = self._pipeline
        if pipeline is None or self._is_off:
            if self.is_off:
                return
            pipeline = self.pipeline()
        if not 0 <= duration_s < math.inf:
            raise ConfigurationError(f"record got a duration of {duration_s!r}; give seconds, 0 or more")
        if type(start) is float and 0.0 < start < LATEST_S:  # without a call: a web server asks this of every request
            start_ns = round(start * NS)
        else:
            start_ns = wall_ns() - round(duration_s * NS) if start is None else to_ns(start)
        completed = self._completed or self._load_completed()
        completed.record(pipeline, (name, version, variant), (start_ns, duration_s), phases or {}, error, span)

    def _load_completed(self) -> CompletedCalls:
        from radiosonde._api.completed_calls import CompletedCalls  # at first use: imports everything that records

        with self._lock:
            if self._completed is None:
                self._completed = CompletedCalls(self.recorder_for)
            return self._completed

    def defer(self, function: Callable[[], object]) -> None:
        """Call *function* within seconds in the consumer thread, under the current cohort and event time.

        For plug-ins: describing a request to `record` costs a server less between requests than in one. What it raises is
        counted and logged, like an error of ours.
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
        """Say what a model object does not say of itself, for plug-ins; return all that is known of it.

        Say it before the object's first prediction. What was not said of name, version and variant comes from
        ``RADIOSONDE_MODEL_NAME``, ``..._VERSION`` and ``..._VARIANT``.

        Args:
            model: the object whose predict method is called.
            name: model name.
            version: model version.
            variant: role in the rollout.
            task: as for `observe`; of networks also: ``classification`` reads a matrix of scores as logits.
            classes: class names in the order of a probability matrix's columns.
            features: feature names in column order.

        Raises:
            ConfigurationError: nothing can be remembered of objects of this type.
        """
        known, said = self._tags.of(model), Tag(name, version, variant, task, _names(classes), _names(features))
        if said != Tag():
            known = self._tags.add(model, said)
        usual = Tag(*model_tag(self._environment))._asdict()
        return Tag(**(usual | {field: value for field, value in known._asdict().items() if value is not None}))

    def instrument(self, *libraries: str, **options: Any) -> tuple[str, ...]:
        """Observe the predictions of model libraries that are installed (default: all known); return which.

        Example: ``rs.instrument("sklearn", "xgboost")``. Without code: run under ``opentelemetry-instrument``.

        Args:
            *libraries: names of plug-ins.
            **options: what the plug-ins named take: ``modules=[...]`` of ``torch``.

        Raises:
            ConfigurationError: a library has no plug-in.
        """
        from radiosonde._api import plugins  # reads the metadata of what is installed: not at import

        return () if self.is_off else plugins.instrument(libraries, self.pipeline().guard, undo=False, options=options)

    def uninstrument(self, *libraries: str) -> tuple[str, ...]:
        """Put the original functions of model libraries back; return which."""
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
        """Count how late timers of the asyncio loop that runs in this thread come, four times a second; again is nothing.

        Plug-ins for servers call it with each request; a prediction in a coroutine does it too, the first one of a model.
        """
        health = None if self.is_off else self.pipeline().health
        if health is not None:
            health.watch_running_loop()

    def queued(self, function: Function) -> Function:
        """Return *function*, to be submitted to a thread pool now, such that its call counts how long it waited.

        Example: ``pool.submit(rs.plugin.queued(function), argument)``
        """
        health = None if self.is_off else self.pipeline().health
        return function if health is None else health.queued(function)  # type: ignore[return-value]

    def label_app(self, token: str) -> LabelApp:
        """Return an application that takes labels by ``POST /labels``: ASGI as it is, WSGI as its ``wsgi``.

        Example: ``app.mount("/radiosonde", rs.label_app(token))``. A request that is answered with 202 is durable where
        the join store is (see ``RADIOSONDE_LABELS``).

        Args:
            token: what requests must bear: ``Authorization: Bearer TOKEN``.

        Raises:
            ConfigurationError: the token is empty or cannot stand in a header, or the receipt keys cannot be read.
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
