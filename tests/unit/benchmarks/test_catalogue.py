"""Members of the catalogue of incidents are named for what they are."""

from __future__ import annotations

import pytest

from benchmarks.quality.bench_catalogue import named, wilson
from benchmarks.quality.incidents.catalogue import catalogue

MEMBERS = {incident.name: incident for incident in catalogue()}
SOME = (
    "2 % of calls fail, all region=r3",
    "50 % of calls fail, v2 region=r1",
    "10 % of calls take 10 times as long, v2 all",
    "100 % of calls take 3 times as long, all region=r1",
    "calls x 0.3, region=r1",
    "no call arrives",
    "gc_pauses of 2 s, calls slow",
    "throttling, 10 % of calls slow",
    "memory grows by 0.07 % a minute",
)


def test_the_catalogue_holds_sixty_incidents_of_a_service():
    """Names are unique."""
    assert len(MEMBERS) == len(list(catalogue())) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_an_incident_is_the_one_finding_with_kind_place_and_onset(name):
    """One of each kind; `make bench B=catalogue` has all of them."""
    found = named(MEMBERS[name], 0)
    assert (found.kind, found.place, found.onset, found.alone) == (True,) * 4, found.said


@pytest.mark.parametrize(
    ("right", "of", "interval"), [(60, 60, (0.940, 1.0)), (0, 10, (0.0, 0.278)), (9, 10, (0.596, 0.982))]
)
def test_intervals_are_wilson_s(right, of, interval):
    """Known values of the interval of 95 %."""
    assert wilson([True] * right + [False] * (of - right)) == pytest.approx(interval, abs=0.001)
