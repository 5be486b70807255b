"""Checks the age of the newest labelled prediction against the declared bound; no history is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from radiosonde.config.values import duration_words
from radiosonde.diagnose.finding import Confidence, Evidence, Finding, Onset, Place, iso
from radiosonde.diagnose.next_steps import look_at_labels, look_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.model import Window

_COUNTED = Confidence(30.0, "certain: counted, not estimated")


class LabelAge(NamedTuple):
    """How old the newest label is.

    Attributes:
        bound_ns: the declared bound.
        newest_ns: end of the newest window with a label, or start of the first window where none has one.
        has_labels: whether any window has a label.
        now_ns: end of the last window.
    """

    bound_ns: int
    newest_ns: int
    has_labels: bool
    now_ns: int

    @property
    def age_ns(self) -> int:
        """Age of the newest prediction that has a label, or of the first prediction."""
        return self.now_ns - self.newest_ns

    @property
    def is_stale(self) -> bool:
        """Whether the bound is exceeded."""
        return self.age_ns > self.bound_ns


def label_age(windows: Sequence[Window], bound_s: float) -> LabelAge:
    """Return the age of the newest label of *windows*; *bound_s* is the declared bound."""
    labelled = [
        window.end_ns
        for window in windows
        if window.labels is not None and (any(window.labels.outcomes.values()) or bool(window.labels.lags.any()))
    ]
    newest = max(labelled, default=min(window.start_ns for window in windows))
    return LabelAge(int(bound_s * 1e9), newest, bool(labelled), max(window.end_ns for window in windows))


def stale_finding(model: str, age: LabelAge) -> Finding:
    """Return the finding on labels that are older than declared; a ticket, because predictions are unaffected."""
    where = Place(model)
    broken = age.newest_ns + age.bound_ns
    onset = Onset(broken, broken, broken, whole_span=not age.has_labels)
    bound, shown = duration_words(age.bound_ns / 1e9), duration_words(age.age_ns / 1e9)
    if age.has_labels:
        title = f"the newest prediction with a label is {shown} old; the objective is {bound}"
        text = f"the newest prediction with a label was made at {iso(age.newest_ns)}, {shown} before the last window"
    else:
        title = f"no label arrived in {shown}; the objective is {bound}"
        text = f"predictions have been recorded since {iso(age.newest_ns)}, and none has a label"
    verdict = "The label pipeline, not the model: labels are later than declared. Whether newer predictions are correct is unknown."
    return Finding(
        "label.stale.all", "label", "ticket", title, verdict, where, onset, _COUNTED,
        (Evidence("label_age", age.age_ns / 1e9, "s", text), objective_evidence(age)),
        (look_at_labels(where, onset), look_before(where, onset)),
    )  # fmt: skip


def objective_evidence(age: LabelAge) -> Evidence:
    """Return the objective, as evidence."""
    text = f"objective: the newest prediction with a label is at most {duration_words(age.bound_ns / 1e9)} old"
    return Evidence("objective", age.bound_ns / 1e9, "s", text)
