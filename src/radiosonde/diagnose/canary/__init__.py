"""Canary: is the new version of a model worse, better, or as good as the old one? Valid under continuous monitoring.

`make_rollout` lays out the windows of both versions, `judge_rollout` compares them, and `print_canary` and `render_canary` show the
`CanaryReport`. Like the rest of diagnosis it reads no clock, no file and no setting.
"""

from radiosonde.diagnose.canary.measures import MARGINS, SUBJECTS
from radiosonde.diagnose.canary.rollout import NothingToCompare, make_rollout
from radiosonde.diagnose.canary.verdict import DEFAULT_REQUIRED, EXIT_CODES, CanaryReport, judge_rollout

__all__ = [
    "DEFAULT_REQUIRED",
    "EXIT_CODES",
    "MARGINS",
    "SUBJECTS",
    "CanaryReport",
    "NothingToCompare",
    "judge_rollout",
    "make_rollout",
]
