"""For any input, output and name of an observed model: the caller is unaffected, and everything is counted.

A case is a model with its calls: names, options, inputs, answers, errors, ids, phases, cohorts and labels drawn from the worst
there is (`tests.stress._hostile`). Asked of each case:

* the caller gets the very object that the function returned, or the very exception that it raised;
* every call is counted, and our own code met no exception that it had not foreseen.

Asked of each round of cases, which share one Radiosonde: each row is counted with its answer or in a named loss, each error is
counted, the page of metrics parses, the store adds up to the calls made, and nothing is left after the shutdown: no object of ours,
no descriptor and no entry of what our modules keep is left again and again, and no more types of the application than there is room for.
Resident memory, which holds the heaps of every library here, grows within a bound.

``make fuzz`` runs 20 000 cases; here it is `CASES`, or what the variable ``FUZZ_CASES`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import re
import sqlite3
import statistics
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning
from prometheus_client.parser import text_string_to_metric_families

from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.testing import fly
from tests.stress import _hostile as hostile
from tests.stress._hostile import made
from tests.stress._residue import MOST_TYPES, Growth, residue

CASES = int(os.environ.get("FUZZ_CASES", "300"))
SHARDS = int(os.environ.get("FUZZ_SHARDS", "1"))
FIRST_SEED = int(os.environ.get("FUZZ_SEED", "0"))

ROUND = max(1, min(300, CASES // (4 * SHARDS)))
"""Cases that share one Radiosonde: its end, its store and the reading of its page take as long as some fifty cases. Every second
round is a calm one. Four rounds show whether something grows."""

FLUSH_S = 300.0
"""What the store of one round may take; no expectation."""

MOST_GROWTH_BYTES = 32 << 20
"""What resident memory may grow by from the second quarter of the rounds to the last one, by their medians: the heap's fragments. It grows in
the first quarter, where libraries and hypothesis fill their caches; a leak of 2 MiB a round would be 34 MiB in 20 000 cases."""

ROUNDS_TO_COMPARE = 8
"""Fewer rounds are over before the heap has its size."""

_TEXT = r'"(?:[^"\\\n]|\\["\\n])*"'
EXPOSED = re.compile(
    rf"# (?:HELP|TYPE) .+|[a-zA-Z_:][\w:]*(?:\{{[a-zA-Z_]\w*={_TEXT}(?:,[a-zA-Z_]\w*={_TEXT})*\}})? (?:[-+]?\d[-+.\de]*|[-+]?Inf|NaN)",
    re.ASCII,
)
"""A line of Prometheus's text format. Its own parser takes a quarter of the whole time for tens of thousands of samples."""

MOST_PARSED = 1000
"""Lines of a page that Prometheus's own parser gets, too."""

STYLES = ("function", "method", "callable", "coroutine", "generator", "async generator")


class Call(NamedTuple):
    """One call of an observed function."""

    value: Any
    is_keyword: bool
    answer: Any
    error: str
    around: Any
    acts: list[tuple[str, Any]]


class Case(NamedTuple):
    """One observed function and its calls."""

    style: str
    name: Any
    options: dict[str, Any]
    calls: list[Call]


# What can happen -------------------------------------------------------------------------------------------------------


def _odd_error() -> BaseException:
    kind = type("Odd", (Exception,), {"__qualname__": "O\u202edd", "__module__": "m\x00"})
    return kind("\ud800")


ERRORS = {
    "ValueError": lambda: ValueError("\ud800"),
    "GrudgeError": hostile.GrudgeError,
    "odd": _odd_error,
    "group": lambda: ExceptionGroup("g", [ValueError(), hostile.GrudgeError()]),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "MemoryError": MemoryError,
}

acts = st.tuples(
    st.sampled_from(("stage", "features", "alias", "label", "label as", "labels", "record", "nested", "receipt")),
    hostile.values,
)
inputs = hostile.values_or_huge
calls = st.builds(
    Call,
    value=inputs,
    is_keyword=st.booleans(),
    answer=hostile.answers,
    error=st.sampled_from(("", "", "", *ERRORS)),
    around=st.one_of(st.just(()), st.just(()), hostile.names.map(lambda name: (name,))),
    acts=st.one_of(st.just([]), st.just([]), st.lists(acts, max_size=2)),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "version": hostile.names,
        "variant": hostile.names,
        "task": st.sampled_from(("classification", "regression", None)),
        "classes": st.one_of(st.none(), st.lists(hostile.names, max_size=3), st.just(["no", "yes"])),
        "features": st.one_of(st.none(), st.lists(hostile.names, max_size=3)),
        "id": hostile.values,
        "input": hostile.values,
        "output": hostile.answers,
    },
)
cases = st.builds(
    Case,
    style=st.sampled_from(STYLES),
    name=st.one_of(hostile.names, st.sampled_from(("model", "a", "b"))),
    options=st.one_of(st.just({}), st.just({}), options),
    calls=st.lists(calls, min_size=1, max_size=4),
)


class Tried:
    """A function that does what its call says, counts how often it ran, and is observed in one of several styles."""

    def __init__(self, rs: Any, case: Case) -> None:
        self.rs, self.case = rs, case
        self.count = self.failures = 0
        self.call = case.calls[0]
        self.outcome: Any = None
        self.observed = self._observed()

    def body(self) -> Any:
        """Run the body, and return or raise the outcome."""
        self.count += 1
        for act, value in self.call.acts:
            with contextlib.suppress(ConfigurationError, StoreError):
                ACTS[act](self, made(value))
        if self.call.error:
            self.failures += 1
            raise self.outcome
        return self.outcome

    def _observed(self) -> Any:
        body = self.body

        def function(features: Any = None) -> Any:
            return body()

        async def coroutine(features: Any = None) -> Any:
            return body()

        def generator(features: Any = None) -> Any:
            yield body()

        async def async_generator(features: Any = None) -> Any:
            yield body()

        class Model:
            def predict(self, features: Any = None) -> Any:
                return body()

            def __call__(self, features: Any = None) -> Any:
                return body()

        plain = {
            "function": function, "method": Model().predict, "callable": Model(), "coroutine": coroutine,
            "generator": generator, "async generator": async_generator,
        }[self.case.style]  # fmt: skip
        name = made(self.case.name)
        try:
            return self.rs.observe("callable" if callable(name) else name, **self._options())(plain)
        except ConfigurationError:  # nothing names a model: an empty name, a callable without one
            return self.rs.observe("refused")(plain)

    def _options(self) -> dict[str, Any]:
        given = dict(self.case.options)
        for name in ("id", "input", "output"):
            if name in given:
                given[name] = _answering(given[name])
        for name in ("version", "variant"):
            if name in given and callable(made(given[name])):
                given[name] = "callable"
        return {name: value if callable(value) else made(value) for name, value in given.items()}

    def make_calls(self) -> None:
        """Make the calls, and check that the caller gets what the function returned or raised."""
        for call in self.case.calls:
            self.call = call
            self.outcome = ERRORS[self.call.error]() if self.call.error else made(self.call.answer)
            value = made(self.call.value)
            arguments: Any = ((), {"features": value}) if self.call.is_keyword else ((value,), {})
            around = made(self.call.around)
            with self.rs.cohort(open=around[0], hashed=around[0]) if around else contextlib.nullcontext():
                try:
                    got = _driven(self.case.style, self.observed(*arguments[0], **arguments[1]))
                except BaseException as error:
                    if error is not self.outcome:
                        raise
                    continue
            if type(self.outcome).__name__ == "generator":
                assert list(got) == [0.0, 1.0, 2.0], "a generator was changed"
            else:
                assert got is self.outcome, "the caller got another object"
            assert not self.call.error, "the exception was swallowed"


def _answering(recipe: Any) -> Any:
    return lambda *_, **__: made(recipe)


def _driven(style: str, result: Any) -> Any:
    """Return the final result of a call of a style, without an event loop."""
    if style == "generator":
        (item,) = result
        return item
    if style in ("coroutine", "async generator"):
        step = result if style == "coroutine" else anext(result)
        try:
            step.__await__().send(None)
        except StopIteration as stop:
            answer = stop.value
        if style == "async generator":
            with contextlib.suppress(StopAsyncIteration, StopIteration):
                anext(result).__await__().send(None)
        return answer
    return result


def _stage(tried: Tried, value: Any) -> None:
    with tried.rs.stage(value):
        pass


def _record(tried: Tried, value: Any) -> None:
    # A class is an exception's type to us only if it is one.
    tried.rs.record(value, 0.1, phases={"p": 0.05}, error=value)
    tried.count += 1
    tried.failures += value is not None


def _nested(tried: Tried, value: Any) -> None:
    inner = tried.rs.observe("inner", variant="nested")(lambda features: features)
    tried.count += 1
    answer = inner(value)
    if type(value).__name__ == "generator":  # the only answer that is wrapped: its end is the end of the call
        assert list(answer) == [0.0, 1.0, 2.0], "a generator was changed"
    else:
        assert answer is value, "the caller of a nested function got another object"


ACTS = {
    "stage": _stage,
    "features": lambda tried, value: tried.rs.current().features(value),
    "alias": lambda tried, value: tried.rs.current().alias(value),
    "label": lambda tried, value: tried.rs.label(tried.rs.current().id, value),
    "label as": lambda tried, value: tried.rs.label(value, "yes"),
    "labels": lambda tried, value: tried.rs.label([tried.rs.current().id, "x"], value),
    "record": _record,
    "nested": _nested,
    "receipt": lambda tried, _: tried.rs.current().receipt(),
}


# What must hold --------------------------------------------------------------------------------------------------------


class Flown:
    """One Radiosonde and its calls."""

    def __init__(self, rs: Any) -> None:
        self.rs = rs
        self.count = self.failures = 0

    def survive(self, case: Case) -> None:
        """Make the calls of a case, and check what can be checked of one."""
        guarded = dict(self.rs.statistics().guarded)
        tried = Tried(self.rs, case)
        try:
            tried.make_calls()
        except BaseException:  # its calls are of no other case
            self.rs.pipeline().take_turn()
            self.count = self.rs.statistics().records
            raise
        self.count += tried.count
        self.failures += tried.failures
        del tried
        assert self.rs.pipeline().take_turn()
        found = self.rs.statistics()
        made_calls, self.count = self.count, found.records  # once wrong, not wrong for ever after
        assert dict(found.guarded) == guarded, "our own code failed"
        assert found.records == made_calls, "a call was not counted"

    def settle(self, *, is_calm: bool) -> None:
        """Check what all cases together must add up to."""
        windows = [window for window in self.rs.windows() if window.runtime is None]
        lost = self.rs.losses()
        assert sum(window.calls for window in windows) == self.count
        assert sum(sum(window.errors.values()) for window in windows) == self.failures
        if is_calm:
            outputs = [window.output for window in windows]
            answered = sum(int(each.class_counts.sum()) + int(each.value_counts.sum()) for each in outputs)
            unreadable = sum(each.unreadable for each in outputs)
            assert sum(window.rows for window in windows) == answered + unreadable, "an answer is in no count"
            assert unreadable == lost.get("output_unreadable", 0), "an answer was lost without a name"
        page = PrometheusCollector(lambda: self.rs.pipeline().snapshot()).render().decode()
        lines = page.split("\n")
        assert lines.pop() == ""
        assert [line for line in lines if not EXPOSED.fullmatch(line)] == []
        some = lines[:: 1 + len(lines) // MOST_PARSED]
        samples = [line for line in some if not line.startswith("#")]
        parsed = text_string_to_metric_families("\n".join(samples) + "\n")
        assert sum(len(family.samples) for family in parsed) == len(samples) > 0


def is_none_or_huge(described: str) -> bool:
    """Return whether an answer is a column of nulls, or huge."""
    return "('null',)" in described or "'huge'" in described


def _calmed(case: Case) -> Case:
    """Return the case without errors and answers that are none, whose rows are in no count of answers, and without huge ones.

    A hundred thousand objects are sampled and weighted.
    """
    calls = [
        call._replace(
            error="",
            acts=[],  # a nested call may answer nothing
            answer="yes" if call.answer is None or is_none_or_huge(repr(call.answer)) else call.answer,
        )
        for call in case.calls
    ]
    return case._replace(calls=calls, style="function", options={})


def _fly(cases_of: Any, folder: Path, *, is_calm: bool) -> None:
    """Fly cases under one Radiosonde, and check the whole."""
    for path in folder.iterdir():  # of the round before
        path.unlink()
    store = folder / "store.sqlite"
    with fly(reraise=False, store=store, cohorts={"open": ["*"]}, ring_bytes=1 << 20) as rs:
        flown = Flown(rs)
        cases_of(flown)
        flown.settle(is_calm=is_calm)
        assert rs.flush(
            FLUSH_S
        )  # an exit has five seconds, which a machine under load may not have for a store of hundreds of series
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT sum(calls) FROM windows").fetchone() == (flown.count,)


def _round(number: int, count: int, folder: Path) -> None:
    """Fly one round; where only the whole is wrong, find the case to blame."""
    is_calm = bool(number % 2)
    flown_cases: list[Case] = []

    def all_cases(flown: Flown) -> None:
        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(cases)
        def survive(case: Case) -> None:
            case = _calmed(case) if is_calm else case
            flown_cases.append(case)
            flown.survive(case)

        survive()

    try:
        _fly(all_cases, folder, is_calm=is_calm)
    except AssertionError:
        for case in flown_cases:
            try:
                _fly(lambda flown, case=case: flown.survive(case), folder, is_calm=is_calm)
            except AssertionError as error:
                raise AssertionError(f"round {number}: {case}") from error
        raise


@contextlib.contextmanager
def _no_room_for_a_callback() -> Iterator[None]:
    """Let the collector's callbacks (ours, hypothesis's) fail where not even one frame fits on the stack; nothing else may fail so.

    Some inputs fill the stack, and a collection may begin at its very top. pytest's own hook would not fit there either.
    """
    hook = sys.unraisablehook

    def sift(unraisable: Any) -> None:
        try:
            if unraisable.exc_type is not RecursionError or unraisable.object not in gc.callbacks:
                hook(unraisable)
        except RecursionError:
            return

    sys.unraisablehook = sift
    try:
        yield
    finally:
        sys.unraisablehook = hook


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(1800 if "FUZZ_CASES" in os.environ else 600)
def test_hostile_inputs_harm_nobody(shard, tmp_path):
    """Results and exceptions are untouched, calls, errors and rows are counted, and memory is bounded."""
    rounds = range(FIRST_SEED + shard, FIRST_SEED + max(SHARDS, CASES // ROUND), SHARDS)
    growth = Growth()
    resident: list[int] = []
    for number in rounds:
        with warnings.catch_warnings(), _no_room_for_a_callback():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", HypothesisWarning)  # its own remark on the length of strategies
            # In a context of its own, which ends with it: a context remembers its last prediction.
            contextvars.Context().run(_round, number, ROUND, tmp_path)
        left = residue()
        growth.add(left)
        assert growth.growing() == {}, f"something is left after each round until {number}"
        assert left.types <= MOST_TYPES
        resident.append(left.resident_bytes)
    quarter = len(resident) // 4
    if len(resident) >= ROUNDS_TO_COMPARE:
        grown = statistics.median(resident[-quarter:]) - statistics.median(resident[quarter : 2 * quarter])
        assert grown <= MOST_GROWTH_BYTES, [size >> 20 for size in resident]
