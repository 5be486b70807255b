"""Results of a benchmark, as a table and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from radiosonde.model.percent import percent

QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

CALLS_BEYOND: Final = 10
"""Calls that must lie beyond a quantile before it is stated: with fewer it is the luck of one or two."""


@dataclass(frozen=True)
class MeasuredArm:
    """One way of calling: bare, or observed.

    Attributes:
        calls: calls that were timed.
        caller_us: microseconds per call in its caller, by quantile; None for too few calls.
        mean_us: the mean.
        cpu_us: CPU of all threads of the process, per call, in microseconds; None where it cannot be seen.
        per_s: calls per second, one after the other.
    """

    calls: int
    caller_us: Mapping[str, float | None]
    mean_us: float
    cpu_us: float | None
    per_s: float

    @classmethod
    def of(cls, took_ns: NDArray[np.int64], cpu_ns: float | None, wall_ns: float) -> MeasuredArm:
        """Return the arm of calls that took *took_ns* each, *cpu_ns* and *wall_ns* together."""
        count = len(took_ns)
        us = took_ns / 1000.0
        caller = {
            name: float(np.quantile(us, level)) if count * (1 - level) >= CALLS_BEYOND or level == 0.5 else None
            for name, level in QUANTILES.items()
        }
        return cls(
            count, caller, float(us.mean()), None if cpu_ns is None else cpu_ns / 1000 / count, count / wall_ns * 1e9
        )


@dataclass(frozen=True)
class Results:
    """The results of a measurement.

    Attributes:
        target: the function called.
        bare, observed: the two arms.
        added_us: what observing adds to the median call and to the mean, microseconds: the median over rounds, so that a round
            that something else disturbed does not count.
        added_cpu_us: CPU of all threads that it adds per call.
        noise_us: half of the 95 % interval of *added_us*: a difference smaller than that is not known to be one.
        memory_mib: resident memory that observing adds, beyond its imports; None if unknown.
        made, counted: observed calls, and calls counted in the store.
        losses: losses by reason.
        histogram_us: one ``Histogram.record`` of OpenTelemetry's SDK with three attributes, in the same rounds; None without the SDK.
        rounds: rounds that were measured.
        was_interrupted: whether Ctrl-C ended it early.
    """

    target: str
    bare: MeasuredArm
    observed: MeasuredArm
    added_us: float
    added_cpu_us: float | None
    noise_us: float
    memory_mib: float | None
    made: int
    counted: int | None
    losses: Mapping[str, int] = field(default_factory=dict)
    histogram_us: float | None = None
    rounds: int = 0
    was_interrupted: bool = False

    @property
    def added_ratio(self) -> float:
        """Overhead of observing relative to the median call."""
        median = self.bare.caller_us["p50"] or self.bare.mean_us
        return self.added_us / median if median else 0.0

    def document(self) -> dict[str, Any]:
        """Return it as JSON, with the verdict."""
        return {**asdict(self), "added_ratio": self.added_ratio, "verdict": verdict(self)}


def results_of(document: Mapping[str, Any]) -> Results:
    """Decode the result of `Results.document`."""
    own = {name: value for name, value in document.items() if name in Results.__dataclass_fields__}
    return Results(**{**own, "bare": MeasuredArm(**document["bare"]), "observed": MeasuredArm(**document["observed"])})


def verdict(results: Results) -> str:
    """Return a summary in a sentence or two."""
    median = results.bare.caller_us["p50"] or results.bare.mean_us
    added, noise = results.added_us, results.noise_us
    if abs(added) <= noise:
        cost = f"Observing adds no measurable overhead (noise {_us(noise)}) to a call of {_us(median)}"
    else:
        cost = f"Observing adds {_us(added)} (give or take {_us(noise)}) to a call of {_us(median)} ({percent(results.added_ratio)})"
        if results.histogram_us:
            cost += f", {max(added, 0.0) / results.histogram_us:.2g} times what one Histogram.record costs"
    counted = ""
    if results.counted is not None:
        share = (
            "Every call was counted"
            if results.counted == results.made
            else (f"{results.counted:,} of {results.made:,} calls were counted")
        )
        counted = f" {share}."
    return f"{cost}.{counted}"


def lines(results: Results) -> Sequence[tuple[str, str, str, str]]:
    """Return a table: quantity, bare, observed, and the overhead."""
    bare, observed = results.bare, results.observed
    table = [
        (
            "caller, median",
            _us(bare.caller_us["p50"]),
            _us(observed.caller_us["p50"]),
            f"{_us(results.added_us, sign=True)}",
        )
    ]
    for name in ("p99", "p99.9"):
        before, after = bare.caller_us[name], observed.caller_us[name]
        added = "" if before is None or after is None else _us(after - before, sign=True)
        table.append((f"caller, {name}", _us(before), _us(after), added))
    cpu = "" if results.added_cpu_us is None else _us(results.added_cpu_us, sign=True)
    table.append(("CPU of all threads, a call", _us(bare.cpu_us), _us(observed.cpu_us), cpu))
    ratio = observed.per_s / bare.per_s - 1
    table.append(
        ("throughput, calls a second", f"{bare.per_s:,.0f}", f"{observed.per_s:,.0f}", f"{100 * ratio:+.1f} %")
    )
    if results.memory_mib is not None:
        table.append(("memory", "", "", f"{results.memory_mib:+.1f} MiB"))
    counted = "not known" if results.counted is None else f"{results.counted:,}"
    table.append(("calls made, and counted", "", f"{results.made:,}", counted))
    if results.histogram_us is not None:
        table.append(("one Histogram.record (OpenTelemetry)", "", "", _us(results.histogram_us)))
    return table


def _us(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "too few calls"
    plus = "+" if sign and value >= 0 else ""
    if abs(value) >= 10_000:
        return f"{plus}{value / 1000:,.1f} ms"
    return f"{plus}{value:,.{1 if abs(value) >= 10 else 2}f} us"
