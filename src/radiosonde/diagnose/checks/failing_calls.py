"""Checks for common properties of failing calls: values of features that are more frequent in their rows than in others."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from radiosonde.diagnose.failing_features import failed_rows, shared_values, smallest_share
from radiosonde.diagnose.finding import Evidence, Finding, Floor, Onset, Place, confidence
from radiosonde.diagnose.next_steps import look_at_errors, look_before
from radiosonde.diagnose.registry import Check, count
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.registry import Report, View

_LEAST_CLUSTERED = 2.0
"""Assumed dispersion of failures without an incident: a bad request is often retried."""


def look(view: View, report: Report) -> None:
    """Check all failing calls of the model of *view*; findings on an incident of failures are reported there, too."""
    table = view.table
    failures = int(table.failures.sum())
    if not failures:
        report.gap(view, "what failing calls share", "no call failed")
        return
    start_ns, end_ns = int(table.start_ns[0]), int(table.end_ns[-1])
    rows = failed_rows(view.windows, view.references, set(table.keys), start_ns, end_ns)
    floor = float("nan") if rows is None else smallest_share(rows, _LEAST_CLUSTERED)
    if rows is None or isnan(floor):
        seen = 0 if rows is None else round(float(rows.failed[0].sum()))
        because = f"the features of {count(seen, 'failing row')} were counted; too few to find what they share"
        report.gap(view, "what failing calls share", because)
        return
    onset = Onset(start_ns, start_ns, start_ns, whole_span=True)
    where = Place(view.model)
    for shared in shared_values(rows, _LEAST_CLUSTERED, most=1):
        report.add(
            Finding(
                f"errors.shared.{shared.feature}", "errors", "info", shared.words,
                "Over the whole period. Either the model or its preprocessing does not expect this input, or the cause is correlated with it.",
                where, onset, confidence(shared.ln_e),
                (Evidence("share", shared.share, "share", shared.words),),
                (look_at_errors(where, onset), look_before(where, onset)),
            )
        )  # fmt: skip
    text = f"a value that {percent(floor)} of the failing rows have and 1 % of the others"
    report.passed(
        view, f"what {count(failures, 'failing call')} share, by {count(len(rows.names), 'feature')}",
        floors=[Floor(floor, "share", text)],
    )  # fmt: skip


CHECK = Check(
    name="failing_calls",
    watches="values of features that failing calls share",
    subject="",
    measures=("cells of failing rows",),
    baselines=("peers",),
    scales="windows",
    severity="a note",
    look=look,
)
