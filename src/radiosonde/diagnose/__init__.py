"""Diagnosis: pure functions from windows (read through a source) to findings.

``check(windows, references)`` gives a `Diagnosis`; `print_diagnosis` and `render_html` show it, `Diagnosis.to_json` exports it. Nothing here
reads a clock, a file or a setting, and nothing here knows where the windows came from.
"""

from radiosonde.diagnose.check import NothingToCheckError, check
from radiosonde.diagnose.finding import (
    Bars,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    NextStep,
    NotChecked,
    Onset,
    Place,
    QualityFigure,
    RateTable,
    Timeline,
)
from radiosonde.diagnose.html import render_html
from radiosonde.diagnose.text import print_diagnosis

__all__ = [
    "Bars",
    "Confidence",
    "Diagnosis",
    "Evidence",
    "Finding",
    "NextStep",
    "NotChecked",
    "NothingToCheckError",
    "Onset",
    "Place",
    "QualityFigure",
    "RateTable",
    "Timeline",
    "check",
    "print_diagnosis",
    "render_html",
]
