"""The result of a run equals a diagnosis of everything, at a bounded cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import KnownBad, Policy, check
from radiosonde.model import LATENCY, Exemplar, SeriesKey
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from radiosonde.watch.frugal import frugal_windows
from radiosonde.watch.looking import SETTLES_NS, StoreLooker
from tests.factories import HOUR_NS, make_features, make_reference, make_window

MINUTES = 320
LATER_NS = START_NS + 10**6 * MINUTE_NS


def service(model: str, rate: float, seed: int, minutes: int = MINUTES):
    """Return the windows of a model of which *rate* of the calls of one region fail from minute 300 on."""
    rng = np.random.default_rng(seed)
    keys = series(1, region=2)
    made = calls(rng, minutes, keys, 200.0, swing=0.0)
    traffic = plant(rng, Traffic(keys, made, failing(rng, made, 0.001)), rate, 300, cohort="region=r1")
    return [replace(window, key=window.key._replace(model=model)) for window in traffic.windows()]


def write(path, windows) -> None:
    """Write windows to a store."""
    writer = StoreWriter(path)
    writer.write(windows)
    writer.close()


@pytest.fixture
def store(tmp_path):
    """Return a store of three models, of which one fails."""
    path = tmp_path / "store.sqlite"
    write(path, [*service("a", 0.0, 1), *service("b", 0.3, 2), *service("c", 0.0, 3)])
    return path


def none(stores, source) -> Policy:
    """Return an empty policy."""
    return Policy()


def told(diagnosis) -> dict[str, tuple]:
    """Return the findings of a diagnosis, by id."""
    return {each.id: (each.title, each.state, each.where, each.confidence) for each in diagnosis.incidents}


def looked(looker: StoreLooker) -> dict[str, int]:
    """Return when each model was diagnosed."""
    return {model: answer.looked_ns for model, answer in looker._known.answers.items()}


@pytest.mark.parametrize("share", [None, 0.9, 0.001])
def test_looks_say_what_a_diagnosis_of_everything_says(store, share):
    """Findings, gaps and floors of all models, at any cost; in as many runs as needed."""
    source = open_source(store)
    whole = check(source.windows(), source.references())
    looker = StoreLooker([store], none, share=share)
    look = looker.look(LATER_NS)
    while look.is_partial:
        look = looker.look(LATER_NS)
    assert told(look.diagnosis) == told(whole)
    assert len(told(whole)) == 1
    assert [(each.where.model, each.check, each.floors) for each in look.diagnosis.checked] == [
        (each.where.model, each.check, each.floors) for each in whole.checked
    ]
    assert set(look.diagnosis.not_checked) == set(whole.not_checked)
    assert (look.diagnosis.calls, look.diagnosis.end_ns) == (whole.calls, whole.end_ns)


def test_a_failure_is_seen_at_the_next_window_whatever_diagnoses_may_cost(store):
    """The other models wait; the one that changed does not."""
    looker = StoreLooker([store], none, share=0.001)
    for _ in range(3):
        looker.look(LATER_NS)
    looker._credit_ns = -1e12
    before = looked(looker)
    ill, well = service("c", 0.5, 3, 330), [*service("a", 0.0, 1, 330), *service("b", 0.3, 2, 330)]
    for minute in range(MINUTES, 330):
        start_ns = START_NS + minute * MINUTE_NS
        write(store, [window for window in (*ill, *well) if window.start_ns == start_ns])
        look = looker.look(LATER_NS)
        if any(finding.where.model == "c" for finding in look.diagnosis.findings):
            break
    assert minute - MINUTES + 1 <= 3
    assert {model for model, at in looked(looker).items() if at != before[model]} == {"c"}


@pytest.mark.parametrize(("whole", "factor"), [(False, 40), (True, 3)], ids=["tail", "body"])
def test_slow_calls_are_seen_at_the_next_windows_whatever_diagnoses_may_cost(store, whole, factor):
    """A third of the calls of one region takes forty times as long, or all of them three times: the model is diagnosed, the others wait."""
    looker = StoreLooker([store], none, share=0.001)
    for _ in range(3):
        looker.look(LATER_NS)
    looker._credit_ns = -1e12
    before = looked(looker)
    octaves = round(np.log2(factor) * (1 << LATENCY.scale))

    def slowed(window):
        counts = window.latency.counts
        moved = counts if whole else counts // 3
        counts = counts - moved + np.roll(moved, octaves)
        return replace(window, latency=replace(window.latency, counts=counts, sums_s=counts * LATENCY.upper_bounds_s()))

    ill, well = service("c", 0.0, 3, 330), [*service("a", 0.0, 1, 330), *service("b", 0.3, 2, 330)]
    ill = [slowed(window) if whole or window.key.cohort == "region=r1" else window for window in ill]
    for minute in range(MINUTES, 330):
        start_ns = START_NS + minute * MINUTE_NS
        write(store, [window for window in (*ill, *well) if window.start_ns == start_ns])
        look = looker.look(LATER_NS)
        if any(finding.kind == "latency" for finding in look.diagnosis.findings):
            break
    assert minute - MINUTES + 1 <= 4
    assert {model for model, at in looked(looker).items() if at != before[model]} == {"c"}


def test_what_can_be_afforded_is_looked_at_in_turn(store):
    """With credit the models that grew are diagnosed, the least recently diagnosed first; without it they wait."""
    looker = StoreLooker([store], none, share=0.5)
    for _ in range(3):
        looker.look(LATER_NS)
    write(store, [window for model, seed in (("a", 1), ("c", 3)) for window in service(model, 0.0, seed, 321)[-2:]])
    looker._credit_ns = -1e12
    before = looked(looker)
    looker.look(LATER_NS)
    assert looked(looker) == before
    assert looker.has_grown(LATER_NS) is False
    looker._credit_ns = 1e12
    assert looker.has_grown(LATER_NS) is True
    looker.look(LATER_NS)
    assert {model for model, at in looked(looker).items() if at != before[model]} == {"a", "c"}


def test_windows_that_have_not_ended_are_left_out_until_they_have(store):
    """Half a minute of calls is not a drop."""
    end_ns = START_NS + MINUTES * MINUTE_NS
    looker = StoreLooker([store], none)
    assert looker.look(end_ns).diagnosis.end_ns == end_ns - MINUTE_NS
    assert looker.has_grown(end_ns) is True
    assert looker.look(end_ns + SETTLES_NS).diagnosis.end_ns == end_ns


def test_a_folder_gets_new_stores_and_sealed_hours(tmp_path):
    """A later store is diagnosed, and a sealed one gives the same result."""
    write(tmp_path / "one.sqlite", service("a", 0.0, 1))
    looker = StoreLooker([tmp_path], none)
    assert looker.look(LATER_NS).diagnosis.findings == ()
    assert looker.has_grown(LATER_NS) is False
    write(tmp_path / "two.sqlite", service("b", 0.3, 2))
    assert looker.has_grown(LATER_NS) is True
    before = told(looker.look(LATER_NS).diagnosis)
    assert len(before) == 1
    seal(tmp_path / "two.sqlite", tmp_path / "sealed", everything=True)
    assert looker.has_grown(LATER_NS) is True
    assert told(looker.look(LATER_NS).diagnosis) == before


@pytest.mark.parametrize("most", [1, 30_000, 40_000, 3_000_000_000])
def test_frugal_windows_are_the_windows(tmp_path, most):
    """Each once, over four days in parts, with the same counts in smaller numbers."""
    reference = make_reference()
    windows = []
    for hour in range(0, 96, 5):
        cells = {"wind": [most, 1, 0, 0, 0, 0], "carrier": [most, 0, 0, 1]}
        start_ns = START_NS + hour * HOUR_NS
        window = make_window(SeriesKey("a", "1"), features=make_features(reference, cells))
        windows.append(replace(window, start_ns=start_ns, end_ns=start_ns + 2 * HOUR_NS))
    write(tmp_path / "store.sqlite", windows)
    source = open_source(tmp_path / "store.sqlite")
    for last_ns in (windows[-1].end_ns, START_NS, windows[-1].end_ns + 100 * HOUR_NS):
        found = frugal_windows(source, "a", START_NS, last_ns)
        assert [window.start_ns for window in found] == [window.start_ns for window in windows]
        for window, stored in zip(found, source.windows(), strict=True):
            assert np.array_equal(window.features.cells, stored.features.cells)
            assert window.features.cells.nbytes <= stored.features.cells.nbytes


def test_what_people_declare_is_taken_at_the_next_look(store):
    """A model with an incident is diagnosed again, without credit."""
    declared = [Policy()]
    looker = StoreLooker([store], lambda stores, source: declared[0], share=0.001)
    for _ in range(3):
        looker.look(LATER_NS)
    looker._credit_ns = -1e12
    declared[0] = Policy(known_bad=(KnownBad(START_NS + 300 * MINUTE_NS, START_NS + 319 * MINUTE_NS, "b", "known", 1),))
    assert looker.look(LATER_NS).diagnosis.findings == ()


def test_an_affected_call_is_the_slowest_traced_one_since_the_onset(tmp_path):
    """At the place of the finding, and not before it began."""
    path = tmp_path / "store.sqlite"
    windows = []
    for window in service("b", 0.3, 2):
        minute = (window.start_ns - START_NS) // MINUTE_NS
        traced = Exemplar(1.0 + (minute % 7), window.start_ns, 1000 * minute + (window.key.cohort == "region=r1"), 7)
        windows.append(replace(window, latency=replace(window.latency, exemplars={0: traced})))
    write(path, windows)
    look = StoreLooker([path], none).look(LATER_NS)
    call = look.example(look.diagnosis.findings[0])
    minute, is_there = divmod(call.trace_id, 1000)
    assert (is_there, minute % 7, minute >= 300) == (1, 6, True)
