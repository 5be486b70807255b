"""Selection of predictions for a span after they ended, and its attributes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.tail_sampler import TailSampler, low_confidence
from radiosonde._guard import Guard
from radiosonde._ring.layout import DONE, FAILED
from radiosonde.model import SeriesKey
from tests.factories import make_feature, make_reference
from tests.unit.aggregate.blocks import NS, START_NS, Clock, block, stream

WIND = make_reference([make_feature("wind", (40, 60, 0, 0, 0, 0))])  # 0 to 2, nothing missing


@pytest.fixture
def clock(monkeypatch):
    """Return the clock of everything that aggregates."""
    clock = Clock()
    for module in ("allowance", "tail_sampler", "aggregator", "state"):
        monkeypatch.setattr(f"radiosonde._aggregate.{module}.monotonic_ns", clock)
    return clock


@pytest.fixture
def guard():
    """Return a guard that hides nothing."""
    return Guard(reraise=True)


@pytest.fixture
def tail_sampler(clock, guard):
    """Return a tail_sampler of 60 spans a minute whose baseline is due in an hour, for streams without a nonce."""
    tail_sampler = TailSampler(60, guard, seed=1)
    tail_sampler._baseline_due_ns[0] = 3600 * NS
    return tail_sampler


def records(count, durations_ms=None, **fields):
    """Return *count* single-row records of distinct durations (1 ms, 2 ms, ...), with *fields* of their headers."""
    made = block([0.0] * count, [[1.0]] * count)
    made.headers["duration_ns"] = np.array(durations_ms or range(1, count + 1)) * 1_000_000
    for name, value in fields.items():
        made.headers[name] = value
    return made


def fail(made, *places):
    """Make the records at *places* errors of the stream's type."""
    made.headers["mark"][list(places)] += FAILED - DONE
    made.headers["error"][list(places)] = 1
    return made


def reasons(spans):
    """Return the number of spans by their reasons."""
    return dict(Counter(span.reasons for span in spans))


@pytest.mark.parametrize(("classes", "bar"), [(0, 0.55), (2, 0.55), (3, 0.4), (10, 0.19)])
def test_low_confidence_is_a_tenth_of_the_way_from_chance_to_certainty(classes, bar):
    """Fewer than two known classes are two: the others have not been seen yet."""
    assert low_confidence(classes) == pytest.approx(bar)


def test_ordinary_predictions_are_not_kept_at_once(tail_sampler, guard):
    """A block with nothing to see yields nothing, and nothing is counted as lost."""
    made = records(5000, confidence=0.9)
    tail_sampler.keep(stream(WIND), made)
    assert (tail_sampler.take(), guard.losses(), made.headers["span_id"].any()) == ([], {}, False)


def test_every_reason_is_found_and_told(tail_sampler):
    """Errors, low confidence and input out of range are kept, with all their reasons."""
    made = fail(records(6, confidence=[0.9, 0.54, 0.56, np.nan, np.nan, 0.5]), 3, 4)
    made.rows[[0, 4]] = 7.0
    tail_sampler.keep(stream(WIND), made)
    spans = {round((span.end_ns - span.start_ns) / 1e6): span for span in tail_sampler.take()}
    assert {milliseconds: span.reasons for milliseconds, span in spans.items()} == {
        1: ("out_of_range",),
        2: ("low_confidence",),
        4: ("error",),
        5: ("error", "out_of_range"),
        6: ("low_confidence",),
    }
    assert [spans[each].cells for each in (1, 2, 5)] == [">", "0", ">"]


@pytest.mark.parametrize(("value", "found"), [(-1.0, True), (3.0, True), (np.nan, True), (np.inf, True), (1.5, False)])
def test_what_is_out_of_range(tail_sampler, value, found):
    """Below, above, no number, and missing where the reference misses nothing."""
    made = records(1)
    made.rows[0] = value
    tail_sampler.keep(stream(WIND), made)
    assert len(tail_sampler.take()) == found


def test_missing_is_ordinary_where_the_reference_misses_some(tail_sampler):
    """A value may be missing where reference rows miss it, too."""
    made = records(1)
    made.rows[0] = np.nan
    tail_sampler.keep(stream(make_reference([make_feature("wind", (40, 50, 0, 0, 10, 0))])), made)
    assert tail_sampler.take() == []


def test_a_provisional_reference_knows_no_range(tail_sampler):
    """The first thousand rows define no range."""
    made = records(1)
    made.rows[0] = 9.0
    tail_sampler.keep(stream(replace(WIND, provisional=True)), made)
    assert tail_sampler.take() == []


def test_a_span_says_what_the_record_says(tail_sampler):
    """Times, identity, parent, output and phases are the record's; the ids are written into the block."""
    made = fail(records(2, series=1, rows=3, start_ns=START_NS + 5), 1)
    made.headers["class_code"][1], made.headers["confidence"][1] = 1, 0.75
    made.headers["phase_s"][1, 0] = 0.5
    made.indices[1] = (7 << 32) + 9
    parents = np.array([[0, 0, 0], [0xAA, 0xBB, 0xCC]], dtype=np.uint64)
    source = stream(WIND)
    source.nonce = 0xABC
    tail_sampler._baseline_due_ns[0xABC] = NS
    tail_sampler.keep(source, replace(made, parents=parents))
    (span,) = tail_sampler.take()
    assert (span.trace_id, span.parent_span_id) == ((0xAA << 64) + 0xBB, 0xCC)
    assert span.span_id not in (0, 0xCC)
    assert (span.start_ns, span.end_ns) == (START_NS + 5, START_NS + 5 + 2_000_000)
    assert span.key == SeriesKey("delays", "1", "stable", "plan=pro")
    assert span.prediction_id == f"{START_NS + 5:016x}00000abc00000009"
    assert (span.rows, span.error_type, span.class_name, span.confidence) == (3, "ValueError", "yes", 0.75)
    assert span.phases_s == (("fetch", 0.5),)
    names = ("trace_hi", "trace_lo", "span_id")
    assert [[int(made.headers[name][place]) for name in names] for place in (0, 1)] == [
        [0, 0, 0], [0xAA, 0xBB, span.span_id],
    ]  # fmt: skip


def test_without_a_trace_around_it_every_span_begins_its_own(tail_sampler):
    """Two predictions of no trace get two traces and no parent."""
    tail_sampler.keep(stream(), fail(records(2), 0, 1))
    first, second = tail_sampler.take()
    assert first.trace_id != second.trace_id
    assert (first.parent_span_id, second.parent_span_id) == (0, 0)
    assert min(first.trace_id, second.trace_id) > 1 << 64


def test_live_spans_are_left_alone(tail_sampler):
    """A prediction with a live span never gets a second one."""
    made = fail(records(3, confidence=0.1, span_id=5, trace_lo=6), 0, 1, 2)
    tail_sampler.keep(stream(WIND), made)
    tail_sampler.rank(0, SeriesKey("delays"), stream(WIND), made)
    assert (tail_sampler.take(), tail_sampler.release(0, SeriesKey("delays"))) == ([], [])
    assert made.headers["span_id"].tolist() == [5, 5, 5]


def test_what_exceeds_the_bound_is_counted(tail_sampler, guard, clock):
    """Of 100 errors 30 are kept and 70 counted; a minute later 30 more are allowed."""
    tail_sampler.keep(stream(), fail(records(100), *range(100)))
    assert (reasons(tail_sampler.take()), guard.losses()) == ({("error",): 30}, {"spans_bounded": 70})
    clock.pass_s(60)
    tail_sampler.keep(stream(), fail(records(31), *range(31)))
    assert (reasons(tail_sampler.take()), guard.losses()) == ({("error",): 30}, {"spans_bounded": 71})


def test_those_kept_of_a_flood_are_not_the_first(tail_sampler):
    """Which errors of a block are kept is drawn, so that the end of an incident is seen as well."""
    tail_sampler.keep(stream(), fail(records(1000), *range(1000)))
    kept_ms = [(span.end_ns - span.start_ns) / 1e6 for span in tail_sampler.take()]
    assert min(kept_ms) < 300
    assert max(kept_ms) > 700


def test_a_record_kept_for_one_reason_is_no_loss_for_another(tail_sampler, guard):
    """An unsure error is kept once, and where errors have used all there is, by the share of the unsure."""
    made = fail(records(36, confidence=[0.5] * 6 + [0.9] * 30), *range(36))
    tail_sampler.keep(stream(WIND), made)
    spans = tail_sampler.take()
    assert len({span.prediction_id for span in spans} | {span.span_id for span in spans}) >= len(spans)
    assert len(spans) + guard.losses()["spans_bounded"] == 36
    assert len(spans) >= 30


def test_the_slowest_of_a_window_come_when_it_closes(tail_sampler, clock):
    """Three per window and series, over all its blocks, slowest first; their ids are its exemplars."""
    aggregator = Aggregator(60.0, "worker-1", tail_sampler)
    source = stream(WIND)
    for durations in ([1, 50, 3], [70, 2, 60], [40, 30, 5]):
        aggregator.fold(source, records(3, durations))
    aggregator.fold(source, records(1, [9000], series=1))
    assert tail_sampler.take() == []
    windows = {window.key.cohort: window for window in aggregator.close(everything=True)}
    spans = tail_sampler.take()
    assert reasons(spans) == {("slow",): 4}
    by_cohort = [(span.key.cohort, (span.end_ns - span.start_ns) // 1_000_000) for span in spans]
    assert sorted(by_cohort) == [("", 50), ("", 60), ("", 70), ("plan=pro", 9000)]
    exemplars = {(cohort, place): each.span_id for cohort in windows for place, each in
                 windows[cohort].latency.exemplars.items()}  # fmt: skip
    # The bucket up to 0.05 s, the one up to 0.1 s (two spans, one exemplar) and the one up to 10 s.
    assert exemplars.keys() == {("", 8), ("", 9), ("plan=pro", 16)}
    assert set(exemplars.values()) <= {span.span_id for span in spans}


def test_parts_of_one_window_share_its_three_places(tail_sampler, clock):
    """Records after a window was closed have to be slower than those already kept."""
    aggregator = Aggregator(60.0, "worker-1", tail_sampler)
    source = stream()
    kept = []
    for durations in ([10, 20, 30, 40], [15, 19], [25, 35, 50]):
        aggregator.fold(source, records(len(durations), durations))
        aggregator.close(everything=True)
        kept.append(sorted((span.end_ns - span.start_ns) // 1_000_000 for span in tail_sampler.take()))
    assert kept == [[20, 30, 40], [], [35, 50]]


def test_what_was_kept_at_once_takes_no_place_among_the_slowest(tail_sampler, clock):
    """The slowest are those of the rest: an error's duration is on its span anyway."""
    aggregator = Aggregator(60.0, "worker-1", tail_sampler)
    aggregator.fold(stream(), fail(records(6), 5))
    aggregator.close(everything=True)
    found = [((span.end_ns - span.start_ns) // 1_000_000, span.reasons) for span in tail_sampler.take()]
    assert sorted(found) == [(3, ("slow",)), (4, ("slow",)), (5, ("slow",)), (6, ("error",))]


def test_the_baseline_is_one_record_at_a_time_evenly_over_time(clock, guard):
    """Twelve a minute at most, one of a block, about five seconds apart, drawn from all of the block."""
    tail_sampler = TailSampler(60, guard, seed=3)
    kept = []
    for _ in range(600):
        tail_sampler.keep(stream(), records(100))
        spans = tail_sampler.take()
        assert len(spans) <= 1
        kept += spans
        clock.pass_s(1)
    assert reasons(kept) == {("baseline",): len(kept)}
    assert 80 <= len(kept) <= 120
    assert len({span.end_ns - span.start_ns for span in kept}) > 50
    assert guard.losses() == {}


def test_a_bug_in_choosing_costs_no_counts(clock):
    """When choosing fails, the block is counted all the same, and the error is."""
    guard = Guard()
    source = stream()
    source.classes = None
    aggregator = Aggregator(60.0, "worker-1", TailSampler(60, guard))
    aggregator.fold(source, records(3))
    assert sum(state.traffic.calls for state in aggregator._open.values()) == 3
    assert guard.errors()["span_keep"] >= 1
