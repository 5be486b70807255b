"""A fast loop with a starved consumer: without labels nothing is lost, and every later label is joined or counted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import radiosonde
from radiosonde.testing import fly
from tests.slow import mostly_slow

CALLS = 60_000

INPUTS = {
    "an array": np.random.default_rng(0).random((1, 30)),
    "a dict": {f"f{number}": float(number) for number in range(5)},
    "a list": [1.0, 2.0],
    "texts": {"carrier": "UA", "from": "EWR", "tail": "N14228"},
}


def fast_loop(rs, value, answers):
    """Predict in a loop, with the consumer held off; return every hundredth id."""
    turn = itertools.cycle(answers)
    observed = rs.observe("delays")(lambda _: next(turn))
    observed(value)  # learning from the first call takes a turn
    rs.pipeline().take_turn()
    kept = []
    with rs.pipeline()._turn:
        for number in range(CALLS):
            observed(value)
            if number % 100 == 0:
                kept.append(radiosonde.current().id)
    return kept


@pytest.mark.parametrize("labels", ["memory", "store"])
@pytest.mark.parametrize("answers", [["no", "yes"], [0.25, 0.5, 0.75]], ids=["classes", "scores"])
@pytest.mark.parametrize("value", mostly_slow(INPUTS, ["a dict"]))
def test_a_loop_without_labels_loses_nothing(tmp_path, value, answers, labels):
    """After 60 000 calls and a flush all losses are zero, with labels in memory and in a store."""
    settings = {"labels": "memory"} if labels == "memory" else {"store": str(tmp_path / "store.sqlite")}
    with fly(**settings) as rs:
        fast_loop(rs, value, answers)
        assert rs.flush(60)
        assert {name: count for name, count in rs.statistics().losses.items() if count} == {}
        assert rs.statistics().records == CALLS + 1


@pytest.mark.parametrize("value", mostly_slow(INPUTS, ["a dict"]))
def test_labels_after_a_fast_loop_are_joined_or_counted(value):
    """Each label of every hundredth prediction is joined, or waits for one of those that are counted as unjoinable."""
    with fly(labels="memory") as rs:
        kept = fast_loop(rs, value, ["no", "yes"])
        assert rs.flush(60)
        assert rs.losses() == {}
        rs.label(kept, ["yes"] * len(kept))
        assert rs.flush(60)
        unjoinable = rs.losses().get("predictions_unjoinable", 0)
        assert rs.losses().keys() <= {"predictions_unjoinable"}
        joined = rs.statistics().labels["joined"]
        assert 0 < joined <= len(kept)
        assert abs((len(kept) - joined) * 100 - unjoinable) <= 100
