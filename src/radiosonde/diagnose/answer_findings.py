"""Formulates findings of answers that departed from the own past of their version, or from the reference.

A class that suddenly is nearly every answer, or none, is a page: such a model is not useful. Smaller changes usually follow the inputs:
they are a drift and a note, and a ticket if they affect a quarter of the rows or more, last for a day, and are unusual for a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.next_steps import look_before
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.answer_counts import AnswerCounts
    from radiosonde.diagnose.finding import Kind, Severity
    from radiosonde.diagnose.own_past import OwnPast, ShareDeparture
    from radiosonde.reference.profile import Reference

_DEGENERATE, _ORDINARY, _TICKET_ODDS, _TICKET_SHARE = 0.03, 0.1, 1.0, 0.25
_TELLING_ROWS = 30.0
_DAY_NS = 86_400_000_000_000
_POINTS = 96
_CLOSE_LN, _LEAST_ROWS = 12.0, 200.0
_TOLERATED = {"predictions": 1.0, "labels": 2.0}
"""Tolerated difference from the reference, on the log-odds scale: its predictions are answers; its labels need not be shared out alike."""


class AnswerArm(NamedTuple):
    """One version and its answers.

    Attributes:
        model: the model.
        version: the version.
        variant: its variant.
        is_single: there is no other one.
        counts: its answers.
        past: the replay over them.
        cohort: the cohort; ``""`` for all.
        least_ns: how long answers must be nearly alike to be a page: a single window of a small cohort may be by chance of its callers.
    """

    model: str
    version: str
    variant: str
    is_single: bool
    counts: AnswerCounts
    past: OwnPast
    cohort: str = ""
    least_ns: int = 0

    @property
    def where(self) -> Place:
        """The place of its findings."""
        return (
            Place(self.model, cohort=self.cohort)
            if self.is_single
            else Place(self.model, self.version, self.variant, self.cohort)
        )

    @property
    def whom(self) -> str:
        """The words that a title begins with: the version and the cohort, where they are not all."""
        parts = ([] if self.is_single else [f"version {self.version or '(no version)'}"]) + [self.cohort]
        said = ", ".join(part for part in parts if part)
        return f"{said}: " if said else ""


def departure_finding(arm: AnswerArm, departure: ShareDeparture, *, step_ns: int, wants_past: bool) -> Finding:
    """Return the finding on *departure*; a note where it is over, or young and not degenerate.

    A change that was never a page or a ticket is a drift, and not an incident when it is over.
    """
    starts = arm.past.start_ns
    ended = None if departure.ended is None else int(starts[min(departure.ended, starts.size - 1)])
    at, earliest, latest = (int(starts[step]) for step in (departure.onset, departure.earliest, departure.latest))
    onset = Onset(at, earliest, latest, ended)
    end = starts.size if departure.ended is None else departure.ended
    inside = slice(departure.onset, end)
    hits, trials = (float(part[departure.measure, inside].sum()) for part in (arm.past.hits, arm.past.trials))
    share = hits / max(trials, 1.0)
    lasted = (ended if ended is not None else int(starts[-1]) + step_ns) - onset.at_ns
    is_large = (
        abs(_odds(share) - _odds(departure.usual)) >= _TICKET_ODDS and abs(share - departure.usual) >= _TICKET_SHARE
    )
    is_alike = is_degenerate(share, departure.usual)
    lasts = lasted >= _DAY_NS and is_large and departure.is_lasting
    severity: Severity = "page" if is_alike and lasted >= arm.least_ns else "ticket" if lasts or is_alike else "info"
    kind: Kind = "drift" if severity == "info" else "answers"
    if ended is not None and not wants_past:
        severity = "info"
    name = arm.counts.names[departure.measure]
    whom = arm.whom
    what = name if departure.measure < len(arm.counts.classes) else f"gives {name}"
    title = f"{whom}the model {what} in {percent(share)} of the rows, usually {percent(departure.usual)}"
    verdict = (
        "Nearly all answers are the same: check which model file is loaded, its threshold, and whether features arrive empty or in another order. "
        if is_alike
        else "The answers moved. Where features moved at the same time, it is the inputs; where none did, the model or its version. "
    )
    verdict += "Whether the answers are wrong is unknown until their labels arrive."
    evidence = [
        Evidence("share", share, "share", f"{name}: {hits:.0f} of {trials:.0f} rows since the onset"),
        Evidence("usual", departure.usual, "share", f"usual at these hours: {percent(departure.usual)}"),
        *_others(arm, departure, inside),
    ]
    return Finding(
        f"answers.shift.{arm.version if not arm.is_single else 'all'}", kind, severity, title, verdict, arm.where, onset,
        confidence(departure.ln_e), tuple(evidence), (look_before(arm.where, onset),), (_timeline(arm, departure.measure),),
        opened_ns=int(starts[departure.opened]) + step_ns,
    )  # fmt: skip


def is_degenerate(share: float, usual: float) -> bool:
    """Return whether nearly all rows, or nearly none, have a class that a part of them usually has."""
    return (share >= 1 - _DEGENERATE and usual <= 1 - _ORDINARY) or (share <= _DEGENERATE and usual >= _ORDINARY)


def moves_with(arm: AnswerArm, leader: AnswerArm, departure: ShareDeparture) -> bool | None:
    """Return whether the same share of *arm* moved with that of *leader*, by at least half as much; None with too few rows."""
    name = leader.counts.names[departure.measure]
    starts = leader.past.start_ns
    begin = int(starts[departure.onset])
    end = int(starts[departure.ended]) if departure.ended is not None and departure.ended < starts.size else 2**63 - 1
    inside = (arm.past.start_ns >= begin) & (arm.past.start_ns < end)
    if name not in arm.counts.names:
        return None
    row = arm.counts.names.index(name)
    trials = arm.past.trials[row, inside]
    if trials.sum() < _TELLING_ROWS:
        return None
    share = (float(arm.past.hits[row, inside].sum()) + 0.5) / (float(trials.sum()) + 1.0)
    usual = float(np.clip((arm.past.usual[row, inside] * trials).sum() / trials.sum(), 1e-4, 1 - 1e-4))
    odds = float(np.log(share / (1 - share)) - np.log(usual / (1 - usual)))
    return odds * departure.odds > 0 and abs(odds) >= 0.5 * abs(departure.odds)


def reference_finding(arm: AnswerArm, reference: Reference) -> Finding | None:
    """Return the finding on a class whose share of the last day is not that of *reference*; None where all are within tolerance."""
    starts, counts = arm.past.start_ns, arm.counts
    output = reference.output
    known, kind = _reference_shares(reference)
    inside = slice(int(np.searchsorted(starts, int(starts[-1]) - _DAY_NS, side="right")), starts.size)
    worst: tuple[float, str, float, float] | None = None
    rows = float(counts.trials[0, inside].sum()) if counts.classes else 0.0
    if rows < _LEAST_ROWS or reference.provisional or not known:
        return None
    for row, name in enumerate(counts.classes):
        if name not in output.classes:
            continue
        usual = float(np.clip(known[output.classes.index(name)], 1e-4, 1 - 1e-4))
        hits, trials = counts.hits[row, inside], counts.trials[row, inside]
        share = (float(hits.sum()) + 0.5) / (float(trials.sum()) + 1.0)
        observed = float(hits.sum() / max(trials.sum(), 1.0))
        noise = (hits - share * trials) ** 2 / np.maximum(share * (1 - share) * trials, 1e-9)
        spread = max(float(noise[trials > 0].mean()), 1.0)
        tolerated = _TOLERATED[kind] * (1.0 if share > usual else -1.0)
        bound = 1 / (1 + np.exp(-(np.log(usual / (1 - usual)) + tolerated)))
        if (share - bound) * tolerated <= 0:
            continue
        gain = sum(
            part * np.log(part / other) for part, other in ((observed, bound), (1 - observed, 1 - bound)) if part > 0
        )
        ln_e = float(trials.sum() * gain / spread - np.log(2 * len(counts.classes)))
        if ln_e >= _CLOSE_LN and (worst is None or ln_e > worst[0]):
            worst = (ln_e, counts.names[row], observed, usual)
    if worst is None:
        return None
    ln_e, name, share, usual = worst
    onset = Onset(int(starts[inside.start]), int(starts[0]), int(starts[-1]), whole_span=inside.start == 0)
    whom = "" if arm.is_single else f"version {arm.version or '(no version)'}: "
    return Finding(
        f"answers.reference.{arm.version if not arm.is_single else 'all'}", "answers", "ticket",
        f"{whom}the model {name} in {percent(share)} of the rows of the last day, {percent(usual)} in the reference",
        f"Compared with the {kind} of the reference, not with the past: it may have been the case from the first call. Different inputs, another "
        "threshold, or classes in another order cause this.",
        arm.where, onset, confidence(ln_e),
        (Evidence("share", share, "share", f"{name}: {percent(share)} of {rows:.0f} rows of the last day"), Evidence("reference", usual, "share", f"{percent(usual)} of the {kind} of the reference")),
        (look_before(arm.where, onset),), (_timeline(arm, counts.names.index(name)),),
    )  # fmt: skip


def _reference_shares(reference: Reference) -> tuple[tuple[float, ...], str]:
    output = reference.output
    total = sum(output.predicted_counts)
    if total:
        return tuple(count / total for count in output.predicted_counts), "predictions"
    return output.priors, "labels"


def _others(arm: AnswerArm, departure: ShareDeparture, inside: slice) -> list[Evidence]:
    """Return the other shares that moved most since the onset."""
    hits, trials = arm.past.hits[:, inside].sum(axis=1), np.maximum(arm.past.trials[:, inside].sum(axis=1), 1.0)
    usual = (arm.past.usual * arm.past.trials)[:, inside].sum(axis=1) / trials
    moved = np.abs(hits / trials - usual)
    moved[departure.measure] = -1.0
    return [
        Evidence(f"share_{arm.counts.names[row]}", float(hits[row] / trials[row]), "share", f"{arm.counts.names[row]}: {percent(float(hits[row] / trials[row]))}, usually {percent(float(usual[row]))}")
        for row in np.argsort(-moved)[:3]
        if moved[row] >= 0.01
    ]  # fmt: skip


def _timeline(arm: AnswerArm, measure: int) -> Timeline:
    starts = arm.past.start_ns
    edges = np.unique(np.linspace(0, starts.size, min(_POINTS, starts.size), endpoint=False).astype(np.int64))
    sums = [
        np.add.reduceat(part[measure], edges)
        for part in (arm.past.hits, arm.past.trials, arm.past.usual * arm.past.trials)
    ]
    lines = [
        (label, [float(hit / total) if total else None for hit, total in zip(part, sums[1], strict=True)])
        for label, part in (("share", sums[0]), ("usual", sums[2]))
    ]
    return Timeline(arm.counts.names[measure], "share", [int(starts[edge]) for edge in edges], lines)


def _odds(share: float) -> float:
    kept = min(max(share, 1e-4), 1 - 1e-4)
    return float(np.log(kept / (1 - kept)))
