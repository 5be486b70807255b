"""A function that is observed anew records into the ring of the former one, by the same tables of names."""

from __future__ import annotations

import concurrent.futures
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from radiosonde.model import Window
from radiosonde.testing import Flight, fly

ROW = np.zeros((1, 3))


@pytest.fixture(params=[False, True], ids=["memory", "spool"])
def flight(request, tmp_path: Path):
    """Return a Radiosonde of its own, with and without a spool."""
    with fly(spool=str(tmp_path / "spool") if request.param else None) as rs:
        yield rs


def rings(rs: Flight) -> set[int]:
    """Return the nonces of the rings that are there."""
    return {consumer.ring.nonce for consumer in rs.pipeline()._ring_consumers}


def classes(windows: tuple[Window, ...]) -> dict[str, int]:
    """Return the answers by class."""
    counts: Counter[str] = Counter()
    for window in windows:
        counts.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=False)))
    return {name: count for name, count in counts.items() if count}


def test_answers_of_functions_that_share_a_ring_are_counted_by_name(flight: Flight) -> None:
    """Functions with other answers, in any order, add up by the names of their classes."""
    for answers in (["a", "b"], ["b", "c"], ["c", "a", "d"]):
        predict = flight.observe("m")(lambda row, answers=answers: answers[int(row[0, 0])])
        for place in range(len(answers)):
            predict(np.full((1, 3), float(place)))
        del predict
    assert len(rings(flight)) == 1
    assert classes(flight.windows()) == {"a": 2, "b": 2, "c": 2, "d": 1}
    assert flight.losses() == {}


def test_names_of_all_tables_go_on(flight: Flight) -> None:
    """Cohorts, error types, phases and categories have the codes that they had in the former function."""
    for carrier, city, failure in (("UA", "Oslo", KeyError), ("DL", "Rome", OSError), ("UA", "Rome", KeyError)):

        @flight.observe("m")
        def predict(row, failure=failure):
            with flight.stage("look"):
                raise failure(row["city"])

        with flight.cohort(carrier=carrier), pytest.raises(failure):
            predict({"city": city, "x": 1.0})
        del predict
    (consumer,) = flight.pipeline()._ring_consumers
    assert [codes and codes.names for codes in consumer.tables.schema.codes] == [["Oslo", "Rome"], []]
    del consumer
    errors: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for window in flight.windows():
        errors.update(window.errors)
        calls[window.key.cohort] += window.calls
        assert window.latency.phases == ("look",)
    assert errors == {"KeyError": 2, "OSError": 1}
    assert sorted(calls.values()) == [1, 2]


def test_predictions_of_functions_that_share_a_ring_have_ids_of_their_own(flight: Flight) -> None:
    """No id comes twice, and a label meets the prediction of the function that is gone."""
    found = []
    for answer in ("yes", "no", "yes"):
        flight.observe("m")(lambda row, answer=answer: answer)(ROW)
        found.append(flight.current().id)
    assert len(rings(flight)) == 1
    assert len(set(found)) == 3
    for prediction_id in found:
        flight.label(prediction_id, "yes")
    flight.flush(60)
    assert flight.statistics().labels["joined"] == 3


OTHERS = {
    "version": ({"version": "1"}, {"version": "2"}),
    "variant": ({"variant": "stable"}, {"variant": "canary"}),
    "features": ({"features": ["a", "b", "c"]}, {"features": ["a", "b", "d"]}),
    "classes": ({"classes": ["no", "yes"]}, {"classes": ["yes", "no"]}),
    "number of classes": ({"classes": ["no", "yes"]}, {"classes": ["no", "yes", "both"]}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_ring_is_not_shared_with_another_series(flight: Flight, other: str) -> None:
    """A function of another version, variant, features or classes has a ring of its own."""
    for options in OTHERS[other]:
        flight.observe("m", **options)(lambda row: "yes")(ROW)
    assert len(rings(flight)) == 2
    assert sum(classes(flight.windows()).values()) == 2


def test_a_version_that_is_worked_out_is_never_taken_from_another_function() -> None:
    """Functions whose version is a callable count under the version that their own callable returns."""
    with fly() as rs:
        for version in ("1", "2", "1"):
            rs.observe("m", version=lambda version=version: version)(lambda row: "yes")(ROW)
        calls = Counter({window.key.version: window.calls for window in rs.windows()})
        assert calls == {"1": 2, "2": 1}


def test_a_function_that_is_kept_shares_its_ring_with_no_other(flight: Flight) -> None:
    """Two living functions of one model have two rings."""
    kept = [flight.observe("m")(lambda row: "yes") for _ in range(2)]
    for predict in kept:
        predict(ROW)
    assert len(rings(flight)) == 2


def test_a_ring_with_a_prediction_in_flight_is_not_shared(flight: Flight) -> None:
    """A prediction that has not ended keeps its ring; both are counted."""
    future = flight.observe("m")(lambda row: concurrent.futures.Future())(ROW)
    flight.observe("m")(lambda row: "no")(ROW)
    assert len(rings(flight)) == 2
    future.set_result("yes")
    assert classes(flight.windows()) == {"no": 1, "yes": 1}


@pytest.mark.parametrize("comes", ["before the drain", "after the drain", "after the end"])
def test_a_function_that_comes_while_its_ring_ends_is_counted(flight: Flight, comes: str) -> None:
    """A ring is closed only if nobody wrote into it after its last drain began."""
    predict = flight.observe("m")(lambda row: "yes")
    predict(ROW)
    pipeline = flight.pipeline()
    pipeline.take_turn()
    del predict
    (consumer,) = pipeline._ring_consumers
    assert consumer.is_over
    source = pipeline._draining._source
    if comes == "before the drain":
        flight.observe("m")(lambda row: "no")(ROW)
    consumer.drain(pipeline.guard)
    if comes == "after the drain":
        flight.observe("m")(lambda row: "no")(ROW)
    consumer.settle()
    source.ended(consumer)
    assert consumer.is_closed == (comes != "after the drain")
    if comes == "after the end":
        flight.observe("m")(lambda row: "no")(ROW)
    for _ in range(3):
        pipeline.take_turn()
    assert flight.statistics().records == 2
