"""Registry of checks: one declared file each in `radiosonde.diagnose.checks`, discovered by the engine.

A module of that package that has a `CHECK` is a check. Its declaration states its measures, baselines, scales, the symptoms it explains and
its severity; its function reads one model through a `View` and adds to a `Report`. Adding a
check touches no other file; `tests/laws/test_check_laws.py` holds for each.

`Check.examine` is the only way to run a check. Nothing passes without a detection floor: a check that could not have shown a change is reported
as not checked.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Literal

from radiosonde.config import ModelConfig
from radiosonde.diagnose import checks
from radiosonde.diagnose.cell_incidents import Breaks, find_breaks
from radiosonde.diagnose.cell_table import make_cell_tables
from radiosonde.diagnose.data_findings import data_findings
from radiosonde.diagnose.feature_panel import FeaturePanel, make_feature_panels
from radiosonde.diagnose.finding import Checked, Finding, Floor, NotChecked, Place, QualityFigure
from radiosonde.diagnose.lost import Hole, hole_of, hole_words
from radiosonde.diagnose.measures import MeasureTable, make_table
from radiosonde.diagnose.panel import Panel, make_axis, make_panel
from radiosonde.quality import LabelColumns, label_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from radiosonde.diagnose.hypotheses import Cause, Hypothesis
    from radiosonde.diagnose.verification import MeasuredRate
    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

Baseline = Literal["objective", "reference", "past", "peers"]

_NOTHING_BESIDE = Floor(float("nan"), "", "nothing more while what was found goes on")

MIN_STEPS, MIN_CALLS = 16, 200
"""Minimum data for checks on blocks of the panel; checks on the measure table need neither."""


@dataclass(frozen=True, slots=True)
class Check:
    """The declaration of a check.

    Attributes:
        name: stable name.
        watches: description of the checked quantities.
        subject: subject for gates that this check covers, or ``""``.
        measures: names of its counts.
        baselines: baselines of these.
        scales: ``windows`` for spans from one window to 28 days, ending at every window; ``blocks`` for fixed blocks of hours.
        severity: the rule, in words.
        look: checks a model and adds to the report.
        explains: names of checks, or kinds of findings, whose findings at the same place and time are symptoms of this one's.
        only_with_symptoms: its findings are notes where they explain nothing.
        spoils: the time of its ended incidents is excluded from all baselines.
        measured: the rate by which an incident is verified; None, or a None from it, if only its state is used.
        about: causes that it would detect; without findings, that is evidence against them.
    """

    name: str
    watches: str
    subject: str
    measures: tuple[str, ...]
    baselines: tuple[Baseline, ...]
    scales: Literal["windows", "blocks"]
    severity: str
    look: Callable[[View, Report], None]
    explains: tuple[str, ...] = ()
    only_with_symptoms: bool = False
    about: tuple[Cause, ...] = ()
    spoils: bool = True
    measured: Callable[[View, Finding], MeasuredRate | None] | None = None

    def examine(self, view: View) -> Report:
        """Return the report on the model of *view*: findings, detection floors of the rest, and the reasons for gaps."""
        report = Report()
        self.look(view, report)
        report.demand_floors(view)
        if not (report.findings or report.notes or report.checked or report.gaps):
            report.gap(view, self.watches, "the windows hold nothing that it could look at", self.subject)
        return report


@dataclass(slots=True)
class Report:
    """Results of the checks so far, for one model."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    gaps: list[NotChecked] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    quality: list[QualityFigure] = field(default_factory=list)
    hypotheses: list[Hypothesis] = field(default_factory=list)

    def add(self, *findings: Finding) -> None:
        """Add *findings*; those of severity ``info`` are notes."""
        for finding in findings:
            (self.notes if finding.severity == "info" else self.findings).append(finding)

    def settle(self) -> None:
        """Turn ended findings into notes, which are listed and need no action."""
        over = [finding for finding in self.findings if finding.onset.ended_ns is not None]
        self.findings = [finding for finding in self.findings if finding.onset.ended_ns is None]
        self.notes += [replace(finding, severity="info") for finding in over]

    def add_all(self, other: Report) -> None:
        """Add everything that *other* holds."""
        self.findings += other.findings
        self.notes += other.notes
        self.gaps += other.gaps
        self.checked += other.checked
        self.quality += other.quality
        self.hypotheses += other.hypotheses

    def demand_floors(self, view: View) -> None:
        """Turn each passed entry without a known detection floor into a gap with its reason.

        An open finding shows that the check works. Its other entries stay, with a floor that says that no more would be detected meanwhile.
        """
        is_found = any(found.onset.ended_ns is None for found in (*self.findings, *self.notes))
        is_lost = view.hole is not None and view.hole.hides(max(window.end_ns for window in view.windows))
        kept = []
        for said in self.checked:
            is_blind = all(isnan(floor.value) for floor in said.floors)
            if is_found and is_blind:
                kept.append(replace(said, floors=said.floors or (_NOTHING_BESIDE,)))
            elif not is_found and is_lost and said.subject:
                self.gaps.append(NotChecked(said.check, said.where, said.weakened, said.subject))
            elif is_blind:
                self.gaps.append(NotChecked(said.check, said.where, _blind_words(said.floors), said.subject))
            else:
                kept.append(said)
        self.checked = kept

    def passed(
        self, view: View, what: str, subject: str = "", floors: Sequence[Floor] = (), weakened: str = ""
    ) -> None:
        """Report that *what* was checked, with its detection floors. For subjects of gates, losses on the way are added."""
        if subject and view.hole is not None:
            weakened = "; ".join(each for each in (weakened, hole_words(view.hole)) if each)
        self.checked.append(Checked(what, Place(view.model), subject, tuple(floors), weakened))

    def gap(self, view: View, what: str, because: str, subject: str = "") -> None:
        """Report that *what* could not be checked."""
        self.gaps.append(NotChecked(what, Place(view.model), because, subject))


@dataclass
class View:
    """One model, as input of the checks. Derived tables are computed on first use.

    Attributes:
        model: name of the model.
        windows: its windows, in any order.
        runtime: windows with the health of all processes.
        references: all reference profiles.
        wants_past: ended incidents count like ongoing ones, because the caller requested the past.
        beside: start and end of the windows of other models.
        config: declarations of its owners, including objectives.
        sketched: windows with sketches only, used for the values of features.
        findings_only: floors, gaps and figures are not read: this is a look at the past for its incidents. Checks whose floors are
            expensive leave them out.
    """

    model: str
    windows: Sequence[Window]
    runtime: Sequence[Window]
    references: Mapping[tuple[str, str], Reference]
    wants_past: bool = False
    beside: Sequence[tuple[int, int]] = ()
    config: ModelConfig = field(default_factory=ModelConfig)
    sketched: Sequence[Window] = ()
    findings_only: bool = False

    @cached_property
    def panel(self) -> Panel:
        """The windows in at most 1500 steps."""
        return make_panel(self.model, self.windows, make_axis(self.windows))

    @cached_property
    def features(self) -> list[FeaturePanel]:
        """The features on the axis of the panel, one panel per grid."""
        return make_feature_panels([*self.windows, *self.sketched], self.references, self.panel.axis)

    @cached_property
    def breaks(self) -> tuple[Breaks, ...]:
        """Where values of features were replaced, per grid."""
        return tuple(find_breaks(table) for table in make_cell_tables(self.windows, self.references))

    @cached_property
    def feature_findings(self) -> tuple[tuple[list[Finding], list[Finding]], ...]:
        """Findings and notes on the features of all versions and cohorts together, per panel."""
        return tuple(data_findings(panel) for panel in self.features)

    @cached_property
    def labels(self) -> LabelColumns:
        """Labels and answers of the windows, read once for all tables."""
        return label_columns(self.windows)

    def until(self, time_ns: int) -> View:
        """Return the view as of *time_ns*, for findings only: the windows that had ended.

        Steps stay as long as they are, though the windows of that time have been added up to longer ones since. Features are sliced from
        the existing panel, if a step of it ends there.
        """
        earlier = replace(
            self,
            windows=[window for window in self.windows if window.end_ns <= time_ns],
            runtime=[window for window in self.runtime if window.end_ns <= time_ns],
            sketched=[window for window in self.sketched if window.end_ns <= time_ns],
            beside=[span for span in self.beside if span[1] <= time_ns],
            findings_only=True,
        )
        earlier.breaks = self.breaks
        earlier.labels = self.labels.where(self.labels.end_ns <= time_ns)
        axis = self.panel.axis.until(time_ns)
        if axis is not None and earlier.windows:
            earlier.panel = make_panel(self.model, earlier.windows, axis)
            cut = [panel.until(axis) for panel in self.features]
            earlier.features = [panel for panel in cut if panel.versions]
        return earlier

    @cached_property
    def table(self) -> MeasureTable:
        """The windows at their own resolution."""
        return make_table(self.model, self.windows)

    @cached_property
    def hole(self) -> Hole | None:
        """Data of the model that the host could not store; None without a recorded loss."""
        return hole_of(self.model, self.windows, self.runtime)

    @cached_property
    def too_short(self) -> str:
        """Why a check of blocks cannot be made; ``""`` when it can."""
        calls = int(self.panel.calls.sum())
        if self.panel.axis.size >= MIN_STEPS and calls >= MIN_CALLS:
            return ""
        return (
            f"there are {count(calls, 'call')} in {count(self.panel.axis.size, 'step')} of time; "
            f"{MIN_CALLS} calls in {MIN_STEPS} steps are needed to know what is usual"
        )


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return every check of `radiosonde.diagnose.checks`, by name."""
    modules = [
        importlib.import_module(f"{checks.__name__}.{found.name}") for found in pkgutil.iter_modules(checks.__path__)
    ]
    return tuple(sorted((module.CHECK for module in modules if hasattr(module, "CHECK")), key=lambda check: check.name))


def _blind_words(floors: Sequence[Floor]) -> str:
    """Return why a check with *floors*, none of which is known, says nothing."""
    if not floors:
        return "too little is known to say what would have been seen"
    return "no change would be reported yet: " + "; ".join(dict.fromkeys(floor.text for floor in floors))


def count(number: int, noun: str) -> str:
    """Return *number* with groups of three digits, and *noun*, in the plural where it takes one."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,}".replace(",", " ") + f" {noun}{ending}"
