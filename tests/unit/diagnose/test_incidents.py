"""Incidents: ids that stay, states, impact, and what people said about them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.flight_windows import Incident, windows
from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import Freshness, Mark, Policy, check
from radiosonde.diagnose.incidents import identity_of
from tests.factories import make_durations, make_runtime_window

HOUR_NS = 60 * MINUTE_NS


def served(minutes=420, *, seed=1, rate=0.3, start=300, end=None, **place):
    """Return windows of a service in which *rate* of the calls at a place fail from minute *start* to *end*."""
    rng = np.random.default_rng(seed)
    keys = series(2, region=2)
    made = calls(rng, minutes, keys, 200.0, swing=0.0)
    return plant(rng, Traffic(keys, made, failing(rng, made, 0.001)), rate, start, end, **place).windows()


def slowed():
    """Return windows of a service whose calls become slow at minute 300."""
    rng = np.random.default_rng(2)
    keys = series(1)
    made = calls(rng, 420, keys, 300.0, swing=0.0)
    return timed(rng, Traffic(keys, made, failing(rng, made, 0.0)), slow(steady(rng, 420), 0.1, 30, 300))


def stalled():
    """Return windows of a service whose garbage collector stands in the way from minute 300 on."""
    made = [replace(window, process="p1") for window in served(rate=0.0)]
    spans = sorted({(window.start_ns, window.end_ns) for window in made})
    return made + [
        make_runtime_window(
            start, end, process="p1", gc_pauses=make_durations([0.001] * 30 + [3.0] * (2 * (at >= 300)))
        )
        for at, (start, end) in enumerate(spans)
    ]


def blank():
    """Return windows of flights in which a feature is missing from the sixth day on."""
    return windows(days=10, cohorts=False, incidents=[Incident("null", 120, 0.3, "visib")])


def before(made, end_ns):
    """Return the windows that end at *end_ns* or earlier."""
    return [window for window in made if window.end_ns <= end_ns]


WORLDS = {
    "all calls": served,
    "version": lambda: served(version="v2"),
    "cohort": lambda: served(cohort="region=r1"),
    "version and cohort": lambda: served(rate=0.05, version="v2", cohort="region=r1"),
    "latency": slowed,
    "processes": stalled,
    "feature": blank,
}


@pytest.mark.parametrize("world", WORLDS)
def test_an_id_stays_from_look_to_look_and_is_the_same_everywhere(world):
    """Diagnosed live from its opening on, and cold over all windows in another order: one id, while other fields are refined."""
    made = WORLDS[world]()
    last = max(window.end_ns for window in made)
    length = made[0].end_ns - made[0].start_ns
    ids, looks = set(), 0
    for back in (0, 1, 2, 3, 5, 10, 20, 40, 60, 80, 100, 110):
        found = [each for each in check(before(made, last - back * length), {}).findings if each.id]
        looks += bool(found)
        ids |= {finding.id for finding in found}
    assert looks >= 5
    assert len(ids) == 1
    (cold,) = check(made[::-1], {}).findings
    assert {cold.id} == ids
    assert cold.state == "open"


def test_two_incidents_have_two_ids():
    """On one day, of one check; and in two models at once."""
    rng = np.random.default_rng(1)
    keys = series(1, region=4)
    made = calls(rng, 600, keys, 400.0, swing=0.0)
    traffic = plant(rng, Traffic(keys, made, failing(rng, made, 0.0005)), 0.2, 200, 240, cohort="region=r0")
    made = plant(rng, traffic, 0.2, 500, cohort="region=r2").windows()
    both = check([*made, *(replace(window, key=window.key._replace(model="n")) for window in made)], {})
    assert len(both.incidents) == 4
    assert len({each.id for each in both.incidents}) == 4
    assert [each.onset.ended_ns is None for each in both.incidents] == [True, True, False, False]


@pytest.mark.parametrize(("minutes", "state"), [(360, "recovered"), (480, "verified")])
def test_what_is_over_is_recovered_and_then_verified(minutes, state):
    """It ends at minute 330: half an hour of calm is not enough, two and a half hours are."""
    diagnosis = check(served(minutes, end=330), {})
    (incident,) = diagnosis.incidents
    assert (incident.state, diagnosis.status) == (state, "healthy")
    assert abs(incident.onset.ended_ns - (START_NS + 330 * MINUTE_NS)) <= 2 * MINUTE_NS


def test_the_impact_is_what_failed_beyond_the_usual():
    """30 % of 200 calls a minute for two hours."""
    (finding,) = check(served(), {}).findings
    assert finding.impact.calls == pytest.approx(0.3 * 200 * 120, rel=0.1)
    assert finding.impact.calls_per_hour == pytest.approx(0.3 * 200 * 60, rel=0.1)
    assert finding.impact.noun == "failed calls"
    (slower,) = check(slowed(), {}).findings
    assert slower.impact.calls == pytest.approx(300 * 120, rel=0.1)
    assert slower.impact.noun == "calls served meanwhile"


def marked(finding, purpose, **changes):
    """Return a policy with an annotation of *finding*."""
    mark = Mark(
        purpose,
        finding.where.model,
        finding.id,
        identity_of(finding, finding.check),
        START_NS * 2,
        "a known cause",
        "ada",
    )
    return Policy(marks=(mark._replace(**changes) if hasattr(mark, "_replace") else replace(mark, **changes),))


@pytest.mark.parametrize("world", ["all calls", "version and cohort", "latency", "feature"])
def test_a_muted_incident_is_listed_and_calls_for_nobody(world):
    """It is no finding, and not silent; another incident is a finding as before."""
    made = WORLDS[world]()
    (finding,) = check(made, {}).findings
    diagnosis = check(made, {}, policy=marked(finding, "mute"))
    assert (diagnosis.status, diagnosis.findings) == ("healthy", ())
    (muted,) = diagnosis.muted
    assert (muted.id, muted.state, muted.mark.why) == (finding.id, "muted", "a known cause")
    assert [each["id"] for each in diagnosis.to_json()["muted"]] == [finding.id]
    other = check(made, {}, policy=marked(finding, "mute", incident="x", identity="{}"))
    assert [each.id for each in other.findings] == [finding.id]


def test_a_mute_hides_neither_what_was_not_checked_nor_stale_data():
    """The other answers stay: 3 and 4."""
    made = served()
    (finding,) = check(made, {}).findings
    policy = marked(finding, "mute")
    assert check(made, {}, policy=policy, require=["labels"]).status == "not checked"
    assert check(made, {}, policy=policy, freshness=Freshness(0, 10**18)).status == "stale"


def test_an_acknowledged_incident_is_still_a_finding():
    """It is acknowledged, and the exit code stays 1."""
    made = served()
    (finding,) = check(made, {}).findings
    (seen,) = check(made, {}, policy=marked(finding, "ack")).findings
    assert (seen.state, seen.mark.author) == ("acknowledged", "ada")


def test_what_was_said_is_found_again_where_the_id_changed():
    """By check and onset: the id under which people know an incident stays."""
    made = served()
    (finding,) = check(made, {}).findings
    (known,) = check(made, {}, policy=marked(finding, "mute", incident="20251231-abcdef")).muted
    assert known.id == "20251231-abcdef"
    hours_later = replace(finding, onset=replace(finding.onset, at_ns=finding.onset.at_ns + 3 * HOUR_NS, earliest_ns=finding.onset.earliest_ns + 3 * HOUR_NS, latest_ns=finding.onset.latest_ns + 3 * HOUR_NS))  # fmt: skip
    assert check(made, {}, policy=marked(hours_later, "mute", incident="20251231-abcdef")).findings


@pytest.mark.parametrize(
    "identity", ["", "null", "[]", "{}", '{"check": "failures", "subject": "", "onset": [1, 2]}', "\ud800"]
)
def test_an_identity_that_cannot_be_read_matches_nothing(identity):
    """A diagnosis is made for any contents of the table."""
    made = served()
    (finding,) = check(made, {}).findings
    assert check(made, {}, policy=marked(finding, "mute", incident="x", identity=identity)).findings


def test_what_calls_for_nobody_and_is_not_over_is_no_incident():
    """A healthy model has none."""
    assert check(served(rate=0.0), {}).incidents == ()
