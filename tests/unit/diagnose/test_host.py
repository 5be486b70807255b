"""The machine during slow calls: reported as evidence, blamed only if it is certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.diagnose import check
from radiosonde.diagnose.host import host_of
from radiosonde.model import SeriesKey
from tests.factories import KEY, START_NS, make_durations, make_latency, make_runtime_window, make_window

MINUTE_NS = 60_000_000_000
MINUTES = 240
ONSET = 200
ONSET_NS = START_NS + ONSET * MINUTE_NS
END_NS = START_NS + MINUTES * MINUTE_NS
THROTTLED = {"throttled_periods": 228}


def served(process="worker-1", *, key=KEY, slow=True):
    """Return a window per minute of twenty calls; from the onset on, two in twenty take 300 ms in predict."""
    windows = []
    for minute in range(MINUTES):
        taken = [0.004 + 0.0001 * call for call in range(20)]
        if slow and minute >= ONSET:
            taken[:2] = [0.3, 0.32]
        at_ns = START_NS + minute * MINUTE_NS
        latency = make_latency(taken, {"predict": [duration - 0.001 for duration in taken]})
        made = make_window(key, start_ns=at_ns, end_ns=at_ns + MINUTE_NS, process=process, durations_s=taken)
        windows.append(replace(made, latency=latency))
    return windows


def lived(process="worker-1", *, since=None, **before):
    """Return the health of *process* per minute, with the fields *since* from the onset on."""
    return [
        make_runtime_window(
            START_NS + minute * MINUTE_NS, START_NS + (minute + 1) * MINUTE_NS, process=process,
            **{**before, **((since or {}) if minute >= ONSET else {})},
        )
        for minute in range(MINUTES)
    ]  # fmt: skip


def host(windows, runtime, arm=None):
    """Return the health of the machine since the onset."""
    return host_of(windows, runtime, ONSET_NS, END_NS, arm)


def test_throttling_is_told_with_its_share_and_since_when():
    """228 of 600 periods since 03:20, none before."""
    found = host(served(), lived(since=THROTTLED))
    assert found.evidence().text == (
        "host: throttled 38 % of the time since 03:20 (0 % before); 300 ms of CPU per call (300 ms before)"
    )
    assert found.evidence().value == 0.38
    assert found.is_to_blame


def test_what_grew_is_told_and_what_did_not_is_left_out():
    """Pauses and lag of three times their size are a change; the rest is not worth a word."""
    since = {"gc_pauses": make_durations([0.08] * 20), "loop_lags": make_durations([0.2] * 240)}
    found = host(served(), lived(since=since, loop_lags=make_durations([0.002] * 240)))
    assert found.evidence().text.startswith(
        "host: GC pauses p99 81 ms (1.1 ms before), event-loop lag p99 210 ms (2.1 ms before); "
    )
    assert not found.is_to_blame


def test_a_machine_that_did_nothing_is_told_too():
    """No change is evidence as well: it is not the machine."""
    found = host(served(), lived())
    assert found.evidence().text.startswith("host: no change: throttled 0 % of the time, GC pauses p99 1.1 ms; ")
    assert not found.is_to_blame
    assert "no CPU limit" in host(served(), lived(periods=0)).evidence().text


def test_a_model_that_computes_more_than_its_limit_allows_is_the_cause():
    """Throttled beyond doubt, and a call takes twice the CPU: the machine is not to blame."""
    found = host(served(), lived(since={**THROTTLED, "cpu_s": 12.0}))
    assert "600 ms of CPU per call (300 ms before)" in found.evidence().text
    assert not found.is_to_blame


@pytest.mark.parametrize(
    ("since", "before"),
    [
        ({"throttled_periods": 60}, {}),  # 10 %: it happens
        ({"throttled_periods": 240}, {"throttled_periods": 200}),  # as ever
        ({"throttled_periods": 1, "periods": 2}, {}),  # 80 periods in 40 minutes: too few
    ],
)
def test_what_is_not_unmistakable_is_evidence_only(since, before):
    """A little, as ever, or too few periods to tell."""
    assert not host(served(), lived(since=since, **before)).is_to_blame


def test_nothing_known_before_blames_nobody():
    """Health recorded only from the onset on is reported without a comparison."""
    found = host(served(), lived(since=THROTTLED)[ONSET:])
    assert "not recorded before" in found.evidence().text
    assert not found.is_to_blame


def test_nobody_counted_or_other_processes_only():
    """Without health of the processes that served there is nothing to say."""
    assert host(served(), []) is None
    assert host(served(), lived("elsewhere")) is None


def test_a_canary_on_its_own_pod_is_compared_with_the_other_pods():
    """Its pod is throttled and theirs are not, at the same time."""
    canary = SeriesKey("delays", "2", "canary")
    windows = [*served(slow=False), *served("pod-2", key=canary)]
    found = host(windows, [*lived(), *lived("pod-2", **THROTTLED)], ("2", "canary"))
    assert found.evidence().text.startswith("host: throttled 38 % of the time since 03:20 (0 % elsewhere); ")
    assert found.is_to_blame


def test_two_versions_in_one_process_have_one_machine():
    """Then the baseline is the time before the onset."""
    windows = [*served(slow=False), *served(key=SeriesKey("delays", "2", "canary"))]
    assert host(windows, lived(), ("2", "canary")).word == "before"


def of_agent(windows, agent):
    """Return windows of health as the agent of their process writes them."""
    return [replace(window, key=window.key._replace(cohort=agent)) for window in windows]


def test_the_health_of_workers_goes_with_the_calls_of_their_agent():
    """Two workers of agent-1 are throttled half the time of one, and those of another agent have no say."""
    workers = [*lived("worker-1", since=THROTTLED), *lived("worker-2")]
    elsewhere = of_agent(lived("worker-3", since={"throttled_periods": 600}), "agent-2")
    found = host(served("agent-1"), [*of_agent(workers, "agent-1"), *elsewhere])
    assert found.evidence().text.startswith("host: throttled 19 % of the time since 03:20 (0 % before); ")
    assert host(served("agent-1"), elsewhere) is None


def test_a_canary_with_an_agent_of_its_own_is_compared_with_the_other_agents():
    """As without agents."""
    windows = [*served("agent-1", slow=False), *served("agent-2", key=SeriesKey("delays", "2", "canary"))]
    runtime = [*of_agent(lived("worker-1"), "agent-1"), *of_agent(lived("worker-2", **THROTTLED), "agent-2")]
    assert host(windows, runtime, ("2", "canary")).word == "elsewhere"


def test_the_health_of_workers_is_no_model():
    """In a whole check neither."""
    diagnosis = check([*served("agent-1", slow=False), *of_agent(lived("worker-1", since=THROTTLED), "agent-1")], {})
    assert (diagnosis.findings, diagnosis.windows, diagnosis.calls) == ((), 240, 4800)


def latency_finding(runtime):
    """Return the one finding of a server whose calls became slow."""
    (finding,) = check([*served(), *runtime], {}).findings
    return finding


def test_the_verdict_is_the_machine_when_it_is_to_blame():
    """The slow phase is predict, which alone would say the model; throttling is the finding, and the slow calls its symptom."""
    diagnosis = check([*served(), *lived(since=THROTTLED)], {})
    assert [finding.name for finding in diagnosis.findings] == ["runtime.throttling.all"]
    (finding,) = [note for note in diagnosis.notes if note.kind == "latency"]
    assert finding.verdict == (
        "The machine, not the model: the CPU limit held the process back 38 % of the time since 03:20 (0 % before), "
        "while a call takes no more CPU than before. Raise the CPU limit or add replicas."
    )
    assert finding.evidence[2].name == "host"


@pytest.mark.parametrize("phase", ["predict", "score", "feature_fetch", "inférence"])
@pytest.mark.parametrize(
    ("since", "said"),
    [
        ({}, "Calls wait there rather than compute: a call takes 300 ms of CPU, 300 ms before."),
        ({"cpu_s": 9.0}, "Calls compute more: a call takes 450 ms of CPU, 300 ms before."),
    ],
)
def test_the_verdict_goes_by_what_the_process_did_and_not_by_the_name_of_the_phase(phase, since, said):
    """The same slow calls wait on a quiet machine and compute on a busy one, for any name of their phase."""
    windows = [
        replace(window, latency=replace(window.latency, phases=(phase,) if window.latency.phases else ())) for window in served()
    ]  # fmt: skip
    (finding,) = check([*windows, *lived(since=since)], {}).findings
    assert finding.verdict == f"The time is lost in {phase}. {said}"
    assert finding.evidence[2].text.startswith("host: no change")


def test_throttling_without_slow_calls_is_no_finding():
    """A throttled machine with fast answers is not an incident; and it is not a model."""
    diagnosis = check([*served(slow=False), *lived(since=THROTTLED)], {})
    assert diagnosis.findings == ()
    assert (diagnosis.windows, diagnosis.calls) == (240, 4800)


def test_health_that_nobody_counted_is_listed_where_it_was_wanted():
    """Beside a finding of slow calls only."""
    wanted = "the machine while calls were slow"
    assert wanted in {gap.check for gap in check(served(), {}).not_checked}
    assert wanted not in {gap.check for gap in check(served(slow=False), {}).not_checked}
