"""A diagnosis and a finding in a line and as short HTML, for `repr` and notebooks. `render_html` makes the whole report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.text import onset_words, place_words, reasons, span_words, state_words, status_words
from radiosonde.model.notebook import card, shown

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Diagnosis, Finding

_TITLE = 120
_EVIDENCE = 6


def finding_words(finding: Finding) -> str:
    """Return severity, kind, title and onset of *finding* on one line."""
    named = f"{shown(finding.id, _TITLE)}, " if finding.id else ""
    return f"Finding {named}{finding.severity}, {finding.kind}: {shown(finding.title, _TITLE)}; since {onset_words(finding.onset)}"


def finding_html(finding: Finding) -> str:
    """Return *finding* as short HTML: verdict, place, onset, certainty, impact, and the first lines of evidence."""
    facts = [
        ("verdict", finding.verdict),
        ("where", place_words(finding.where)),
        ("since", onset_words(finding.onset)),
        ("how sure", finding.confidence.words),
        ("incident", f"{finding.id}, {state_words(finding)}" if finding.id else ""),
        ("impact", "" if finding.impact is None else finding.impact.text),
    ]
    rows = [(each.text,) for each in finding.evidence[:_EVIDENCE]]
    return card(f"{finding.severity}, {finding.kind}: {finding.title}", facts, ("evidence",), rows)


def diagnosis_words(diagnosis: Diagnosis) -> str:
    """Return status and scope of *diagnosis* on one line."""
    return f"Diagnosis: {status_words(diagnosis)}; {span_words(diagnosis)}"


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """Return *diagnosis* as short HTML: its status with the reasons, and one line per finding."""
    rows = [
        (finding.severity, finding.title, shown(finding.where.model), onset_words(finding.onset), finding.id)
        for finding in diagnosis.findings
    ]
    facts = [
        ("because", "; ".join(reasons(diagnosis))),
        ("checks made", len(diagnosis.checked)),
        ("not made", len(diagnosis.not_checked)),
    ]
    return card(diagnosis_words(diagnosis), facts, ("severity", "finding", "model", "since", "incident"), rows)
