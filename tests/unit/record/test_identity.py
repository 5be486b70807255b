from __future__ import annotations

import re
import sys
import threading
from contextlib import suppress
from itertools import chain

import numpy as np

from radiosonde import current
from radiosonde.model import losses
from radiosonde.testing import fly


def test_prediction_ids_are_unique_time_ordered_hex():
    """32 hex digits, ascending within a thread, unique over models."""
    with fly() as rs:
        first = rs.observe("a")(lambda features: current().id)
        second = rs.observe("b")(lambda features: current().id)
        ids = [function([1.0]) for _ in range(500) for function in (first, second)]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == 1000
    assert [one[:16] for one in ids] == sorted(one[:16] for one in ids)


def hammer(function, threads, calls):
    """Call *function* from several threads at once, switching as often as the interpreter can."""
    results: list[list[object]] = [[] for _ in range(threads)]
    errors = []
    start = threading.Barrier(threads)

    def work(mine):
        start.wait()
        try:
            for number in range(calls):
                mine.append(function(number))
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work, args=(mine,)) for mine in results]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(before)
    assert errors == []
    return results


def test_four_threads_lose_nothing_and_mix_nothing_up():
    """4 x 2000 predictions, batches and errors at once: exact totals, unique ids, every row whole."""
    with fly(max_series=10, cohorts={"thread": ["*"]}) as rs:

        @rs.observe("m", features=["a", "b", "c"])
        def predict(features):
            if len(features) == 1 and features[0][0] % 10 == 9:
                raise ValueError("every tenth")
            return np.full((len(features), 2), 0.5)

        def call(number):
            with rs.cohort(thread=number % 3):
                rows = 4 if number % 10 == 5 else 1
                with suppress(ValueError):
                    predict(np.full((rows, 3), float(number)))
                return current().id

        ids = list(chain.from_iterable(hammer(call, 4, 2000)))
        assert len(set(ids)) == 8000
        rs.flush()
        windows, statistics = rs.windows(), rs.statistics()
        assert statistics.records + statistics.losses.get(losses.RING_OVERWRITTEN, 0) == 8000
        assert rs.losses() == {}
        assert sum(window.calls for window in windows) == 8000
        assert sum(sum(window.errors.values()) for window in windows) == 800
        assert sum(window.rows for window in windows) == 800 * 4 + 6400
        assert sum(int(window.output.class_counts.sum()) for window in windows) == 800 * 4 + 6400
        # Rows are recorded before the function runs, so those of the 800 failed calls count too.
        cells = sum(window.features.cells for window in windows if window.features)
        assert cells.sum(axis=1).tolist() == [800 * 4 + 6400 + 800] * 3
        assert (cells == cells[0]).all(), "the three features of a row are equal, so their cells must be"


def test_four_threads_on_a_tiny_ring_account_for_every_record():
    """However often four threads go around a ring of 256 slots, all they recorded comes out."""
    with fly(ring_bytes=65_536) as rs:
        predict = rs.observe("m")(lambda features: 1)
        hammer(lambda number: predict([1.0, 2.0]), 4, 5000)
        rs.flush()
        statistics = rs.statistics()
        assert (statistics.records, rs.losses()) == (20_000, {})
        assert sum(window.calls for window in rs.windows()) == statistics.records


def test_threads_that_learn_at_once_agree():
    """Many threads making the first call of a model at once open one writer and one set of columns."""
    for _ in range(20):
        with fly() as rs:
            predict = rs.observe("m")(lambda features: [0.1, 0.2, 0.7])
            hammer(lambda number, predict=predict: predict([1.0]), 4, 3)
            (window,) = rs.windows()
            assert dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)) == {
                "0": 0,
                "1": 0,
                "2": 12,
            }
            assert rs.losses() == {}
