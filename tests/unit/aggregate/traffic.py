"""Random traffic for a real pipeline, and a second count of it with dictionaries and `bisect`, one value at a time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import radiosonde
import radiosonde._record.current
import radiosonde._record.record_writer
from radiosonde.reference.profile import Reference
from radiosonde.testing import Flight
from tests.factories import make_feature, make_reference
from tests.fingerprint_oracle import row_hash, value_hash
from tests.unit.aggregate.flat import Flat, total

NS = 1_000_000_000
WINDOW_S = 60
START_S = 1_362_096_000
WIND_BOUNDS = (1.0, 2.5, 4.0)
CARRIERS = ("UA", "AA")
KINDS = {"wind": "numeric", "rain": "numeric", "carrier": "categorical"}
EDGES_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
LAG_EDGES_S = (1, 10, 60, 600, 3600, 14400, 43200, 86400, 259200, 604800, 1209600, 2592000, 7776000, 31536000)
LATENCY_BOUNDS_S = [2.0 ** ((i + 1 - 160) / 8) for i in range(240)]
THINNED_ROWS = 2001
"""Rows of 3 features and 2 outputs that fill an arena of 64 KiB one and a quarter times: every third row is kept."""

wind = st.one_of(st.sampled_from([0.0, 1.0, 2.5, 4.0, -0.1, 4.1, -0.0, math.nan, math.inf, -math.inf, None, "gale"]),
                 st.floats(-2, 6, allow_subnormal=False))  # fmt: skip
carrier = st.sampled_from(["UA", "AA", "DL", "B6", None])
row = st.fixed_dictionaries({"wind": wind, "rain": st.sampled_from([0.0, 0.5, 7.0, None]), "carrier": carrier})
confidence = st.sampled_from([0.0, 0.13, 0.25, 0.5, 0.61, 0.99, 1.0])
answer = st.one_of(
    st.sampled_from(["no", "yes", "maybe", None, "unreadable"]), st.tuples(st.sampled_from(["no", "yes"]), confidence)
)
duration_ns = st.one_of(st.sampled_from([0, 1, 1_000_000, 250_000_000, 20 * NS]), st.integers(1, 3 * NS))
context = st.fixed_dictionaries(
    {
        "at_s": st.integers(0, 200),  # four windows, in any order
        "cohort": st.sampled_from(["", "UA", "AA", "XX"]),
        "stages": st.lists(st.tuples(st.sampled_from(["fetch", "score"]), duration_ns), max_size=2),
        "duration_ns": duration_ns,
    }
)
error = st.sampled_from([None, None, None, ValueError, KeyError, ZeroDivisionError])
single = st.tuples(st.just("single"), context, error, row, answer)
batch = st.tuples(
    st.just("batch"), context, error, st.lists(st.tuples(row, confidence), max_size=5).filter(lambda r: len(r) != 1)
)
thinned = st.tuples(st.just("thinned"), context, error, row, confidence)
label = st.tuples(
    st.just("label"),
    st.integers(0, 30),
    st.sampled_from(["no", "yes", "maybe", 0, 1, True, np.float64(1.0), None]),
    st.sampled_from([-5, 0, 60, 61, 3600, 3601, 86400, 86401, 604800, 604801, 9_999_999]),
)
turn = st.tuples(st.just("turn"))
scripts = st.lists(st.one_of(single, single, batch, label, turn), max_size=30)
few = st.lists(st.one_of(single, batch, label), max_size=6)
scripts_with_thinned = st.tuples(few, thinned, few).map(lambda parts: [*parts[0], parts[1], *parts[2]])


def reference() -> Reference:
    """Return the profile of three features: two numeric with other numbers of bins, one categorical."""
    return make_reference(
        [
            make_feature("wind", (1, 1, 1, 0, 0, 0, 0), bounds=WIND_BOUNDS),
            make_feature("rain", (1, 0, 0, 0, 0), bounds=(0.0,)),
            make_feature("carrier", (2, 1, 0, 0), categories=CARRIERS),
        ],
        classes=("no", "yes"),
    )


@dataclass
class Clock:
    """The monotonic clock of the recorder; it is set explicitly."""

    now_ns: int = 1_000 * NS

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Oracle:
    """Expected counts by (window start in seconds, cohort), and labels by result."""

    flats: dict[tuple[int, str], Flat] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    labelled: set[str] = field(default_factory=set)

    def at(self, context: dict[str, Any]) -> Flat:
        start_s = START_S + context["at_s"] - (START_S + context["at_s"]) % WINDOW_S
        cohort = {"": "", "XX": "carrier=other"}.get(context["cohort"], f"carrier={context['cohort']}")
        return self.flats.setdefault((start_s, cohort), Counter())

    def call(self, context: dict[str, Any], error: type[Exception] | None, rows: int) -> Flat:
        flat = self.at(context)
        flat["calls",] += 1
        flat["rows",] += 0 if error else rows
        if error:
            flat["error", error.__name__] += 1
        if rows:
            flat["batch", int(math.log2(rows))] += 1
        spent_s = (context["duration_ns"] + sum(spent for _, spent in context["stages"])) / NS
        bucket = min(bisect_left(LATENCY_BOUNDS_S, spent_s), 239)
        flat["latency", bucket] += 1
        flat["latency_s", bucket] += spent_s
        flat["edge", bisect_left(EDGES_S, spent_s)] += 1
        for name, stage_ns in context["stages"]:
            flat["phase_s", name, bucket] += stage_ns / NS
        return flat

    def features(self, flat: Flat, features: dict[str, Any], weight: int = 1, kept: int = 1) -> None:
        """Add one row that counts *weight* times in the cells and *kept* times in the fingerprints."""
        served = {name: self.served(name, features[name]) for name in KINDS}
        for name, value in served.items():  # rows come with their names in any order
            flat["cell", name, self.cell(name, features[name])] += weight
            flat["fingerprint", name] += kept * value_hash(value)
        flat["fingerprint", "rows"] += kept * row_hash(served)
        flat["fingerprinted",] += kept

    def cell(self, name: str, value: Any) -> str:
        if value is None or value != value:  # noqa: PLR0124
            return "null"
        if name == "carrier":
            return f"c{CARRIERS.index(value):02d}" if value in CARRIERS else "unseen"
        if isinstance(value, str) or math.isinf(value):
            return "unseen"
        bounds = WIND_BOUNDS if name == "wind" else (0.0,)
        if value < 0.0:
            return "below"
        return "above" if value > bounds[-1] else f"{bisect_left(bounds, value):02d}"

    @staticmethod
    def served(name: str, value: Any) -> Any:
        """Return what the server keeps of a value: a text is no value of a numeric feature."""
        return math.inf if isinstance(value, str) and name != "carrier" else value

    @staticmethod
    def answer(flat: Flat, name: str, confidence: float | None, weight: int = 1) -> None:
        flat["class", name] += weight
        if confidence is not None:
            place = min(int(confidence * 20), 19)
            flat["confidence", name, place] += weight
            flat["confidence_s", name, place] += weight * confidence

    def label(self, prediction: tuple[str, dict[str, Any], Any], value: Any, lag_s: float) -> None:
        prediction_id, context, answer = prediction
        name = {0: "no", 1: "yes"}.get(value, value)
        if value is None:
            self.results["invalid"] += 1
        elif answer in ("batch", "failed"):
            return  # it is not known yet that no such prediction will come
        elif answer in (None, "unreadable"):
            self.results["unanswered"] += 1
        else:
            self.labelled.add(prediction_id)
            self.results["joined"] += 1
            predicted, sure = answer if isinstance(answer, tuple) else (answer, None)
            flat, lag_s = self.at(context), max(0, lag_s)
            flat["outcome", "correct" if predicted == name else "incorrect",
                 ("1h", "1d", "7d", "inf")[bisect_left((3600, 86400, 604800), lag_s)]] += 1  # fmt: skip
            flat["label", name] += 1
            flat["lag", name, bisect_left(LAG_EDGES_S, lag_s)] += 1
            if sure is not None:
                place = min(int(sure * 20), 19)
                flat["calibration", place] += 1
                flat["correct", place] += predicted == name
                flat["calibration_s", place] += sure

    def by_cohort(self) -> dict[str, Flat]:
        """Return the expectation over all windows."""
        cohorts = {cohort for _, cohort in self.flats}
        return {name: total(flat for (_, cohort), flat in self.flats.items() if cohort == name) for name in cohorts}

    def by_window(self) -> dict[tuple[int, str], Flat]:
        """Return the expectation by window and cohort."""
        return {place: total([flat]) for place, flat in self.flats.items()}


class Driver:
    """Plays a script to observed functions and to the oracle."""

    def __init__(self, flight: Flight, clock: Clock) -> None:
        self.flight, self.clock, self.oracle = flight, clock, Oracle()
        self.predictions: list[tuple[str, dict[str, Any], Any]] = []
        self._context: dict[str, Any] = {}
        self._outcome: Any = None
        self._predict = flight.observe("delays", reference=reference(), output=self._output)(self._spend)

    def _spend(self, features: Any) -> Any:
        for name, spent_ns in self._context["stages"]:
            with self.flight.stage(name):
                self.clock.now_ns += spent_ns
        self.clock.now_ns += self._context["duration_ns"]
        if isinstance(self._outcome, type):
            raise self._outcome
        return self._outcome

    @staticmethod
    def _output(outcome: Any) -> Any:
        return object() if isinstance(outcome, str) and outcome == "unreadable" else outcome

    def _call(self, context: dict[str, Any], features: Any, outcome: Any, error: type[Exception] | None) -> str:
        self._context, self._outcome = context, error or outcome
        with ExitStack() as stack:
            stack.enter_context(self.flight.at(START_S + context["at_s"]))
            if context["cohort"]:
                stack.enter_context(self.flight.cohort(carrier=context["cohort"]))
            if error:
                stack.enter_context(suppress(error))
            self._predict(features)
        return radiosonde.current().id

    def play(self, script: list[Any], *, turns: bool = True) -> None:
        """Play *script*; without *turns* everything waits in the ring."""
        for operation, *arguments in script:
            if operation != "turn" or turns:
                getattr(self, f"_{operation}")(*arguments)

    def _turn(self) -> None:
        assert self.flight.pipeline().take_turn()

    def _single(self, context: Any, error: Any, features: Any, outcome: Any) -> None:
        made = self._call(context, features, outcome, error)
        flat = self.oracle.call(context, error, 1)
        self.oracle.features(flat, features)
        if not error:
            if outcome == "unreadable":
                flat["unreadable",] += 1
            elif outcome is not None:
                self.oracle.answer(flat, *(outcome if isinstance(outcome, tuple) else (outcome, None)))
        self.predictions.append((made, context, "failed" if error else outcome))

    def _batch(self, context: Any, error: Any, rows: Any) -> None:
        sure = np.array([[1 - p, p] for _, p in rows]).reshape(-1, 2)
        made = self._call(context, [features for features, _ in rows], sure, error)
        flat = self.oracle.call(context, error, len(rows))
        for features, p in rows:
            self.oracle.features(flat, features)
            if not error:
                self.oracle.answer(flat, *(("yes", p) if p > 1 - p else ("no", 1 - p)))
        self.predictions.append((made, context, "batch"))

    def _thinned(self, context: Any, error: Any, features: Any, p: float) -> None:
        self._call(context, [features] * THINNED_ROWS, np.tile([1 - p, p], (THINNED_ROWS, 1)), error)
        flat = self.oracle.call(context, error, THINNED_ROWS)
        self.oracle.features(flat, features, weight=THINNED_ROWS, kept=0)
        if not error:
            self.oracle.answer(flat, *(("yes", p) if p > 1 - p else ("no", 1 - p)), weight=THINNED_ROWS)
        self._turn()

    def _label(self, which: int, value: Any, lag_s: int) -> None:
        if self.predictions:
            prediction = self.predictions[which % len(self.predictions)]
            if prediction[0] in self.oracle.labelled:
                return  # duplicates and corrections have an oracle of their own: tests/laws/test_join_laws.py
            self.flight.label(prediction[0], value, time=START_S + prediction[1]["at_s"] + lag_s)
            self.oracle.label(prediction, value, lag_s)
