"""Many threads, a full ring, scrapes at the same time: every call is recorded or counted as lost."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from radiosonde.testing import fly

ROW = np.zeros((1, 3))
RING_BYTES = 65_536


def in_threads(count, work):
    """Run *work* in threads that begin at once, and end them."""
    gate = threading.Barrier(count)

    def begin(place):
        gate.wait(30)
        work(place)

    threads = [threading.Thread(target=begin, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture
def quick_switches():
    """Make threads take turns every 50 us."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def test_all_that_eight_threads_record_is_counted(quick_switches):
    """Eight threads of 20 000 predictions: every one is in the windows; features are sampled and weighted.

    More than the join store keeps (`radiosonde._join.memory.CAPACITY`), which is not a loss without labels.
    """
    with fly() as rs:
        predict = rs.observe("delays")(lambda _: "yes")

        def work(_):
            for _ in range(20_000):
                predict(ROW)

        in_threads(8, work)
        windows = rs.windows()
        assert rs.losses() == {}
        assert sum(window.calls for window in windows) == rs.statistics().records == 160_000
        assert sum(int(window.output.class_counts.sum()) for window in windows) == 160_000
        features = [window.features for window in windows if window.features]
        looked_at, stood_for = (
            sum(part.counted_rows for part in features),
            sum(int(part.cells[0].sum()) for part in features),
        )
        assert 0 < looked_at <= stood_for <= 160_000


def test_a_full_ring_loses_features_only():
    """While the consumer is held the ring keeps the newest records whole and counts the others."""
    with fly(ring_bytes=RING_BYTES) as rs:
        predict = rs.observe("delays")(lambda _: "yes")
        predict(ROW)
        rs.pipeline().take_turn()
        capacity = rs.pipeline()._ring_consumers[0].writer.ring.capacity
        with rs.pipeline()._turn:
            for _ in range(capacity + 1234):
                predict(ROW)
        assert sum(window.calls for window in rs.windows()) == 1 + capacity + 1234
        assert rs.losses() == {}


def test_scrapes_during_folds_are_monotone_and_end_exact(quick_switches):
    """Cumulative counts never decrease, for any reader and any number of windows closed in between."""
    with fly(window_s=1, cohorts={"plan": ["*"]}) as rs:
        predict = rs.observe("delays")(lambda _: "yes")
        stop, seen = threading.Event(), []

        def ask():
            while not stop.is_set():
                windows = rs.windows()
                seen.append((sum(w.calls for w in windows), sum(int(w.latency.counts.sum()) for w in windows)))

        asking = threading.Thread(target=ask)
        asking.start()

        def work(place):
            for count in range(4000):
                with rs.at(1_000_000 + count // 200), rs.cohort(plan=f"p{place % 2}"):
                    predict(ROW)

        in_threads(4, work)
        stop.set()
        asking.join(100)
        assert sum(window.calls for window in rs.windows()) == 16_000
        calls = [count for count, _ in seen]
        assert calls == sorted(calls)
        assert all(count == by_bucket for count, by_bucket in seen)


def test_threads_that_label_each_others_predictions():
    """Ids travel between threads; every label is joined exactly once."""
    with fly() as rs:
        import radiosonde

        predict = rs.observe("delays")(lambda _: "yes")

        def work(place):
            for _ in range(500):
                predict(ROW)
                rs.label(radiosonde.current().id, "yes" if place else "no")

        in_threads(4, work)
        rs.pipeline().take_turn()
        while rs.pipeline()._label_queue.waiting:
            rs.pipeline().take_turn()
        found = rs.statistics().labels
        assert {name: count for name, count in found.items() if count} == {"joined": 2000}
        totals = {}
        for window in rs.windows():
            for (result, _), count in (window.labels.outcomes if window.labels else {}).items():
                totals[result] = totals.get(result, 0) + count
        assert totals == {"correct": 1500, "incorrect": 500}


def test_two_models_starting_at_once():
    """The first predictions of many functions come at the same moment: every one has its ring, none is lost."""
    with fly() as rs:
        functions = [rs.observe(f"model-{place}")(lambda _: "yes") for place in range(16)]
        in_threads(16, lambda place: [functions[place](ROW) for _ in range(50)])
        windows = rs.windows()
        counts = {}
        for window in windows:
            counts[window.key.model] = counts.get(window.key.model, 0) + window.calls
        assert counts == {f"model-{place}": 50 for place in range(16)}
        assert rs.losses() == {}
