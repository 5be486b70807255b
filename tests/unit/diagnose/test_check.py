"""The whole diagnosis on three weeks of real flights: silence when healthy, exactly the right finding when not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.quality.flight_windows import HOUR_NS, YEAR_START_NS, Incident, day_of, in_utc, windows
from radiosonde.diagnose import check

ONSET = 252
ONSET_NS = YEAR_START_NS + (day_of(3, 1) * 24 + ONSET) * HOUR_NS
WIND = Incident("scale", ONSET, 0.44704, "wind_speed")
CARRIER = Incident("errors", ONSET, 1.0, version="v2", carrier="WN")
FETCH = Incident("slow", ONSET, 0.08, share=0.02)


def hours_off(finding):
    """Return how far the onset of *finding* is from the moment the incident was switched on."""
    return abs(finding.onset.at_ns - ONSET_NS) / HOUR_NS


def evidence(finding):
    """Return the evidence of *finding* by name."""
    return {item.name: item.value for item in finding.evidence}


def test_three_healthy_weeks_of_march_have_no_finding(references):
    """March is warmer than January and February, has storms and missing weather, and needs no action."""
    diagnosis = check(windows(), references)
    assert diagnosis.findings == ()
    assert diagnosis.healthy
    assert diagnosis.calls == 19_635


@pytest.mark.parametrize(
    ("factor", "named"),
    [(1.609, "miles to kilometres (or mph to km/h)"), (0.44704, "mph to m/s"), (0.869, "mph to knots")],
)
def test_wind_in_another_unit_is_one_data_finding_with_factor_and_conversion(references, factor, named):
    """The unit is found within a day, its factor to four digits, and the likely conversion is named."""
    (finding,) = check(
        windows(incidents=[Incident("scale", ONSET, factor, "wind_speed")], cohorts=False), references
    ).findings
    assert (finding.kind, finding.severity, finding.where.feature) == ("data", "page", "wind_speed")
    assert hours_off(finding) <= 24
    assert evidence(finding)["factor"] == pytest.approx(factor, rel=2e-4)
    assert named in finding.title
    assert "All versions alike" in finding.verdict


def test_a_new_unit_is_not_learned_from_its_first_hour_at_the_end_of_a_block(references):
    """Only an hour of m/s falls into the block of the onset; both versions have it, and neither is blamed alone."""
    incident = Incident("scale", 12 * 24 + 5, 0.44704, "wind_speed")
    (finding,) = check(in_utc(windows(incidents=[incident])), references).findings
    assert (finding.name, finding.where.version) == ("data.unit.wind_speed", "")
    assert finding.onset.at_ns == YEAR_START_NS + (day_of(3, 13) * 24 + 9) * HOUR_NS
    assert evidence(finding)["factor"] == pytest.approx(0.44704, rel=2e-4)
    assert "mph to m/s" in finding.title
    assert "All versions alike" in finding.verdict


def test_a_new_unit_in_the_canary_only_is_the_canary_s_own_preprocessing(references):
    """The other version has plenty of rows after the onset, all on the old grid."""
    incident = Incident("scale", 12 * 24 + 5, 0.44704, "wind_speed", version="v2")
    (finding,) = check(in_utc(windows(incidents=[incident], cohorts=False)), references).findings
    assert (finding.name, finding.where.version) == ("data.unit.wind_speed", "v2")
    assert "Only version v2" in finding.verdict


def test_a_version_that_left_before_the_onset_is_not_called_unaffected(references):
    """The canary took over all traffic a day before: it is unknown whether the old version was affected."""
    incident = Incident("scale", ONSET, 0.44704, "wind_speed")
    made = [
        replace(window, key=window.key._replace(version="v2", variant="stable"))
        if window.start_ns >= ONSET_NS - 24 * HOUR_NS
        else window
        for window in windows(incidents=[incident], cohorts=False)
    ]
    (finding,) = check(made, references).findings
    assert (finding.name, finding.where.version) == ("data.unit.wind_speed", "")
    assert "Version v2 is affected; version v1 has too few rows since the onset to decide." in finding.verdict


def test_errors_of_one_carrier_on_one_version_name_both(references):
    """Version, cohort, onset and exception type are named, with the other version side by side."""
    (finding,) = check(windows(incidents=[CARRIER]), references).findings
    assert (finding.kind, finding.where.version, finding.where.cohort) == ("version", "v2", "carrier=WN")
    assert hours_off(finding) <= 24
    assert finding.onset.earliest_ns <= ONSET_NS <= finding.onset.latest_ns
    assert evidence(finding)["rate"] == 1.0
    assert evidence(finding)["rate_others"] == 0.0
    assert evidence(finding)["error_type"] == "KeyError"
    assert "not data or infrastructure" in finding.verdict


def test_slow_fetch_on_two_percent_of_calls_names_the_phase(references):
    """The tail is split over phases: the fetch grew by about 70 ms, the prediction did not."""
    (finding,) = check(windows(incidents=[FETCH]), references).findings
    assert (finding.kind, finding.where.phase) == ("latency", "feature_fetch")
    assert finding.where.version == finding.where.cohort == ""
    assert hours_off(finding) <= 24
    assert 0.05 < evidence(finding)["phase_feature_fetch"] < 0.09
    assert abs(evidence(finding)["phase_predict"]) < 0.001
    assert "all versions and cohorts alike" in finding.verdict
    assert "predict is unchanged" in finding.verdict


def test_three_incidents_at_once_are_three_findings(references):
    """None hides another, and none makes a fourth."""
    findings = check(windows(incidents=[WIND, CARRIER, FETCH]), references).findings
    assert {finding.kind for finding in findings} == {"data", "version", "latency"}
    assert len(findings) == 3
    assert all(hours_off(finding) <= 24 for finding in findings)


@pytest.mark.parametrize(
    ("incident", "name"),
    [
        (Incident("null", ONSET, 0.3, "visib"), "data.missing.visib"),
        (Incident("scale", ONSET, 1000.0, "pressure"), "data.unit.pressure"),
        (Incident("category", ONSET, 0.02, "carrier"), "data.unseen.carrier"),
        (Incident("stuck", ONSET, 50.0, "humid"), "data.stuck.humid"),
        (Incident("stuck", ONSET, -999.0, "temp", share=0.05), "data.far.temp"),
        (Incident("errors", ONSET, 0.05), "errors.errors.all"),
        (Incident("errors", ONSET, 0.5, carrier="MQ"), "cohort.errors.carrier=MQ"),
        (Incident("errors", ONSET, 0.1, version="v2"), "version.errors.v2.all"),
        (Incident("slow", ONSET, 0.02, version="v2", phase="predict"), "latency.predict.v2"),
    ],
)
def test_each_fault_is_one_finding_of_its_own_name(references, incident, name):
    """Kind, object and onset are right and nothing else is reported."""
    made = windows(incidents=[incident], cohorts=bool(incident.carrier), sketches=name.startswith("data"))
    (finding,) = check(made, references).findings
    assert finding.name == name
    assert hours_off(finding) <= 24


def test_missing_values_of_one_version_only_are_its_own_preprocessing(references):
    """With nine tenths of the traffic untouched, the canary is still found and named."""
    made = windows(incidents=[Incident("null", ONSET, 0.5, "visib", version="v2")])
    (finding,) = check(made, references).findings
    assert finding.where.version == "v2"
    assert "Only version v2" in finding.verdict


def test_a_burst_that_is_over_says_until_when(references):
    """A two-day burst of missing values has an end; it needs no action now, and is a finding of the past."""
    made = windows(incidents=[Incident("null", ONSET, 0.5, "visib", hours=48)])
    assert check(made, references).status == "healthy"
    (finding,) = check(made, references, past=True).findings
    assert abs(finding.onset.ended_ns - (ONSET_NS + 48 * HOUR_NS)) <= 12 * HOUR_NS


def test_without_sketches_a_large_conversion_is_still_named_from_the_cells(references):
    """Cells alone see kilometres for miles in a feature that does not follow the weather, and say what they cannot check."""
    made = windows(incidents=[Incident("scale", ONSET, 1.609344, "distance")], sketches=False)
    diagnosis = check(made, references)
    (finding,) = diagnosis.findings
    assert finding.name == "data.unit.distance"
    assert "miles to kilometres" in finding.title
    assert any("units of" in gap.check for gap in diagnosis.not_checked)


@pytest.mark.parametrize(
    ("factor", "named"),
    [(1.609344, "miles to kilometres"), (0.621371, "kilometres to miles"), (0.514444, "knots to m/s")],
)
def test_the_factor_that_is_read_off_cells_is_that_of_the_values(references, factor, named):
    """Ranks that fall into an outermost cell, or outside the reference, are left out: those have no width to interpolate in."""
    made = windows(incidents=[Incident("scale", ONSET, factor, "distance")], sketches=False)
    (finding,) = check(made, references).findings
    assert named in finding.title
    assert evidence(finding)["factor"] == pytest.approx(factor, rel=0.03)


def test_too_little_traffic_is_said_and_not_called_healthy_silence(references):
    """Three hours of flights cannot be judged, and the report says why."""
    made = [window for window in windows(days=1) if window.start_ns < YEAR_START_NS + (59 * 24 + 8) * HOUR_NS]
    diagnosis = check(made, references)
    assert diagnosis.status == "not checked"
    assert {gap.check for gap in diagnosis.missing} == {"latency", "features"}
    assert all("200 calls in 16 steps are needed" in gap.because for gap in diagnosis.missing)


def test_one_version_without_labels_phases_or_reference_lists_what_was_not_checked():
    """Each check that had nothing to go on is named."""
    made = [
        replace(
            window,
            labels=None,
            features=None,
            latency=replace(window.latency, phases=(), phase_sums_s=window.latency.phase_sums_s[:0]),
        )
        for window in windows(days=4, cohorts=False)
        if window.key.version == "v1"
    ]
    diagnosis = check(made, {})
    assert {gap.check for gap in diagnosis.not_checked} == {
        "versions against each other", "labelled outcomes", "latency by phase", "features", "features by version and cohort", "the processes that serve it",
        "how many calls come", "what failing calls share", "memory towards its limit", "shortage of CPU, memory, or input and output",
        "our own telemetry", "the split of versions between cohorts",
    }  # fmt: skip
    assert diagnosis.healthy


@pytest.mark.parametrize(
    ("days", "model", "because"),
    [
        (0, None, "there is no window to look at; check --model, --since and --until, or let the model serve first"),
        (0, "other", "there is no window of model 'other' to look at; check --model"),
        (1, "other", "there is no window of model 'other'; there are windows of 'delays'"),
    ],
)
def test_no_window_at_all_is_not_checked_and_says_what_to_do(days, model, because):
    """An empty store, or an unknown model name, is never healthy."""
    diagnosis = check(windows(days=days) if days else [], {}, model=model)
    assert (diagnosis.status, diagnosis.healthy) == ("not checked", False)
    (gap,) = diagnosis.missing
    assert gap.because.startswith(because)


def test_the_order_and_the_split_of_windows_do_not_matter(references):
    """Parts of a window from two processes, in any order, give the same diagnosis as the whole."""
    made = windows(days=8, cohorts=False, incidents=[Incident("null", 120, 0.3, "visib")])
    doubled = [replace(window, process=process) for window in reversed(made) for process in ("a", "b")]
    (whole,), (parts,) = check(made, references).findings, check(doubled, references).findings
    assert (whole.name, whole.onset, whole.title) == (parts.name, parts.onset, parts.title)


def test_the_diagnosis_is_plain_json_of_the_documented_schema(references):
    """Only strict JSON types, the schema's name, and onsets that people can read."""
    document = json.loads(json.dumps(check(windows(incidents=[WIND]), references).to_json(), allow_nan=False))
    assert document["schema"] == "radiosonde.diagnosis/1"
    assert document["healthy"] is False
    (finding,) = document["findings"]
    assert set(finding) == {
        "name", "kind", "severity", "title", "verdict", "where", "onset", "confidence", "evidence", "next_steps", "figures", "responsible",
        "id", "check", "state", "opened_ns", "impact", "mark",
    }  # fmt: skip
    assert finding["onset"]["at"] == "2013-03-11T12:00Z"
    assert [figure["type"] for figure in finding["figures"]] == ["timeline", "bars"]
