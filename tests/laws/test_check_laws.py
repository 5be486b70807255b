"""Laws of every check of diagnosis, found by the registry: order, split, clock and names do not change the result."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import Traffic, calls, failing, plant, series
from radiosonde.diagnose.finding import Kind, Place
from radiosonde.diagnose.registry import View, all_checks
from radiosonde.diagnose.status import SUBJECTS
from tests.factories import make_durations, make_runtime_window

MINUTES, ONSET = 300, 270
CHECKS = all_checks()


@pytest.fixture(scope="module")
def ill():
    """Return windows and health of a service in which calls fail, are slow, and the garbage collector stands in the way."""
    rng = np.random.default_rng(3)
    keys = series(2, region=2)
    made = calls(rng, MINUTES, keys, 200.0, swing=0.0)
    traffic = plant(rng, Traffic(keys, made, failing(rng, made, 0.001)), 0.2, ONSET, cohort="region=r1")
    windows = timed(rng, traffic, slow(steady(rng, MINUTES), 0.1, 12, ONSET))
    starts = sorted({(window.start_ns, window.end_ns) for window in windows})
    lived = [
        make_runtime_window(
            start, end, process="p1", gc_pauses=make_durations([0.001] * 30 + [3.0] * (2 * (at >= ONSET)))
        )
        for at, (start, end) in enumerate(starts)
    ]
    return windows, lived


def said(check, windows, runtime):
    """Return the result of *check* on *windows*: findings with place, time and severity, passed checks and gaps."""
    report = check.examine(View("m", windows, runtime, {}))
    first = min(window.start_ns for window in windows)
    findings = sorted(
        (found.name, found.severity, found.onset.at_ns - first, found.title, round(found.confidence.ln_e, 6))
        for found in (*report.findings, *report.notes)
    )
    return findings, [entry.check for entry in report.checked], [(gap.check, gap.because) for gap in report.gaps]


def test_the_registry_knows_each_check_once_and_every_subject_is_covered():
    """Names are unique, subjects and explanations are known, and each check has its words."""
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) >= 5
    assert {check.subject for check in CHECKS} - {""} == set(SUBJECTS)
    known = {*names, *get_args(Kind)}
    assert all(set(check.explains) <= known - {check.name} for check in CHECKS)
    assert all(check.watches and check.measures and check.baselines and check.severity for check in CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
class TestEveryCheck:
    """Laws, one service that is ill in three ways."""

    def test_order_does_not_matter(self, check, ill):
        """Windows come in any order."""
        windows, lived = ill
        order = np.random.default_rng(1).permutation(len(windows))
        assert said(check, [windows[index] for index in order], lived[::-1]) == said(check, windows, lived)

    def test_a_window_in_two_parts_is_one_window(self, check, ill):
        """Failures and calls counted by two processes are those of one; a part may be empty of calls."""
        windows, lived = ill
        none = {"calls": 0, "rows": 0, "errors": {}}
        parts = [part for window in windows for part in (replace(window, latency=replace(window.latency, counts=window.latency.counts * 0, sums_s=window.latency.sums_s * 0, phase_sums_s=window.latency.phase_sums_s * 0, edge_counts=window.latency.edge_counts * 0), **none), window)]  # fmt: skip
        assert said(check, parts, lived) == said(check, windows, lived)

    def test_the_year_does_not_matter(self, check, ill):
        """A replay of four years earlier says the same, four years earlier."""
        windows, lived = ill
        by_ns = 4 * 365 * 86_400_000_000_000

        def earlier(given):
            return [replace(window, start_ns=window.start_ns - by_ns, end_ns=window.end_ns - by_ns) for window in given]

        assert said(check, earlier(windows), earlier(lived)) == said(check, windows, lived)

    def test_what_is_said_is_about_the_model_alone(self, check, ill):
        """Every line names the requested model."""
        report = check.examine(View("m", *ill, {}))
        places = [
            entry.where for part in (report.findings, report.notes, report.checked, report.gaps) for entry in part
        ]
        assert places
        assert {place.model for place in places} == {"m"}
        assert all(isinstance(place, Place) for place in places)

    def test_nothing_to_go_on_is_a_gap_and_no_health(self, check, ill):
        """One window of three calls is not checked, by anyone."""
        windows, _ = ill
        report = check.examine(View("m", [replace(windows[0], calls=3, errors={})], [], {}))
        assert report.findings == report.notes == report.checked == []
        assert report.gaps
