"""The last answer about each model, and all of them as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from radiosonde.diagnose import Diagnosis, Finding
from radiosonde.model import Exemplar, Window, parse_cohort

_SEVERITY = {"page": 0, "ticket": 1, "info": 2}

Examples = list[tuple[Window, Exemplar]]


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The last diagnosis of a model.

    Attributes:
        model: the model.
        diagnosis: the answer.
        window_ns: length of its windows.
        looked_ns: when, by the monotonic clock.
        examples: calls that its incidents affected, by their ids.
    """

    model: str
    diagnosis: Diagnosis
    window_ns: int
    looked_ns: int
    examples: Mapping[str, Exemplar] = field(default_factory=dict)


def put_together(answers: Sequence[ModelAnswer], written_ns: int | None, *, is_stale: bool) -> Diagnosis:
    """Return the answers about single models as one, the worst findings first."""
    parts = [answer.diagnosis for answer in answers if answer.diagnosis.windows]
    return Diagnosis(
        findings=_worst(finding for part in parts for finding in part.findings),
        notes=_worst(note for part in parts for note in part.notes),
        not_checked=tuple(gap for part in parts for gap in part.not_checked),
        checked=tuple(each for part in parts for each in part.checked),
        start_ns=min((part.start_ns for part in parts), default=0),
        end_ns=max((part.end_ns for part in parts), default=0),
        calls=sum(part.calls for part in parts),
        requests=sum(part.requests for part in parts),
        windows=sum(part.windows for part in parts),
        quality=tuple(each for part in parts for each in part.quality),
        missing=tuple(dict.fromkeys(gap for part in parts for gap in part.missing)),
        is_stale=is_stale,
        written_ns=written_ns,
        left_out=tuple(each for part in parts for each in part.left_out),
        hypotheses=tuple(each for part in parts for each in part.hypotheses),
        muted=tuple(finding for part in parts for finding in part.muted),
    )


def _worst(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (_SEVERITY[each.severity], -each.confidence.ln_e)))


def examples_of(windows: Sequence[Window]) -> Examples:
    """Return the traced calls of *windows*."""
    return [(window, each) for window in windows for each in window.latency.exemplars.values() if each.trace_id]


def example_of(examples: Examples, finding: Finding) -> Exemplar | None:
    """Return the slowest traced call at the place of *finding* since its onset; None where there is none."""
    where, onset = finding.where, finding.onset
    cohort = dict(_dimensions(where.cohort))
    chosen = [
        each
        for window, each in examples
        if window.key.model == where.model
        and where.version in ("", window.key.version)
        and where.variant in ("", window.key.variant)
        and cohort.items() <= dict(_dimensions(window.key.cohort)).items()
        and window.end_ns > onset.at_ns
        and (onset.ended_ns is None or window.start_ns < onset.ended_ns)
    ]
    return max(chosen, key=lambda each: each.value_s, default=None)


def _dimensions(cohort: str) -> Collection[tuple[str, str]]:
    try:
        return list(parse_cohort(cohort).items())
    except ValueError:  # the overflow, or a hand-written cohort name
        return [("", cohort)]
