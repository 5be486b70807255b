"""Rows of thousands of features, and an exit right after them: traffic, errors and latency never wait for the features."""

from __future__ import annotations

from collections import Counter

import pytest

from radiosonde.store.reader import Interval, StoreReader
from tests.stress._scripts import run, stored_calls

WIDE = {
    "an array": "np.random.rand(1, width)",
    "a batch": "np.random.rand(5, width)",
    "a dict": "{f'f{n}': float(n) for n in range(width)}",
    "a list of lists": "[[float(n) for n in range(width)]]",
    "texts": "{f'f{n}': str(n % 3) for n in range(width)}",
}


@pytest.mark.parametrize("width", [600, 3000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("container", WIDE)
def test_calls_of_wide_rows_are_stored_at_an_ordinary_exit(tmp_path, container, width):
    """Two models, 40 calls each, every tenth an error; nothing else is done, and the program ends."""
    store = tmp_path / "store.sqlite"
    ended = run(
        f"""
        width = {width}
        @rs.observe("second", task="regression")
        def second(rows):
            if next(turn) % 10 == 0: raise KeyError("tenth")
            return 0.5
        @rs.observe("first", task="regression")
        def first(rows):
            return 0.5
        import itertools
        turn = itertools.count(1)
        row = {WIDE[container]}
        for _ in range(40):
            first(row)
            try: second(row)
            except KeyError: pass
        """,
        store,
        RADIOSONDE_MAX_FEATURES="10000",
    )
    assert ended.returncode == 0, ended.stderr
    calls: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    latencies: Counter[str] = Counter()
    for _, window in StoreReader(store, sketches=False).parts(Interval()):
        calls[window.key.model] += window.calls
        errors[window.key.model] += sum(window.errors.values())
        latencies[window.key.model] += int(window.latency.counts.sum())
    assert calls == {"first": 40, "second": 40}
    assert (errors["first"], errors["second"]) == (0, 4)
    assert latencies == {"first": 40, "second": 40}


def test_features_that_are_given_up_are_told(tmp_path):
    """Features omitted at the deadline are counted as features_unfinished, and the log says what to do."""
    store = tmp_path / "store.sqlite"
    ended = run(
        """
        from radiosonde._pipeline import pipeline
        pipeline.EXIT_TIMEOUT_S = 2.0
        row = np.random.rand(1, 10_000)
        @rs.observe("wide", task="regression")
        def wide(rows):
            return 0.5
        for _ in range(40): wide(row)
        import radiosonde._pipeline.own_rings as own_rings
        close = own_rings.OwnRings._close
        def late(self, *, everything, is_end, until_ns):
            return close(self, everything=everything, is_end=is_end, until_ns=0 if is_end else until_ns)
        own_rings.OwnRings._close = late
        assert rs.shutdown()
        assert rs.statistics().losses["features_unfinished"] == 40, rs.statistics().losses
        """,
        store,
        RADIOSONDE_MAX_FEATURES="10000",
    )
    assert ended.returncode == 0, ended.stderr
    assert "The features of 40 rows of wide could not be counted before the exit deadline" in ended.stderr
    assert list(stored_calls(store).values()) == [40]
