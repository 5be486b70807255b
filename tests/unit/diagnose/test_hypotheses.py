"""Possible causes are weighed: the right one is likely, the others are ruled out by a fact that is named, or said to be unknown."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import check
from radiosonde.diagnose.hypotheses import CAUSES
from radiosonde.diagnose.registry import all_checks
from radiosonde.diagnose.status import Freshness
from tests.factories import make_durations, make_runtime_window

MINUTES, START = 240, 210


def served(seed=1, *, versions=2, scale=None):
    """Return four hours of versions in two regions; *scale* multiplies the calls of the last half hour."""
    rng = np.random.default_rng(seed)
    keys = series(versions, region=2)
    made = calls(rng, MINUTES, keys, 400.0, swing=0.0)
    if scale is not None:
        made[:, START:] = np.round(made[:, START:] * scale)
    return rng, Traffic(keys, made, failing(rng, made, 0.002))


def lived(minutes=MINUTES, *, pauses=None):
    """Return windows of the processes; *pauses* of the garbage collector in the last half hour."""
    return [
        make_runtime_window(
            START_NS + minute * MINUTE_NS, START_NS + (minute + 1) * MINUTE_NS, process="p1",
            **({"gc_pauses": make_durations([pauses] * 20)} if pauses and minute >= START else {}),
        )
        for minute in range(minutes)
    ]  # fmt: skip


def causes(windows, **options):
    """Return the hypothesis of each cause."""
    return {each.cause: each for each in check(windows, {}, **options).hypotheses}


def test_a_version_that_fails_for_a_cohort_is_the_version():
    """What other versions do in the same cohort and time rules out backend, host and traffic."""
    rng, traffic = served()
    found = causes(timed(rng, plant(rng, traffic, 0.3, START, version="v2", cohort="region=r1"), steady(rng, MINUTES)))
    assert found["version"].state == "likely"
    for cause in ("backend", "host", "traffic"):
        assert found[cause].state == "ruled out"
        assert any("the other versions" in fact.text for fact in found[cause].speaks_against)
    assert found["labels"].state == "not checked"
    assert found["labels"].because


def test_failures_of_all_versions_alike_are_no_version():
    """A backend is likely; that all versions are affected is evidence against one of them."""
    rng, traffic = served(2)
    found = causes(timed(rng, plant(rng, traffic, 0.2, START), steady(rng, MINUTES)))
    assert found["backend"].state == "likely"
    assert found["version"].state == "ruled out"
    assert any("versions alike" in fact.text for fact in found["version"].speaks_against)


def test_a_region_that_fails_in_all_versions_is_what_its_requests_share():
    """The data of the cohort, not a version."""
    rng, traffic = served(3)
    found = causes(timed(rng, plant(rng, traffic, 0.3, START, cohort="region=r0"), steady(rng, MINUTES)))
    assert found["data"].state == "likely"
    assert found["version"].state == "ruled out"


@pytest.mark.parametrize("phase", ["score", "predict", "gpu_infra"])
def test_the_name_of_a_phase_decides_nothing(phase):
    """The same slow calls in phases of different names give the same states and scores."""
    rng, traffic = served(4)
    made = timed(rng, traffic, slow(steady(rng, MINUTES), 0.2, 10, START))
    renamed = [replace(each, latency=replace(each.latency, phases=(phase,))) for each in made]
    wanted, found = causes(made), causes(renamed)
    assert {cause: (each.state, each.score) for cause, each in found.items()} == {
        cause: (each.state, each.score) for cause, each in wanted.items()
    }
    assert found["backend"].state == "likely"


def test_pauses_of_the_garbage_collector_are_the_host():
    """They explain the slow calls that came with them."""
    rng, traffic = served(5)
    made = timed(rng, traffic, slow(steady(rng, MINUTES), 0.2, 100, START))
    found = causes([*made, *lived(pauses=2.0)])
    assert found["host"].state == "likely"
    assert causes([*timed(rng, traffic, steady(rng, MINUTES)), *lived()])["host"].state == "ruled out"


@pytest.mark.parametrize("scale", [0.3, 0.0])
def test_calls_that_do_not_come_are_traffic(scale):
    """A third of the calls, or none, beside processes that live."""
    rng, traffic = served(6, scale=scale)
    found = causes([*timed(rng, traffic, steady(rng, MINUTES)), *lived()])
    assert found["traffic"].state == "likely"


def test_nothing_is_likely_where_nothing_is_wrong_and_every_cause_has_its_fact():
    """Each is ruled out by a check that would have shown it, with its floor, or unknown for a reason."""
    rng, traffic = served(7)
    found = causes([*timed(rng, traffic, steady(rng, MINUTES)), *lived()], freshness=Freshness(0, 0))
    assert set(found) == set(CAUSES)
    assert {each.state for each in found.values()} <= {"ruled out", "not checked"}
    assert all(each.speaks_against or each.because for each in found.values())
    assert any("would have reported" in fact.text for fact in found["version"].speaks_against)
    assert {cause for cause, each in found.items() if each.state == "ruled out"} >= {"traffic", "backend", "host", "version", "telemetry"}  # fmt: skip


def test_one_version_alone_is_neither_accused_nor_cleared():
    """With one version nothing separates it from what it depends on: it is not ruled out by peers it has not."""
    rng, traffic = served(8, versions=1)
    found = causes(timed(rng, plant(rng, traffic, 0.3, START), steady(rng, MINUTES)))
    assert found["backend"].state == "likely"
    assert not any("other versions" in fact.text for fact in found["version"].speaks_against)


def test_causes_are_plain_json_sorted_by_how_likely_they_are():
    """The document holds each cause with its facts; likely before possible, ruled out, not checked."""
    rng, traffic = served(9)
    diagnosis = check(timed(rng, plant(rng, traffic, 0.3, START, version="v2"), steady(rng, MINUTES)), {})
    listed = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))["hypotheses"]
    order = ["likely", "possible", "ruled out", "not checked"]
    states = [order.index(each["state"]) for each in listed]
    assert states == sorted(states)
    assert listed[0]["cause"] == "version"
    assert listed[0]["speaks_for"][0]["weight"] > 0


def test_every_check_speaks_for_causes_that_there_are():
    """A check declares the causes that it would have detected."""
    assert {cause for each in all_checks() for cause in each.about} <= set(CAUSES)
    assert {cause for each in all_checks() for cause in each.about} >= set(CAUSES) - {"telemetry"}
