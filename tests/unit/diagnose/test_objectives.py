"""Objectives: found without any history, also where the whole past is bad; owners and the way back beside the finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.latency import slow, steady, timed
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, plant, series
from radiosonde.config import read_text
from radiosonde.diagnose import Policy, check
from radiosonde.diagnose.failure_incidents import find_failures
from radiosonde.diagnose.floors import rate_floor
from tests.factories import make_labels

HOUR_NS = 60 * MINUTE_NS


def policy(text):
    """Return a policy from the text of a configuration without mistakes."""
    configuration, problems = read_text(text)
    assert problems == []
    return Policy(configuration)


def served(minutes, rate, *, seed=1, per_minute=200.0, keys=None):
    """Return traffic that fails at *rate* from its first minute on."""
    rng = np.random.default_rng(seed)
    keys = keys or series(1)
    made = calls(rng, minutes, keys, per_minute, swing=0.0)
    return rng, Traffic(keys, made, failing(rng, made, rate))


class TestFailures:
    """`slo.failures`."""

    @pytest.mark.parametrize(
        ("rate", "slo", "minutes"), [(0.03, 0.01, 60), (0.004, 0.001, 120), (0.02, 0.005, 600), (0.3, 0.2, 5)]
    )
    def test_a_past_that_is_bad_as_a_whole_is_found(self, rate, slo, minutes):
        """Nothing changed, and it is a page since the first window; without the objective, nothing is wrong."""
        _, traffic = served(minutes, rate)
        windows = traffic.windows()
        (finding,) = check(windows, {}, policy=policy(f"[defaults]\nslo.failures = {slo}\n")).findings
        assert (finding.name, finding.severity, finding.onset.whole_span) == ("errors.errors.all", "page", True)
        assert f"above the objective of {100 * slo:.2g} %" in finding.title
        assert next(item for item in finding.evidence if item.name == "objective").value == slo
        assert rate >= 0.05 or check(windows, {}).findings == ()

    @pytest.mark.parametrize(("rate", "slo"), [(0.009, 0.01), (0.0008, 0.001), (0.18, 0.2), (0.0, 0.01)])
    def test_a_service_just_below_its_objective_calls_for_nobody(self, rate, slo):
        """Ten draws of a day each, checked after every window: a kept objective is not a finding."""
        opened = 0
        for seed in range(10):
            _, traffic = served(1440, rate, seed=seed, per_minute=300.0)
            opened += len(find_failures(traffic.table(), slo).incidents)
        assert opened == 0

    def test_an_objective_above_the_usual_one_holds_for_versions_and_cohorts_too(self):
        """A model that may fail in a fifth of its calls is not paged for a cohort at 15 %."""
        keys = series(2, region=3)
        rng, traffic = served(120, 0.1, keys=keys)
        windows = plant(rng, traffic, 0.05, 0, cohort="region=r1").windows()
        assert check(windows, {}, policy=policy("[model.m]\nslo.failures = 0.2\n")).findings == ()
        assert check(windows, {}).findings

    def test_a_cohort_is_not_held_against_the_objective_of_the_model(self):
        """A rare cohort at 2 % of a model at 0.2 % is within its objective of 1 %: cohorts differ."""
        keys = series(1, region=10)
        _, traffic = served(240, np.where([["r3" in key.cohort] for key in keys], 0.02, 0.001), keys=keys)
        assert check(traffic.windows(), {}, policy=policy("[model.m]\nslo.failures = 0.01\n")).findings == ()

    def test_the_version_that_breaks_it_is_named(self):
        """The whole model is above its objective because of one version."""
        rng, traffic = served(300, 0.001, keys=series(2, region=2))
        windows = plant(rng, traffic, 0.2, 200, version="v2").windows()
        findings = check(windows, {}, policy=policy("[model.m]\nslo.failures = 0.005\n")).findings
        assert [finding.where.version for finding in findings] == ["v2"]

    def test_it_is_over_when_the_rate_is_below_the_objective_again(self):
        """3 % from the first call on, 0.4 % since an hour, objective 1 %: recovered, though half of a half of the old rate."""
        rng, traffic = served(240, 0.004)
        (incident,) = find_failures(plant(rng, traffic, 0.03, 0, 120).table(), 0.01).incidents
        assert incident.recovered is not None
        assert abs(incident.recovered - 120) <= 12

    @pytest.mark.parametrize(("slo", "length"), [(0.01, 64), (0.002, 128)])
    def test_the_floor_is_honest(self, slo, length):
        """Of a service that lives just below its objective, a rate at the floor is found in 80 % of 60 draws or more."""
        start = 16 * length
        _, quiet = served(start + length, 0.8 * slo, per_minute=300.0)
        floor = rate_floor(find_failures(quiet.table(), slo).scan, length)
        assert floor > slo
        found = 0
        for seed in range(60):
            rng, traffic = served(start + length, 0.8 * slo, seed=seed + 100, per_minute=300.0)
            found += bool(find_failures(plant(rng, traffic, floor - 0.8 * slo, start).table(), slo).incidents)
        assert found >= 0.8 * 60


class TestLatency:
    """`slo.p99`."""

    POLICY = policy('[model.m]\nslo.p99 = "200ms"\n')

    def windows(self, minutes, share, *, factor=50.0, start=0, keys=None, version="", seed=3):
        """Return windows of calls of about 10 ms, a *share* of them *factor* times slower from minute *start* on."""
        rng, traffic = served(minutes, 0.0, keys=keys, seed=seed)
        tables = steady(rng, minutes)
        slower = slow(tables, share, factor, start)
        made = timed(rng, traffic, slower)
        if not version:
            return made
        quick = timed(rng, traffic, tables)
        return [window if window.key.version == version else other for window, other in zip(made, quick, strict=True)]

    @pytest.mark.parametrize(("minutes", "share"), [(3, 0.3), (10, 0.04), (600, 0.02)])
    def test_a_bound_that_was_never_kept_is_found(self, minutes, share):
        """Some calls take half a second since the first window: no change, and a page."""
        windows = self.windows(minutes, share)
        diagnosis = check(windows, {}, policy=self.POLICY)
        (finding,) = diagnosis.findings
        assert (finding.name, finding.severity, finding.onset.whole_span) == ("latency.objective.all", "page", True)
        assert "above the objective of 200 ms" in finding.title
        assert check(windows, {}).findings == ()

    def test_a_bound_that_is_kept_is_checked_with_its_floor(self):
        """Half a per cent of slow calls is within it, and the report includes the detection floor."""
        diagnosis = check(self.windows(60, 0.004), {}, policy=self.POLICY)
        assert diagnosis.findings == ()
        (line,) = [entry for entry in diagnosis.checked if "objective" in entry.check]
        assert line.subject == "latency"
        assert 0.01 < line.floors[-1].value < 0.03

    def test_what_began_with_a_change_is_one_finding(self):
        """Calls become slow at minute 200: the change and the broken objective are one finding."""
        (finding,) = check(self.windows(300, 0.1, start=200), {}, policy=self.POLICY).findings
        assert finding.name != "latency.objective.all"
        assert any(item.name == "objective" for item in finding.evidence)

    def test_the_version_that_breaks_it_is_named(self):
        """Two versions, one of them slow from its first call on."""
        windows = self.windows(120, 0.1, keys=series(2), version="v2")
        findings = check(windows, {}, policy=self.POLICY).findings
        assert {finding.where.version for finding in findings} == {"v2"}

    def test_a_short_store_is_checked_against_it(self):
        """Three windows are too few for the past; the objective makes latency a checked subject."""
        windows = self.windows(3, 0.0)
        assert check(windows, {}).status == "not checked"
        assert check(windows, {}, policy=self.POLICY).status == "healthy"


class TestLabels:
    """`slo.labels`."""

    def windows(self, hours, labelled_until):
        """Return hourly windows of which those before hour *labelled_until* have a label."""
        _, traffic = served(hours, 0.0)
        windows = traffic.windows()
        hourly = [
            replace(window, start_ns=START_NS + at * HOUR_NS, end_ns=START_NS + (at + 1) * HOUR_NS)
            for at, window in enumerate(windows)
        ]
        return [
            replace(window, labels=make_labels({("correct", "1h"): 9, ("incorrect", "1h"): 1}))
            if at < labelled_until
            else window
            for at, window in enumerate(hourly)
        ]

    @pytest.mark.parametrize(
        ("hours", "until", "is_found"),
        [(72, 20, True), (72, 40, False), (72, 0, True), (12, 0, False), (72, 72, False)],
    )
    def test_labels_older_than_declared_are_found(self, hours, until, is_found):
        """The newest label is too old, or none ever came in that time; a store that is younger than the bound is not judged."""
        diagnosis = check(self.windows(hours, until), {}, policy=policy('[model.m]\nslo.labels = "36h"\n'))
        stale = [finding for finding in diagnosis.findings if finding.kind == "label"]
        assert [finding.severity for finding in stale] == ["ticket"] * is_found
        if is_found:
            assert stale[0].onset.at_ns == START_NS + (until + 36) * HOUR_NS
            assert "36" in stale[0].title or "1.5 d" in stale[0].title

    def test_without_an_objective_nothing_is_said(self):
        """No label and no promise: a gap, as before."""
        assert check(self.windows(72, 0), {}).findings == ()


class TestPolicy:
    """Owners, and a configuration with mistakes."""

    TEXT = '[model.m]\nowner = "Flight ops"\ncontacts = ["#ops", "ops@example.com"]\nrollback = "make undo"\nflag = "m-v2"\n'

    def test_findings_name_who_to_call_and_the_way_back(self):
        """In the value and its JSON; another model's owner is not named."""
        _, traffic = served(60, 0.3)
        diagnosis = check(traffic.windows(), {}, policy=policy(self.TEXT))
        responsible = diagnosis.findings[0].responsible
        assert (responsible.owner, responsible.contacts, responsible.rollback) == (
            "Flight ops",
            ("#ops", "ops@example.com"),
            "make undo",
        )
        assert diagnosis.to_json()["findings"][0]["responsible"]["flag"] == "m-v2"
        other = check(traffic.windows(), {}, policy=policy(self.TEXT.replace("model.m", "model.other")))
        assert other.findings[0].responsible is None

    def test_a_rollback_is_not_offered_where_it_cures_nothing(self):
        """Late labels are not the model version's."""
        windows = TestLabels().windows(72, 0)
        (finding,) = check(windows, {}, policy=policy(self.TEXT + 'slo.labels = "36h"\n')).findings
        assert (finding.responsible.owner, finding.responsible.rollback) == ("Flight ops", "")

    def test_mistakes_are_no_health_and_hide_no_finding(self):
        """Exit code 3 with the line of the first mistake; with a finding, 1."""
        configuration, problems = read_text("[model.m]\nslo.p99 = 3\nslo.failures = 9\nowner = 'me'\n")
        wrong = Policy(configuration, tuple(problems))
        _, traffic = served(60, 0.0)
        diagnosis = check(traffic.windows(), {}, policy=wrong)
        assert diagnosis.status == "not checked"
        assert ":2: model.m.slo.p99:" in diagnosis.missing[-1].because
        assert "(and 1 more)" in diagnosis.missing[-1].because
        _, ill = served(60, 0.3)
        diagnosis = check(ill.windows(), {}, policy=wrong)
        assert (diagnosis.status, diagnosis.findings[0].responsible.owner) == ("findings", "me")
