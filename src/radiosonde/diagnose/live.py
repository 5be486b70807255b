"""Incremental diagnosis: the state of the detectors, saved and restored, and the changes of each update.

    live = LiveDiagnosis(Path("watch.state"))
    for change in live.advance(new_windows):      # of any models, each window once, in any order
        print(change.what, change.incident, change.finding and change.finding.title)

`advance` takes the windows since the last call and returns the changes: an incident was ``opened``, it ``changed`` (its place or severity),
it has ``recovered``, it is ``verified``, or it is ``withdrawn`` because late windows show that there was none. It costs about a millisecond
per model, for any length of the history. Each change is reported once: reports are part of the state, which is written before
`advance` returns. A caller who must not lose a change when it is killed passes ``deliver``, which is called with the changes before they
are stored.

*The same answer as cold*: `LiveDiagnosis.incidents` holds the findings of the same checks as `radiosonde.diagnose.check` over the same
windows, with the same ids, places, onsets, states and evidence, however the windows were cut into looks and however often the process was
started again (`tests/laws/test_live_laws.py`). Where that cannot be had by going on, because a new version or cohort makes new places or a
window came very late, the model's history is recounted. `CHECKS` lists the checks; all others are made by `check` over
windows that the caller reads, as often as it can afford.

What only windows can say (what failing calls share) is not in these findings; a caller who wants it runs `check` when something has changed.

Slow calls are kept up, too: `LiveDiagnosis.slow_spans` holds the spans of `radiosonde.diagnose.latency_incidents.slow_spans`, of body and tail, by version
and cohort. In which phase the time is lost takes the windows, so a model whose spans changed (`slowed`) is one to run `check` on, and there is no change
of an incident about it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from radiosonde.diagnose.failure_findings import failure_finding
from radiosonde.diagnose.failure_incidents import FailureReplay
from radiosonde.diagnose.incidents import name_incidents, state_at
from radiosonde.diagnose.known_bad import KnownBad
from radiosonde.diagnose.latency_incidents import SlowReplay, choose_bounds, series_looked_at
from radiosonde.diagnose.live_state import LiveState, Reported
from radiosonde.diagnose.live_table import Grown, LiveTable
from radiosonde.diagnose.policy import Policy
from radiosonde.diagnose.registry import Report, all_checks
from radiosonde.model import RUNTIME_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from radiosonde.diagnose.finding import Finding
    from radiosonde.diagnose.latency_incidents import SlowSpan
    from radiosonde.diagnose.live_table import CountedStep
    from radiosonde.diagnose.places import PlaceName
    from radiosonde.model import Window

CHECKS = ("failures",)
"""The checks that are kept up, by name."""

What = Literal["opened", "changed", "recovered", "verified", "withdrawn"]


class IncidentChange(NamedTuple):
    """A change since the last update.

    Attributes:
        what: type of the change.
        incident: id of the incident, the same as `check` gives it.
        model: its model.
        finding: the whole finding as it is now; None for ``withdrawn``.
    """

    what: What
    incident: str
    model: str
    finding: Finding | None


@dataclass
class _Watched:
    """The counts and the detectors of one model."""

    table: LiveTable
    slo: float | None
    excluded: tuple[KnownBad, ...] = ()
    seen: LiveTable = field(init=False)
    failures: FailureReplay | None = None
    slow: SlowReplay | None = None
    findings: list[Finding] = field(default_factory=list)
    _changes: int = -1

    def __post_init__(self) -> None:
        self.seen = self.table
        if self.table.size:
            self.count_anew()

    def advance(self, grown: Grown, steps: list[CountedStep], known_bad: tuple[KnownBad, ...]) -> None:
        """Take over the new *steps*, which made the table grow as *grown* says."""
        in_force = _in_force(known_bad, self.table)
        if self.failures is None or in_force != self.excluded or (self.excluded and grown.is_laid_out_anew):
            self.excluded = in_force
            self.count_anew()
            return
        if self.excluded:
            grown = self.seen.add(_outside(steps, self.excluded))
        if grown.first < self.failures.replay.looked and self.findings:
            self._changes = -1  # counts of an incident may have changed
        if grown.is_laid_out_anew or not self.failures.advance(self.seen.counts(), grown.first):
            self.count_anew()
        elif not self._advance_slow(grown.first):
            self._count_slow_anew()

    def count_anew(self) -> None:
        """Rebuild the detectors from the counts."""
        self.seen = self.table
        if self.excluded:
            self.seen = LiveTable(self.table.model)
            self.seen.add(_outside(self.table.steps(0), self.excluded))
        self.failures = FailureReplay(self.seen.counts(), self.slo) if self.seen.size else None
        self._changes = -1
        self._count_slow_anew()

    def _advance_slow(self, first: int) -> bool:
        """Take over the calls above the bounds from step *first* on; return False if the bounds have changed, or the replays must be rebuilt."""
        table, slow = self.seen.counts(), self.slow
        buckets = choose_bounds(self.seen.histogram)
        if slow is None or tuple(buckets) != slow.buckets or tuple(series_looked_at(table, len(buckets))) != slow.keys:
            return not buckets and slow is None
        return slow.advance(table, first, self.seen.slower_than(slow.buckets, slow.keys, first))

    def _count_slow_anew(self) -> None:
        buckets = choose_bounds(self.seen.histogram)
        if not buckets:
            self.slow = None
            return
        table = self.seen.counts()
        keys = series_looked_at(table, len(buckets))
        self.slow = SlowReplay(table, keys, buckets, self.seen.slower_than(buckets, keys, 0))

    @property
    def slow_spans(self) -> list[SlowSpan]:
        """When and where calls were slower than before."""
        return [] if self.slow is None else self.slow.spans(self.seen.counts())

    def look(self, policy: Policy) -> None:
        """Bring `findings` up to date."""
        if self.failures is None:
            self.findings = []
            return
        replay, size = self.failures.replay, self.seen.size
        if replay.changes == self._changes and not self.failures.may_be_worse:
            end_ns = self.seen.last_ns
            self.findings = [replace(each, state=state_at(each, end_ns)) for each in self.findings]
            return
        self.findings = self.told(policy)
        is_settled = all(not each.is_open_at(size - 1) and each.opened < size for each in replay.incidents)
        self._changes = replay.changes if is_settled else -1

    def told(self, policy: Policy) -> list[Finding]:
        """Return the findings as they are now, figures included."""
        if self.failures is None:
            return []
        table = self.seen.table()
        found = self.failures.found(table)
        report = Report()
        for incident in found.incidents:
            report.add(failure_finding(table, found, incident, wants_past=False))
        report.settle()
        check = next(each for each in all_checks() if each.name == "failures")
        name_incidents(table, {check: report}, policy.marks, int((table.end_ns - table.start_ns)[-1]))
        return [policy.with_responsible(each) for each in (*report.findings, *report.notes) if each.id]


class LiveDiagnosis:
    """The live detectors of any number of models.

    Attributes:
        slowed: models of which, since the look before, calls became slower somewhere, or fast again.

    Args:
        state: file of the state; made when it is not there. None keeps it in memory.
        policy: objectives, owners, excluded intervals, and annotations of incidents; `policy` may be set at any time.

    Raises:
        StoreError: the file cannot be opened, or is something else.
    """

    def __init__(self, state: Path | None = None, *, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._state = LiveState(state)
        self._reported = self._state.reported()
        self._forgotten: list[str] = []
        self._watched: dict[str, _Watched] = {}
        self._slow: dict[str, frozenset[tuple[PlaceName, bool]]] = {}
        self.slowed: frozenset[str] = frozenset()
        for model in self._state.models():
            table = LiveTable(model)
            table.know(self._state.keys(model))
            table.add(self._state.steps(model))
            slo = self.policy.configuration.of(model).slo.failures
            self._watched[model] = _Watched(table, slo, _in_force(self.policy.known_bad, table))
            self._watched[model].look(self.policy)
            self._slow[model] = _places_of(self._watched[model].slow_spans)

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file of the state."""
        self._state.close()

    @property
    def incidents(self) -> tuple[Finding, ...]:
        """The findings of all models as of the last look: those that go on, and those that are over, with their states and figures."""
        return tuple(finding for model in sorted(self._watched) for finding in self._watched[model].told(self.policy))

    def slow_spans(self, model: str) -> list[SlowSpan]:
        """Return when and where calls of *model* were slower than before, as of the last look, strongest first."""
        watched = self._watched.get(model)
        return [] if watched is None else watched.slow_spans

    def seen_until_ns(self, model: str) -> int:
        """Return the end of the last window of *model* that was taken over; 0 for none. A reader may go on from there."""
        watched = self._watched.get(model)
        return 0 if watched is None else watched.table.last_ns

    def steps(self, model: str) -> int:
        """Return the number of stored steps of *model*."""
        watched = self._watched.get(model)
        return 0 if watched is None else watched.table.size

    def advance(
        self, windows: Iterable[Window], deliver: Callable[[tuple[IncidentChange, ...]], None] | None = None
    ) -> tuple[IncidentChange, ...]:
        """Add *windows*, store the state, and return the changes.

        Args:
            windows: new windows, each once; parts of earlier windows are added to them. Windows with the health of
            processes
                and those that hold sketches only count for nothing here.
            deliver: called with the changes, if there are any, before they are written down as reported: when it raises, nothing is written
                and this object must not be used further; the next one reports them again.

        Raises:
            StoreError: the state cannot be written.
        """
        mine: dict[str, list[Window]] = {}
        for window in windows:
            if window.key.model != RUNTIME_MODEL and not window.is_of_sketches:
                mine.setdefault(window.key.model, []).append(window)
        written, anew, slowed = [], [], []
        changes: list[IncidentChange] = []
        for model in sorted(mine):
            watched = self._watched.get(model)
            if watched is None:
                slo = self.policy.configuration.of(model).slo.failures
                watched = self._watched[model] = _Watched(LiveTable(model), slo)
            first, is_anew = self._take(watched, mine[model])
            written.append((model, watched.table.steps(first)))
            anew += [model] if is_anew else []
            changes += self._compare(model, watched)
            former, self._slow[model] = self._slow.get(model, frozenset()), _places_of(watched.slow_spans)
            slowed += [model] if self._slow[model] != former else []
        self.slowed = frozenset(slowed)
        made = tuple(changes)
        if made and deliver is not None:
            deliver(made)
        said = [self._reported[change.incident] for change in made if change.what != "withdrawn"]
        self._state.save(written, said, self._forgotten, anew)
        self._forgotten = []
        return made

    def _take(self, watched: _Watched, windows: list[Window]) -> tuple[int, bool]:
        """Take over *windows*; return the first step that has to be written down, and whether all others are gone."""
        table = watched.table
        steps = table.steps_of(windows)
        grown = table.add(steps)
        onsets = [each.onset.earliest_ns for each in watched.findings if each.onset.ended_ns is None]
        is_compacted = table.compact(min(onsets, default=2**62))
        if is_compacted:
            watched.excluded = _in_force(self.policy.known_bad, table)
            watched.count_anew()
        else:
            watched.advance(grown, steps, self.policy.known_bad)
        watched.look(self.policy)
        return (0 if is_compacted or grown.is_laid_out_anew else grown.first), is_compacted

    def _compare(self, model: str, watched: _Watched) -> list[IncidentChange]:
        """Return the unreported changes of *model*, and mark them as reported."""
        found = {each.id: each for each in watched.findings}
        changes = []
        for each in sorted(watched.findings, key=lambda each: (each.onset.at_ns, each.id)):
            former = self._reported.get(each.id)
            over = each.onset.ended_ns is not None
            state = state_at(each, watched.seen.last_ns)
            severity = former.severity if over and former is not None else each.severity
            now = Reported(each.id, model, state, repr(each.where), severity)
            if former is None and over:
                continue  # it ended before the first update
            if former != now:
                changes.append(IncidentChange(_what(former, now), each.id, model, each))
                self._reported[each.id] = now
        for gone in [each for each in self._reported.values() if each.model == model and each.incident not in found]:
            del self._reported[gone.incident]
            self._forgotten.append(gone.incident)
            if gone.state == "open":
                changes.append(IncidentChange("withdrawn", gone.incident, model, None))
        return changes


def _places_of(spans: Iterable[SlowSpan]) -> frozenset[tuple[PlaceName, bool]]:
    """Return where calls are or were slower, and whether that goes on."""
    return frozenset((span.place, span.end_ns is None) for span in spans)


def _what(former: Reported | None, now: Reported) -> What:
    if former is None:
        return "opened"
    if former.state == now.state:
        return "changed"
    if now.state == "verified":
        return "verified"
    return "recovered" if now.state == "recovered" else "opened"


def _in_force(known_bad: Iterable[KnownBad], table: LiveTable) -> tuple[KnownBad, ...]:
    """Return the intervals of *known_bad* to exclude: they end before the last step."""
    first, last = table.bounds_ns
    return tuple(each for each in known_bad if each.model in ("", table.model) and first < each.end_ns <= last)


def _outside(steps: Iterable[CountedStep], intervals: Iterable[KnownBad]) -> list[CountedStep]:
    return [
        step
        for step in steps
        if not any(each.start_ns < step.end_ns and step.start_ns < each.end_ns for each in intervals)
    ]
