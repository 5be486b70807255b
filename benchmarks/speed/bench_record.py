"""Cost to the caller: (observed - bare) per call, in bursts of an eighth of a ring, drained between the bursts and untimed.

The consumer thread is stopped and the turns are taken here, so that what is timed is the caller and nothing else. What the
consumer costs is `bench_total`'s; what it does to the caller's tail is `bench_tail`'s.

The yardstick is one `Histogram.record` with three attributes; a model that is observed by hand calls it at least once.
"""

from __future__ import annotations

import functools
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from benchmarks._measure import Figure, interleave, microseconds, over, per_call_s, yardstick
from benchmarks.workloads import ANSWER, FEATURES, arrays, dicts, matrix, model, reference
from radiosonde.testing import Flight, fly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

BATCH_ROWS = 10_000
UNSAMPLED = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of the caller."""
    with ExitStack() as ends:
        for arm, (what, run) in _arms(ends).items():
            rows = dicts() if arm == "record-dict" else arrays()
            arms: dict[str, Callable[[], float]] = {
                "bare": functools.partial(per_call_s, model(), rows),
                arm: run,
                "yardstick": yardstick(),
            }
            samples = interleave(arms, rounds)
            extra = [observed - bare for observed, bare in zip(samples[arm], samples["bare"], strict=True)]
            raw = {f"{name}_s": sample for name, sample in samples.items()}
            yield Figure(arm, what, over(samples, arm, "bare", "yardstick"), absolute=microseconds(extra), raw=raw)
    yield from _batches(rounds)


def _arms(ends: ExitStack) -> dict[str, tuple[str, Callable[[], float]]]:
    off = Flight(environment={"RADIOSONDE_DISABLED": "true"}).observe("delays")(model())
    arms = {
        # No tracer provider is set yet, and a record writer looks for one when it opens, so the order matters here.
        "record-array": ("caller, one row of 30 floats as an array, no tracing", _observed(ends, arrays())),
        "record-dict": ("caller, one row of 30 floats as a dict, no tracing", _observed(ends, dicts())),
        "record-in-cohort": (
            "array, inside a cohort opened before",
            _observed(ends, arrays(), around=lambda flight: flight.cohort(carrier="UA")),
        ),
        "record-cohort": ("array, opening a cohort for each call", _observed(ends, arrays(), inside=_in_cohort)),
        "record-stage": ("array, with one stage inside", _observed(ends, arrays(), function=_staged)),
    }
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("request")
    unsampled = trace.NonRecordingSpan(UNSAMPLED)
    return arms | {
        "record-unsampled": (
            "caller, one row of 30 floats as an array, trace not sampled",
            _observed(ends, arrays(), around=lambda _: trace.use_span(unsampled)),
        ),
        "record-sampled": (
            "array, in a sampled trace: makes a span",
            _observed(ends, arrays(), around=lambda _: tracer.start_as_current_span("request")),
        ),
        "otel-span": (
            "beside it: one start_as_current_span of the SDK",
            lambda: per_call_s(_spanned(tracer), arrays()),
        ),
        "record-off": ("array, RADIOSONDE_DISABLED=true", lambda: per_call_s(off, arrays())),
    }


def _spanned(tracer: trace.Tracer) -> Callable[[Any], Any]:
    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        with tracer.start_as_current_span("predict"):
            return ANSWER

    return predict


def _in_cohort(flight: Flight, predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def request(features: Any) -> Any:
        with flight.cohort(carrier="UA"):
            return predict(features)

    return request


@contextmanager
def still_flight(**settings: Any) -> Iterator[Flight]:
    """A flight whose consumer thread never runs: the benchmark takes the turns."""
    with fly(references={}, **settings) as flight:
        flight.pipeline()._consumer.stop(5.0)
        yield flight


def lost_by_reason(flight: Flight) -> dict[str, int]:
    """Drain and return what was lost, by reason; empty when nothing was."""
    return {reason: count for reason, count in flight.losses().items() if count}


def _observed(
    ends: ExitStack,
    rows: Sequence[Any],
    *,
    around: Callable[[Flight], AbstractContextManager[Any]] | None = None,
    inside: Callable[[Flight, Callable[[Any], Any]], Callable[[Any], Any]] | None = None,
    function: Callable[[Flight], Callable[[Any], Any]] = lambda _: model(),
) -> Callable[[], float]:
    """Return an arm: bursts over *rows* of an observed model, *around* a burst or *inside* a call something of the user's."""
    flight = ends.enter_context(still_flight(cohorts={"carrier": ["UA"]}))
    predict = flight.observe("delays", reference=reference())(function(flight))
    call = predict if inside is None else inside(flight, predict)
    call(rows[0])

    def arm() -> float:
        if lost := lost_by_reason(flight):
            raise RuntimeError(f"what was measured was not recorded: {lost}")
        with ExitStack() as scope:
            if around is not None:
                scope.enter_context(around(flight))
            return per_call_s(call, rows)

    return arm


def _staged(flight: Flight) -> Callable[[Any], Any]:
    def predict(features: Any) -> Any:  # noqa: ARG001 - answers the same to everything
        with flight.stage("predict"):
            return ANSWER

    return predict


def _batches(rounds: int) -> Iterator[Figure]:
    """Yield the caller's time for a batch, over one memcpy of it."""
    batch = matrix(BATCH_ROWS)
    answers = np.repeat(ANSWER, BATCH_ROWS, axis=0)
    copied = np.empty_like(batch)
    for arm, ring_bytes, kept in (("batch-caller", 4 << 20, "2nd row"), ("batch-caller-whole", 16 << 20, "row")):
        with still_flight(ring_bytes=ring_bytes) as flight:
            predict = flight.observe("delays", reference=reference())(lambda _features: answers)
            drain = flight.pipeline().take_turn
            arms: dict[str, Callable[[], float]] = {
                "memcpy": lambda: _once_s(lambda: np.copyto(copied, batch)),
                arm: functools.partial(_once_s, functools.partial(predict, batch), before=drain),
            }
            samples = interleave(arms, rounds, laps=9)
        ratios = [observed / copy for observed, copy in zip(samples[arm], samples["memcpy"], strict=True)]
        what = f"caller, batch of {BATCH_ROWS} x {FEATURES}, ring of {ring_bytes >> 20} MiB: keeps every {kept}"
        raw = {f"{name}_s": sample for name, sample in samples.items()}
        yield Figure(arm, what, ratios, unit="x memcpy", absolute=microseconds(samples[arm]), raw=raw)


def _once_s(action: Callable[[], Any], *, before: Callable[[], Any] = lambda: None) -> float:
    before()
    began_ns = time.thread_time_ns()
    action()
    return (time.thread_time_ns() - began_ns) / 1e9
