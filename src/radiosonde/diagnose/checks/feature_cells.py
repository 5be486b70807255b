"""Checks features in cohorts, alone and within versions, window by window: missing, unseen, replaced, out of range, encoded in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.cell_findings import break_findings, place_words
from radiosonde.diagnose.cell_floors import cell_floors
from radiosonde.diagnose.cell_incidents import MAX_BREAKS
from radiosonde.diagnose.measured import cell_rate
from radiosonde.diagnose.registry import Check, count

if TYPE_CHECKING:
    from radiosonde.diagnose.cell_incidents import Breaks
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the features of the model of *view* at every version and cohort."""
    if not view.breaks:
        report.gap(view, "features by version and cohort", "no features were recorded")
        return
    if not any(key.cohort for breaks in view.breaks for key in breaks.table.keys):
        report.gap(view, "features by version and cohort", "no cohorts were recorded; name them with rs.cohort")
        return
    for breaks in view.breaks:
        report.add(*break_findings(view, breaks))
        if breaks.looked < breaks.table.size:
            because = f"features broke and recovered {MAX_BREAKS} times; later breaks were not checked"
            report.gap(view, "features by version and cohort at the end of the period", because)
            continue
        rows = round(float(breaks.table.rows().sum()))
        what = f"{count(len(breaks.table.names), 'feature')} of {count(rows, 'row')} at {count(int(breaks.watched.size), 'place')}"
        report.passed(view, f"{what} for values that are missing, unseen or replaced", "", cell_floors(breaks))
        if breaks.left_out:
            report.gap(view, "features of single versions and cohorts", _left_out(breaks))


def _left_out(breaks: Breaks) -> str:
    kept = set(breaks.watched.tolist())
    names = [name for index, name in enumerate(breaks.places.names) if index not in kept]
    shown = "; ".join(place_words([name], breaks.table) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"only the {len(kept)} places with the most rows are checked; left out: {shown}{more}"


CHECK = Check(
    name="feature_cells",
    watches="missing, unseen, replaced and out-of-range values of each feature by version and cohort",
    subject="",
    measures=("cells",),
    baselines=("past",),
    scales="windows",
    severity="page from a tenth of the rows of the place or 1 % of all; else ticket; note once it has ended",
    look=look,
    explains=("answers", "quality"),
    about=("data",),
    spoils=False,  # its scan leaves its own incidents out; those of blocks are excluded by the check of blocks
    measured=cell_rate,
)
