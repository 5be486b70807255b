"""Findings and diagnoses built by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from radiosonde.diagnose import Checked, Confidence, Diagnosis, Finding, NotChecked, Onset, Place
from radiosonde.watch.life import Links

MINUTE_NS = 60_000_000_000
T0 = 1_767_225_600_000_000_000


def finding(**changed: Any) -> Finding:
    """Return an open page on model m, that began at minute 100."""
    onset = Onset(T0 + 100 * MINUTE_NS, T0 + 100 * MINUTE_NS, T0 + 101 * MINUTE_NS, changed.pop("ended_ns", None))
    made = Finding(
        "errors.rise", "errors", "page", "failed calls rose", "All versions are affected.", Place("m"), onset,
        Confidence(30.0, "beyond doubt"), opened_ns=T0 + 102 * MINUTE_NS, id="20260101-aaaaaa", check="failures",
    )  # fmt: skip
    return replace(made, **changed)


def over(state: str = "recovered", **changed: Any) -> Finding:
    """Return the same finding when it has ended, as an engine lists it: a note."""
    return finding(severity="info", state=state, ended_ns=T0 + 130 * MINUTE_NS, **changed)


def diagnosis(*findings: Finding, model: str = "m", **changed: Any) -> Diagnosis:
    """Return a diagnosis of model *model* that made its checks, with these findings and notes."""
    made = Diagnosis(
        tuple(each for each in findings if each.severity != "info" and each.state != "muted"),
        tuple(each for each in findings if each.severity == "info"),
        (),
        (Checked("failures of 100 calls", Place(model), "errors", name="failures"),),
        T0, T0 + 200 * MINUTE_NS, 1000, 200,
        muted=tuple(each for each in findings if each.state == "muted"),
    )  # fmt: skip
    return replace(made, **changed)


def unseen() -> Diagnosis:
    """Return a diagnosis that had nothing to check."""
    gap = NotChecked("everything", Place(""), "there is no window", "all")
    return Diagnosis((), (), (), (), 0, 0, 0, 0, missing=(gap,))


LINKS = Links(lambda incident: "", lambda incident, onset_ns, ended_ns: "", lambda finding: ("", "", ""))
