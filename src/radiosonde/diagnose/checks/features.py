"""Checks the features: unit, range, missing, unseen, stuck, level and spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.diagnose.cell_findings import is_by_place
from radiosonde.diagnose.feature_floors import feature_floors
from radiosonde.diagnose.feature_panel import FeaturePanel
from radiosonde.diagnose.measured import cell_rate
from radiosonde.diagnose.mix import name_mix
from radiosonde.diagnose.registry import MIN_CALLS, Check, count
from radiosonde.diagnose.unit_break import has_lattice
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.cell_table import CellTable
    from radiosonde.diagnose.registry import Report, View


def look(view: View, report: Report) -> None:
    """Check the features of the model of *view*."""
    panels = view.features
    if not panels:
        report.gap(view, "features", "no features were recorded", "features")
        return
    if view.too_short:
        report.gap(view, "features", view.too_short, "features")
        return
    for features, (found, moved) in zip(panels, view.feature_findings, strict=True):
        rows = round(float(features.cells[:, :, 0].sum()))
        if rows < MIN_CALLS:
            because = (
                f"{count(rows, 'row')} were counted on one of {len(panels)} grids; at least {MIN_CALLS} are needed"
            )
            report.gap(view, "features", because, "features")
            continue
        left = [each for each in (*found, *moved) if not is_by_place(view, each)]
        report.add(*name_mix(_table_of(view, features), features, left, max(window.end_ns for window in view.windows)))
        if view.findings_only:
            continue
        amount = f"{count(len(features.names), 'feature')} of {count(rows, 'row')}"
        what = f"{amount} for unit, range, missing, unseen, stuck, level and spread"
        report.passed(view, what, "features", feature_floors(features), _thinned(view))
        _add_gaps(view, features, report)


def _table_of(view: View, features: FeaturePanel) -> CellTable | None:
    """Return the cells by series of the grid of *features*."""
    tables = [each.table for each in view.breaks if each.table.names == features.names]
    same = [table for table in tables if table.profiles == features.profiles]
    return next(iter(same or tables), None)


def _thinned(view: View) -> str:
    """Describe the feature counts that the host omitted to stay within its CPU budget, or return ``""``."""
    parts = [window.features for window in view.windows if window.features is not None and len(window.features.cells)]
    known = [part for part in parts if part.counted_rows]
    rows, counted = sum(int(part.cells[0].sum()) for part in known), sum(part.counted_rows for part in known)
    if rows <= counted:
        return ""
    return f"features of {percent(counted / rows)} of the rows were counted; the rest was sampled out to stay within the CPU budget"


def _add_gaps(view: View, features: FeaturePanel, report: Report) -> None:
    if all(profile is None for profile in features.profiles):
        because = "there is no reference profile; make one with radiosonde reference build"
        report.gap(view, "range, level and spread", because)
    elif features.provisional:
        because = "the reference is provisional, built from the first rows: a fault present from the start looks normal"
        report.gap(view, "features against training data", because)
    numeric = [feature for index, feature in enumerate(features.names) if not features.is_categorical(index)]
    blind = [feature for feature in numeric if feature not in features.retained]
    if blind:
        because = "it has no sketches (pii, or disabled); cells alone detect only large conversions"
        report.gap(view, "units of " + ", ".join(blind), because)
    smooth = [
        feature for feature in numeric if feature in features.retained and not has_lattice(features.retained[feature])
    ]
    if smooth:
        because = "values do not form a grid; a changed unit can only be detected from the level"
        report.gap(view, "units by grid of " + ", ".join(smooth), because)
    if features.unreadable_sketches:
        report.gap(view, "some sketches", f"{features.unreadable_sketches} could not be read")


CHECK = Check(
    name="features",
    watches="unit, range, missing, unseen, stuck, level and spread of each feature",
    subject="features",
    measures=("cells", "lattice of values"),
    baselines=("past",),
    scales="blocks",
    severity="page for integrity; ticket or note for drift",
    look=look,
    about=("data", "world"),
    explains=("answers", "quality"),
    measured=cell_rate,
)
