"""The result of a diagnosis: findings, notes and skipped checks, as frozen values with a JSON form.

The JSON form is documented in ``docs/reference/diagnosis.md`` and versioned by `SCHEMA`: fields are added, never renamed. Times
are integer nanoseconds since the Unix epoch (event time) with an ISO 8601 twin for people.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from radiosonde.diagnose.json_values import to_json_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.hypotheses import Cause, Hypothesis
    from radiosonde.quality import Estimate

SCHEMA = "radiosonde.diagnosis/1"

Kind = Literal[
    "answers",
    "data",
    "version",
    "cohort",
    "errors",
    "latency",
    "drift",
    "quality",
    "label",
    "runtime",
    "traffic",
    "telemetry",
]
Severity = Literal["page", "ticket", "info"]
SEVERITIES: tuple[Severity, ...] = ("page", "ticket", "info")
"""Worst first."""

Status = Literal["findings", "healthy", "not checked", "stale"]
"""Status of a whole diagnosis, decided by `radiosonde.diagnose.status`."""

State = Literal["open", "acknowledged", "muted", "recovered", "verified"]
"""States of an incident, defined in `radiosonde.diagnose.incidents`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is wrong; ``""`` means everywhere (all versions, all cohorts, ...)."""

    model: str
    version: str = ""
    variant: str = ""
    cohort: str = ""
    feature: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Onset:
    """Since when.

    Attributes:
        at_ns: start of the first affected step, the most likely one.
        earliest_ns: start of the likelihood set (log-likelihood within 3.3, and dispersion, of the best).
        latest_ns: end of it.
        ended_ns: end of the last affected step; None while it lasts.
        whole_span: wrong from the first window on, so that nothing before it is known.
    """

    at_ns: int
    earliest_ns: int
    latest_ns: int
    ended_ns: int | None = None
    whole_span: bool = False


@dataclass(frozen=True, slots=True)
class Confidence:
    """Confidence: natural logarithm of the e-value, corrected for every look, and its description.

    An e-value of *E* is reached by chance in at most one of *E* healthy reports, as far as the past is a guide.
    """

    ln_e: float
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One named number with its unit and the sentence that reads it."""

    name: str
    value: float | str
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class NextStep:
    """A next step and its command; the word STORE is replaced by the store's path."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A series over event time with the onset marked; None where nothing was counted."""

    title: str
    unit: str
    start_ns: Sequence[int]
    lines: Sequence[tuple[str, Sequence[float | None]]]


@dataclass(frozen=True, slots=True)
class Bars:
    """Groups of bars: the same categories in several states (reference, before, after), as shares."""

    title: str
    categories: Sequence[str]
    groups: Sequence[tuple[str, Sequence[float]]]
    unit: str = "share"
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class RateTable:
    """Counts side by side: one row per cohort, per column (events, total)."""

    title: str
    row_label: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]
    marked: str = ""


Figure = Timeline | Bars | RateTable


@dataclass(frozen=True, slots=True)
class Responsible:
    """Owner, contacts and rollback, as declared in `radiosonde.toml`; ``""`` if not declared.

    Attributes:
        owner: team or person.
        contacts: where to reach them.
        rollback: command that restores the previous version; only where that may cure the finding.
        flag: feature flag of the model.
    """

    owner: str = ""
    contacts: tuple[str, ...] = ()
    rollback: str = ""
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Impact:
    """Cost of an incident so far.

    Attributes:
        calls: calls that failed beyond what was usual, or, where nothing failed, calls served at the place since the onset.
        calls_per_hour: the same per hour.
        noun: description of these calls.
        text: as a sentence.
    """

    calls: int
    calls_per_hour: float
    noun: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation of an incident by a person, while it is in force.

    Attributes:
        purpose: ``ack``: being worked on; ``mute``: no notifications.
        model: its model.
        incident: its id.
        identity: identifies the incident in later diagnoses, as JSON.
        until_ns: its expiry, by wall clock.
        why: the reason.
        author: the author.
    """

    purpose: Literal["ack", "mute"]
    model: str
    incident: str
    identity: str
    until_ns: int
    why: str
    author: str


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: stable id of the check and its object, e.g. ``data.unit.wind_speed``.
        kind: family of causes.
        severity: ``page`` requires action now, ``ticket`` soon; ``info`` is a note and never results in exit code 1.
        title: one line.
        verdict: interpretation, in sentences.
        where: model, version, cohort, feature, phase.
        onset: since when.
        confidence: how sure.
        evidence: the numbers behind it.
        next_steps: recommended next steps.
        figures: data of the figures in the HTML report.
        responsible: owner and contacts; None if not declared.
        opened_ns: end of the window in which the evidence passed its price; None if unknown.
        id: id of the incident; ``""`` for other findings.
        check: name of the check that found it.
        state: state of the incident.
        mark: acknowledgement or mute; None without one.
        impact: cost so far; None for other findings.
    """

    name: str
    kind: Kind
    severity: Severity
    title: str
    verdict: str
    where: Place
    onset: Onset
    confidence: Confidence
    evidence: tuple[Evidence, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    figures: tuple[Figure, ...] = ()
    responsible: Responsible | None = None
    opened_ns: int | None = None
    id: str = ""
    check: str = ""
    state: State = "open"
    mark: Mark | None = None
    impact: Impact | None = None

    def __repr__(self) -> str:
        from radiosonde.diagnose.notebook import finding_words

        return f"<{finding_words(self)}>"

    def _repr_html_(self) -> str:
        from radiosonde.diagnose.notebook import finding_html

        return finding_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, text and numbers, as in the document of a diagnosis."""
        record = asdict(self)
        record["onset"]["at"] = iso(self.onset.at_ns)
        for figure, picture in zip(self.figures, record["figures"], strict=True):
            picture["type"] = type(figure).__name__.lower()
        plain: dict[str, Any] = to_json_values(record)
        return plain


@dataclass(frozen=True, slots=True)
class Floor:
    """The smallest change that a check would have reported by now with probability 0.9.

    Attributes:
        value: the change; NaN where none, however large, would have been seen.
        unit: unit of *value*.
        text: as a sentence.
    """

    value: float
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that was made and, unless there is a finding of it, passed.

    Attributes:
        check: description of the check, with its counts.
        where: the model, and the checked part of it.
        subject: subject for gates (one of `radiosonde.diagnose.status.SUBJECTS`), or ``""``.
        floors: the smallest changes it would have reported.
        weakened: losses that reduce the power of the check; ``""`` for none.
        about: causes that it would have detected; empty if it found something.
        name: name of the check, which stays.
    """

    check: str
    where: Place
    subject: str = ""
    floors: tuple[Floor, ...] = ()
    weakened: str = ""
    about: tuple[Cause, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A check that could not be made, with the reason: missing data must never look like health.

    Attributes:
        check: the check.
        where: the model, and the part of it.
        because: the reason.
        subject: subject for gates that is not covered because of it; ``all`` for every subject, ``""`` for none.
        about: causes that are unchecked therefore.
        name: stable name of the check; ``""`` if it is not a check.
    """

    check: str
    where: Place
    because: str
    subject: str = ""
    about: tuple[Cause, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Time that served as no baseline.

    Attributes:
        where: the model.
        start_ns: start.
        end_ns: end.
        why: the reason: the annotation of a person, or the title of the ended incident.
        number: number of the exclusion, for withdrawing it; 0 for an incident.
    """

    where: Place
    start_ns: int
    end_ns: int
    why: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class QualityFigure:
    """How good the answers of one version have been lately, or why that is not known.

    Attributes:
        where: model, version and variant.
        metric: ``error_rate``, ``auc``, ``mae``, ...
        since_ns: start of the range of predictions; it ends at the estimate's ``until_ns``.
        corrected: the estimate, with early labels weighted for missing ones.
        raw: the estimate from arrived labels, unweighted.
        cbpe: the expectation from confidences, assuming no concept drift; None for a regression.
        mixed: arrived labels, and expectation for the rest; None for a regression.
    """

    where: Place
    metric: str
    since_ns: int
    corrected: Estimate
    raw: Estimate
    cbpe: Estimate | None = None
    mixed: Estimate | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """The whole answer.

    Attributes:
        findings: findings, worst first.
        notes: changes that need no action (a season); severity ``info``.
        not_checked: checks with insufficient data.
        checked: the checks that were made, with their counts and detection floors.
        start_ns: start of the first window.
        end_ns: end of the last window.
        calls: number of calls of models. A model inside a request is one of each kind, so the two are not added.
        windows: number of windows.
        quality: quality of each version's latest predictions.
        missing: the required checks that could not be made.
        is_stale: the last write is older than windows of this length allow.
        written_ns: last write to the store, by wall clock; None if not requested.
        left_out: time excluded from baselines.
        hypotheses: possible causes on each model, the likeliest first.
        muted: muted findings: listed, without effect on the exit code.
        requests: number of requests to routes of a web application.
    """

    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]
    checked: tuple[Checked, ...]
    start_ns: int
    end_ns: int
    calls: int
    windows: int
    quality: tuple[QualityFigure, ...] = ()
    missing: tuple[NotChecked, ...] = ()
    is_stale: bool = False
    written_ns: int | None = None
    left_out: tuple[LeftOut, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    muted: tuple[Finding, ...] = ()
    requests: int = 0

    @property
    def status(self) -> Status:
        """The status in a word; see `radiosonde.diagnose.status`."""
        if self.findings:
            return "findings"
        if self.missing:
            return "not checked"
        return "stale" if self.is_stale else "healthy"

    @property
    def healthy(self) -> bool:
        """Whether everything required was checked, the data are fresh, and nothing calls for a person."""
        return self.status == "healthy"

    @property
    def incidents(self) -> tuple[Finding, ...]:
        """Every incident, the open ones first, then by the time of its onset, the latest first."""
        known = [finding for finding in (*self.findings, *self.muted, *self.notes) if finding.id]
        return tuple(sorted(known, key=lambda each: (each.onset.ended_ns is not None, -each.onset.at_ns, each.id)))

    def __repr__(self) -> str:
        from radiosonde.diagnose.notebook import diagnosis_words

        return f"<{diagnosis_words(self)}>"

    def _repr_html_(self) -> str:
        from radiosonde.diagnose.notebook import diagnosis_html

        return diagnosis_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, text and numbers; schema `SCHEMA`."""
        document = {"schema": SCHEMA, "status": self.status, "healthy": self.healthy, **asdict(self)}
        for name in ("findings", "notes", "muted"):
            document[name] = [finding.to_json() for finding in getattr(self, name)]
        plain: dict[str, Any] = to_json_values(document)
        return plain


def iso(time_ns: int) -> str:
    """Return *time_ns* as ISO 8601 UTC text to the minute."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%MZ")


def confidence(ln_e: float) -> Confidence:
    """Return *ln_e* with its description; odds beyond a billion to one are not claimed."""
    if ln_e >= math.log(1e9):
        words = "beyond doubt: chance would do this in fewer than one report in 1 000 000 000"
    elif ln_e >= math.log(1e3):
        words = f"sure: chance would do this in about one report in {_rounded(math.exp(ln_e))}"
    elif ln_e >= math.log(20):
        words = f"likely: chance would do this in about one report in {_rounded(math.exp(ln_e))}"
    else:
        words = "a hint, not more"
    return Confidence(round(ln_e, 2), words)


def _rounded(number: float) -> str:
    digits = 10 ** max(0, int(math.log10(number)) - 0)
    return f"{int(number // digits * digits):,}".replace(",", " ")
