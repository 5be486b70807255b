"""Diagnosis: pure functions from windows (read through a source) to findings.

``check(windows, references)`` gives a `Diagnosis`; `print_diagnosis` and `render_html` show it, `Diagnosis.to_json` exports it. Nothing
here reads a clock or a setting, and nothing here depends on the origin of the windows. `radiosonde.diagnose.live` updates a diagnosis as
windows arrive; its state is the only file that is written.
"""

from radiosonde.diagnose.check import check
from radiosonde.diagnose.finding import (
    Bars,
    Checked,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Floor,
    Impact,
    LeftOut,
    Mark,
    NextStep,
    NotChecked,
    Onset,
    Place,
    QualityFigure,
    RateTable,
    Responsible,
    State,
    Status,
    Timeline,
)
from radiosonde.diagnose.html import render_html
from radiosonde.diagnose.known_bad import KnownBad
from radiosonde.diagnose.policy import Policy
from radiosonde.diagnose.status import EXIT_CODES, SUBJECTS, Freshness
from radiosonde.diagnose.text import print_diagnosis

__all__ = [
    "EXIT_CODES",
    "SUBJECTS",
    "Bars",
    "Checked",
    "Confidence",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Floor",
    "Freshness",
    "Impact",
    "KnownBad",
    "LeftOut",
    "Mark",
    "NextStep",
    "NotChecked",
    "Onset",
    "Place",
    "Policy",
    "QualityFigure",
    "RateTable",
    "Responsible",
    "State",
    "Status",
    "Timeline",
    "check",
    "print_diagnosis",
    "render_html",
]
