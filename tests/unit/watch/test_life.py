"""Events of successive diagnoses: each event once, stable ids, and no end without evidence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.diagnose import Diagnosis, Evidence, Finding, Onset, Place
from radiosonde.diagnose.hypotheses import Fact, Hypothesis
from radiosonde.model.watched import MAX_FINDING_BYTES
from radiosonde.watch import life
from radiosonde.watch.life import KnownIncident, Moment, known_from_text, turn
from tests.unit.watch.findings import LINKS, MINUTE_NS, T0, diagnosis, finding, over, unseen


class History:
    """Looks, one a minute, over what a watch has kept as text in between, as over restarts."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.now_ns, self.before_ns = T0 + 10**12, 0

    def look(self, found: Diagnosis, minutes: float = 1) -> list[tuple[str, str]]:
        """Return kind and id of the events."""
        self.now_ns += int(minutes * MINUTE_NS)
        known = {each: known_from_text(text) for each, text in self.kept.items()}
        turned = turn(known, found, Moment(self.now_ns, MINUTE_NS, lambda model: self.before_ns), LINKS)
        self.before_ns = max(self.before_ns, found.end_ns)
        for each in turned.changed:
            self.kept[each] = turned.known[each].to_text()
        for each in turned.forgotten:
            del self.kept[each]
        assert set(self.kept) == set(turned.known)
        self.events = turned.events
        return [(event.kind, event.event_id) for event in turned.events]

    def known(self, incident: str = "20260101-aaaaaa") -> KnownIncident:
        """Return an incident as it is kept."""
        return known_from_text(self.kept[incident])


def test_a_life_is_told_once_each():
    """Opened, recovered, verified: each with the next number, and nothing in between."""
    history = History()
    told = [
        history.look(found)
        for found in (
            diagnosis(),
            diagnosis(finding()),
            diagnosis(finding()),
            diagnosis(over()),
            diagnosis(over()),
            diagnosis(over("verified")),
            diagnosis(over("verified")),
        )
    ]
    assert told == [
        [], [("opened", "20260101-aaaaaa-1")], [], [("recovered", "20260101-aaaaaa-2")], [],
        [("verified", "20260101-aaaaaa-3")], [],
    ]  # fmt: skip
    assert history.known().incident.severity == "page"


@pytest.mark.parametrize("misses", [1, 2])
def test_a_look_that_does_not_mention_an_incident_does_not_close_it(misses):
    """One or two are tolerated; the count restarts with the next mention."""
    history = History()
    history.look(diagnosis(finding()))
    for _ in range(3):
        assert all(history.look(diagnosis()) == [] for _ in range(misses))
        assert history.look(diagnosis(finding())) == []


def test_an_incident_that_is_mentioned_no_more_is_withdrawn():
    """At the third look in a row, and its event says that it was not evidence that ended it."""
    history = History()
    history.look(diagnosis(finding()))
    assert [history.look(diagnosis()) for _ in range(4)] == [[], [], [("recovered", "20260101-aaaaaa-2")], []]
    assert history.known().state == "recovered"


@pytest.mark.parametrize("silence", [unseen(), diagnosis(model="another")])
def test_silence_closes_nothing(silence):
    """For any number of failed diagnoses, or diagnoses of another model only."""
    history = History()
    history.look(diagnosis(finding()))
    assert all(history.look(silence) == [] for _ in range(10))
    assert history.known().state == "open"


@pytest.mark.parametrize(
    "later",
    [
        finding(id="20260102-bbbbbb"),
        finding(id="20260102-bbbbbb", where=Place("m", version="2", cohort="region=r1")),
        finding(id="20260102-bbbbbb", onset=Onset(T0 + 99 * MINUTE_NS, T0 + 98 * MINUTE_NS, T0 + 101 * MINUTE_NS)),
    ],
)
def test_an_incident_keeps_its_id_when_a_later_look_dates_or_places_it_otherwise(later):
    """It is known again by check, feature and onset."""
    history = History()
    history.look(diagnosis(finding()))
    assert [kind for kind, _ in history.look(diagnosis(later))] == []
    assert list(history.kept) == ["20260101-aaaaaa"]


@pytest.mark.parametrize(
    "other",
    [
        finding(id="20260101-cccccc", where=Place("another")),
        finding(id="20260101-cccccc", check="tail_latency", name="latency.tail", kind="latency"),
        finding(id="20260101-cccccc", where=Place("m", feature="income"), kind="data"),
        finding(id="20260101-cccccc", onset=Onset(T0 + 180 * MINUTE_NS, T0 + 179 * MINUTE_NS, T0 + 181 * MINUTE_NS)),
    ],
)
def test_another_incident_is_another(other):
    """Of another model, check, feature or time."""
    history = History()
    history.look(diagnosis(finding()))
    assert history.look(diagnosis(finding(), other)) == [("opened", "20260101-cccccc-1")]


def test_the_first_look_tells_what_is_open_and_nothing_of_the_past():
    """A watch that begins on a store of months does not report its history."""
    past = over(id="20260101-dddddd", check="tail_latency", kind="latency")
    assert History().look(diagnosis(finding(), past)) == [("opened", "20260101-aaaaaa-1")]


def test_what_opened_and_ended_while_nobody_looked_is_told_as_over():
    """After an outage of the source; what had opened before that look is not."""
    history = History()
    history.look(diagnosis(end_ns=T0 + 90 * MINUTE_NS))
    old = over(id="20260101-eeeeee", opened_ns=T0 + 50 * MINUTE_NS, check="memory")
    assert history.look(diagnosis(over(), old)) == [("recovered", "20260101-aaaaaa-1")]
    assert history.look(diagnosis(over(), old)) == []


def test_a_page_is_told_at_once_and_other_changes_once_in_a_while():
    """A ticket that becomes a page; places that wander from look to look."""
    history = History()
    history.look(diagnosis(finding(severity="ticket")))
    assert history.look(diagnosis(finding(severity="page"))) == [("changed", "20260101-aaaaaa-2")]
    assert history.known().severities == ("ticket", "page")
    wandering = [diagnosis(finding(where=Place("m", cohort=f"region=r{number % 7}"))) for number in range(60)]
    assert sum(len(history.look(found)) for found in wandering) == 60 // 15


def test_noisy_windows_neither_open_nor_close_twice():
    """An incident that ends and begins again is the same, with further numbers."""
    history = History()
    told = [history.look(found) for found in (diagnosis(finding()), diagnosis(over()), diagnosis(finding()))]
    assert told == [
        [("opened", "20260101-aaaaaa-1")],
        [("recovered", "20260101-aaaaaa-2")],
        [("opened", "20260101-aaaaaa-3")],
    ]


def test_a_mute_is_told_as_over_and_its_end_as_open():
    """Receivers resolve it, and trigger it again; one that was muted from the beginning is not reported at all."""
    history = History()
    history.look(diagnosis(finding()))
    assert history.look(diagnosis(finding(state="muted"))) == [("changed", "20260101-aaaaaa-2")]
    assert history.events[0].is_over
    assert history.look(diagnosis(finding())) == [("changed", "20260101-aaaaaa-3")]
    assert not history.events[0].is_over
    muted = History()
    assert muted.look(diagnosis(finding(state="muted"))) == []
    assert muted.look(diagnosis(finding())) == [("opened", "20260101-aaaaaa-1")]


def test_a_note_is_no_incident():
    """A drift without need for action continues for months and is never reported."""
    assert History().look(diagnosis(finding(severity="info", kind="drift"))) == []


def test_old_incidents_are_forgotten():
    """A week after they were over, when the diagnosis lists them no more."""
    history = History()
    history.look(diagnosis(finding()))
    history.look(diagnosis(over()))
    history.look(diagnosis(), minutes=6 * 1440)
    assert history.kept
    history.look(diagnosis(), minutes=2 * 1440)
    assert not history.kept


def test_the_hypothesis_is_the_likeliest_that_the_finding_speaks_for():
    """Not the likeliest of all, which another finding may support."""
    facts = (Fact("failed calls rose", 20.0),)
    found = diagnosis(
        finding(),
        hypotheses=(
            Hypothesis("m", "host", "likely", 40.0, (Fact("another", 20.0),), ()),
            Hypothesis("m", "backend", "likely", 20.0, facts, ()),
        ),
    )
    history = History()
    history.look(found)
    assert history.events[0].incident.hypothesis == "backend"


def test_an_event_is_bounded_in_bytes():
    """A finding with a megabyte of evidence loses the evidence, and stays JSON."""
    long = tuple(Evidence("e", 1.0, "", "é" * 10_000) for _ in range(100))
    history = History()
    history.look(diagnosis(finding(evidence=long, title="t" * 10**6)))
    (event,) = history.events
    assert len(event.finding.encode()) <= MAX_FINDING_BYTES
    assert json.loads(event.finding) == {} or json.loads(event.finding)["name"] == "errors.rise"
    assert len(event.title) <= 2000


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"incident": {}}', '{"incident": 3, "state": "open"}'])
def test_a_kept_incident_that_is_none_is_a_value_error(text):
    """A damaged row is said and left out, and ends nothing."""
    with pytest.raises(ValueError, match="no incident"):
        known_from_text(text)


def test_fields_of_a_later_version_are_left_out():
    """A watch that was upgraded and rolled back reads what the newer one kept."""
    history = History()
    history.look(diagnosis(finding()))
    document = json.loads(history.kept["20260101-aaaaaa"])
    document["later"] = document["incident"]["later"] = 1
    assert known_from_text(json.dumps(document)) == history.known()


STEPS: list[Finding | None] = [
    None, finding(), over(), over("verified"), finding(state="muted"), finding(severity="ticket"), finding(state="acknowledged"),
    finding(id="20260102-bbbbbb"),
]  # fmt: skip


@given(st.lists(st.sampled_from(STEPS), max_size=25))
def test_events_of_any_history_are_numbered_and_alternate(steps):
    """No number twice, no end without a beginning, no two beginnings without an end; open incidents match the last events."""
    history, told = History(), []
    for step in steps:
        history.look(diagnosis(*([] if step is None else [step])))
        told += history.events
    ids = [event.event_id for event in told]
    assert len(set(ids)) == len(ids)
    by_incident: dict[str, list[bool]] = {}
    for event in told:
        by_incident.setdefault(event.incident.id, []).append(event.is_over)
        if event.kind in ("opened", "recovered"):
            lives = by_incident[event.incident.id]
            assert len(lives) == 1 or lives[-2] != lives[-1] or lives[-1]
    for incident, text in history.kept.items():
        known = known_from_text(text)
        if known.number and known.state != "muted":
            assert by_incident[incident][-1] is not known.incident.is_active


def test_the_limits_are_those_of_the_documentation():
    """Three looks, a quarter of an hour."""
    assert (life.MISSES, life.QUIET_NS) == (3, 15 * MINUTE_NS)
