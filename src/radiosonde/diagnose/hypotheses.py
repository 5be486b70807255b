"""Weighs the possible causes: evidence for and against each, with the fact.

The causes are those that an engineer on call goes through. Facts come from findings, each with its evidence, and from checks that passed,
each with its detection floor: a check declares which causes it would have shown (`Check.about`). Names decide nothing; a phase called
"score" counts like any other, and whether calls compute or wait there is said by their CPU time.

A cause is *likely* if the evidence for it outweighs that against it and none is stronger; *possible* if there is evidence for it; *ruled
out* if there is only evidence against it; *not checked* if there is none, with the reason. Log evidence is capped at `_MOST`: a hundred
nats are not ten facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radiosonde.diagnose.finding import Checked, Finding, NotChecked

Cause = Literal["host", "backend", "version", "data", "traffic", "labels", "world", "telemetry"]

CAUSES: dict[Cause, str] = {
    "traffic": "traffic: load, retries, mix of callers",
    "backend": "what calls wait for: a backend, a phase",
    "host": "the host: CPU, memory, GC, event loop, pools",
    "version": "a model version",
    "data": "the data: a feature, a producer, the requests of a cohort",
    "labels": "the labels",
    "world": "the world changed",
    "telemetry": "our own telemetry",
}
"""Causes in the order of an investigation, with their names."""

State = Literal["likely", "possible", "ruled out", "not checked"]
_ORDER: dict[State, int] = {"likely": 0, "possible": 1, "ruled out": 2, "not checked": 3}

_MOST, _PASSED = 20.0, 3.0
_Said = tuple[Cause, bool, float, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact for or against a cause.

    Attributes:
        text: the sentence.
        weight: log evidence, at most 20; of a check that passed 3.
    """

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One possible cause on one model.

    Attributes:
        model: the model.
        cause: the cause.
        state: its state.
        score: sum of the weights for it, less those against it.
        speaks_for: facts for it, strongest first.
        speaks_against: facts against it.
        because: why it was not checked; ``""`` where it was.
    """

    model: str
    cause: Cause
    state: State
    score: float
    speaks_for: tuple[Fact, ...]
    speaks_against: tuple[Fact, ...]
    because: str = ""


def weigh(
    model: str, findings: Sequence[Finding], checked: Sequence[Checked], gaps: Sequence[NotChecked], lost: str
) -> tuple[Hypothesis, ...]:
    """Return the causes on *model*, the likeliest first.

    Args:
        model: the model.
        findings: its current findings.
        checked: the checks that were made on it.
        gaps: the checks that could not be made.
        lost: data that the host could not store; ``""`` without a recorded loss.
    """
    said: list[_Said] = [fact for finding in findings for fact in _of_finding(finding)]
    # A version that raises need not be slow: checks without findings are no evidence against a cause that another check found.
    suspected = {cause for cause, speaks_for, _, _ in said if speaks_for}
    said += [fact for check in checked for fact in _of_check(check) if fact[0] not in suspected]
    if lost:
        said.append(("telemetry", True, _PASSED, lost))
    else:
        said.append(("telemetry", False, _PASSED, "no process reported a loss"))
    made = []
    for cause in CAUSES:
        sides = [_strongest(said, cause, speaks_for=side) for side in (True, False)]
        score = sum(fact.weight for fact in sides[0]) - sum(fact.weight for fact in sides[1])
        reasons = [gap.because for gap in gaps if cause in gap.about]
        state: State = "possible" if sides[0] else "ruled out" if sides[1] else "not checked"
        because = (reasons[0] if reasons else "it could not be checked") if state == "not checked" else ""
        made.append(Hypothesis(model, cause, state, round(score, 2), sides[0], sides[1], because))
    best = max((each.score for each in made if each.speaks_for), default=0.0)
    return tuple(
        sorted(
            (_with_state(each, best) for each in made),
            key=lambda each: (_ORDER[each.state], -each.score if each.speaks_for else 0.0),
        )
    )


def _with_state(hypothesis: Hypothesis, best: float) -> Hypothesis:
    is_likely = bool(hypothesis.speaks_for) and hypothesis.score > 0 and hypothesis.score >= best
    return replace(hypothesis, state="likely") if is_likely else hypothesis


def _strongest(said: Sequence[_Said], cause: Cause, *, speaks_for: bool) -> tuple[Fact, ...]:
    found: dict[str, float] = {}
    for about, side, weight, text in said:
        if about == cause and side == speaks_for:
            found[text] = max(found.get(text, 0.0), min(weight, _MOST))
    facts = [Fact(text, round(weight, 2)) for text, weight in found.items()]
    return tuple(sorted(facts, key=lambda fact: -fact.weight))


def _of_check(check: Checked) -> Iterator[_Said]:
    """Yield the evidence of a check without findings against the causes that it would have detected."""
    floors = "; ".join(floor.text for floor in check.floors[:1] if floor.value == floor.value)
    unusable = check.floors and not floors
    for cause in () if unusable else check.about:
        yield (
            cause,
            False,
            _PASSED,
            f"would have reported {floors}, and found nothing: {check.check}"
            if floors
            else f"found nothing: {check.check}",
        )


def _of_finding(finding: Finding) -> Iterator[_Said]:
    """Yield the evidence of a finding."""
    weight, title = max(finding.confidence.ln_e, 0.0), finding.title
    by_kind: dict[str, Cause] = {"version": "version", "cohort": "data", "errors": "backend", "runtime": "host", "traffic": "traffic", "data": "data", "label": "labels", "drift": "world"}  # fmt: skip
    if finding.kind in by_kind:
        yield by_kind[finding.kind], True, weight, title
    if finding.kind == "quality":
        yield ("data" if finding.verdict.startswith("The inputs") else "world"), True, weight, title
    yield from _of_peers(finding, weight)
    if finding.kind == "latency":
        yield from _of_latency(finding, weight)


def _of_peers(finding: Finding, weight: float) -> Iterator[_Said]:
    """Yield the evidence of the other versions and callers at the same time."""
    said = {item.name: item.text for item in finding.evidence}
    if finding.kind == "version" and "rate_others" in said:
        for cause in ("backend", "host", "traffic"):
            yield cause, False, weight, said["rate_others"]
    first = finding.verdict.partition(":")[0]
    if first.startswith("All versions alike"):
        yield "version", False, weight, first
    if finding.kind == "traffic" and "others_per_minute" in said:
        yield "telemetry", False, weight, said["others_per_minute"]


def _of_latency(finding: Finding, weight: float) -> Iterator[_Said]:
    said = {item.name: item for item in finding.evidence}
    verdict = finding.verdict
    if verdict.startswith("The model version"):
        yield "version", True, weight, finding.title
        for cause in ("backend", "host", "traffic"):
            yield cause, False, weight, verdict
    elif verdict.startswith("The machine"):
        yield "host", True, weight, verdict.removeprefix("The machine, not the model: ")
        yield "version", False, weight, verdict.removeprefix("The machine, not the model: ")
    elif "they do not compute" in verdict:
        waits = verdict[verdict.index("Calls wait") :]
        yield "backend", True, weight, finding.title
        yield "version", False, min(weight, 2 * _PASSED), waits
    elif "Calls compute more" in verdict:
        yield "version", True, weight / 2, verdict[verdict.index("Calls compute") :]
        yield "data", True, weight / 4, verdict[verdict.index("Calls compute") :]
        yield "backend", False, min(weight, 2 * _PASSED), verdict[verdict.index("Calls compute") :]
    else:
        yield "backend", True, weight, finding.title
    if "host" in said and not verdict.startswith("The machine"):
        yield "host", "no change" not in said["host"].text, _PASSED, said["host"].text
    mix = said.get("mix")
    if mix is not None:
        yield "traffic", False, _PASSED, mix.text
