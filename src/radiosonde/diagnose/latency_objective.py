"""Checks the 99th percentile of the latency against the bound that the model's owners declared; no history is needed.

The 99th percentile is above a bound exactly when more than one call in a hundred is. So the calls above the bound are a rate with an
objective of 0.01, and go through the engine of spans like every rate. The bound is taken at the upper edge of its latency bucket (up to 9 %
above it).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.config.values import duration_words
from radiosonde.diagnose.finding import SEVERITIES, Evidence, Finding, Onset, Place, Timeline, confidence
from radiosonde.diagnose.latency_incidents import count_above
from radiosonde.diagnose.next_steps import look_at_traces, look_before
from radiosonde.diagnose.places import PlaceName, make_places
from radiosonde.diagnose.replay import Incident, Replay
from radiosonde.diagnose.severity import AffectedShares, severity_of
from radiosonde.diagnose.spans import Rule, SpanScan
from radiosonde.diagnose.tail import split_tail
from radiosonde.model import LATENCY
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.diagnose.places import Places
    from radiosonde.diagnose.tail import Tail
    from radiosonde.model import Window

    Numbers = NDArray[np.float64]

ALLOWED_SLOW = 0.01
"""Share of the calls that may be slower than a bound of the 99th percentile."""

_NEVER = 2.0
"""A rise of a share that never happens: against the past is another check."""

_BURST_STEPS, _POINTS = 10, 96
_SLACK_STEPS, _SLACK_PART = 5, 0.05


class LatencyObjective(NamedTuple):
    """The calls above the bound.

    Attributes:
        bound_s: the declared bound.
        bucket: calls in buckets above this one are counted.
        places: the checked places.
        scan: the scan without the incidents.
        calls: all calls, shape (series, steps).
        slow: calls above the bound, same shape.
        incidents: when and where there were too many; bursts are left out.
    """

    bound_s: float
    bucket: int
    places: Places
    scan: SpanScan
    calls: Numbers
    slow: Numbers
    incidents: list[Incident]


def find_slow(table: MeasureTable, windows: Sequence[Window], bound_s: float) -> LatencyObjective:
    """Return where and when more than one call in a hundred took longer than *bound_s*; *windows* are those of *table*."""
    bucket = min(int(np.searchsorted(LATENCY.upper_bounds_s(), bound_s * (1 - 1e-9))), LATENCY.size - 1)
    calls, (slow,) = count_above(windows, table.keys, table.start_ns, [bucket])
    places = make_places(table.keys, calls.sum(axis=1))
    scan = SpanScan(places.members, slow, calls, table.steps_per_month, Rule(min_rise=_NEVER, slo=ALLOWED_SLOW))
    made = Replay(scan, places, _BURST_STEPS).run()
    kept = [incident for incident in made.incidents if incident.is_reported_by(scan.size)]
    return LatencyObjective(bound_s, bucket, places, made.settled_scan(), calls, slow, kept)


def objective_findings(
    table: MeasureTable, windows: Sequence[Window], found: LatencyObjective, *, wants_past: bool
) -> list[Finding]:
    """Return a finding for each time at which the objective was broken."""
    return [_finding(table, windows, found, incident, wants_past=wants_past) for incident in found.incidents]


def folded(findings: Sequence[Finding], broken: Sequence[Finding], window_ns: int) -> list[Finding]:
    """Return *findings* with those of *broken* that began with one of them as its evidence, and the other ones of *broken*.

    A finding is as severe as the broken objective that it holds.
    """
    made = list(findings)
    for objective in broken:
        for index, finding in enumerate(made):
            if _began_together(finding.onset, objective.onset, window_ns):
                said = next(item for item in objective.evidence if item.name == "objective")
                worst = min(finding.severity, objective.severity, key=SEVERITIES.index)
                made[index] = replace(
                    finding, severity=worst, evidence=(*finding.evidence[:2], said, *finding.evidence[2:])
                )
                break
        else:
            made.append(objective)
    return made


def _began_together(one: Onset, other: Onset, window_ns: int) -> bool:
    ends = [onset.ended_ns for onset in (one, other)]
    if (ends[0] is None) != (ends[1] is None):
        return False
    apart = max(one.earliest_ns - other.latest_ns, other.earliest_ns - one.latest_ns)
    lasted = max((end - one.at_ns for end in ends if end is not None), default=0)
    return apart <= max(_SLACK_STEPS * window_ns, int(_SLACK_PART * lasted))


def _finding(
    table: MeasureTable, windows: Sequence[Window], found: LatencyObjective, incident: Incident, *, wants_past: bool
) -> Finding:
    end = table.size if incident.recovered is None else incident.recovered
    inside = slice(incident.onset, end)
    rows = incident.cover.series
    slow, calls = (float(part[rows][:, inside].sum()) for part in (found.slow, found.calls))
    share = slow / max(calls, 1.0)
    single = len(incident.cover.places) == 1
    name = found.places.names[incident.cover.places[0]] if single else PlaceName()
    where = Place(table.model, name.version, name.variant, name.cohort)
    mine = {key for key, is_mine in zip(table.keys, rows, strict=True) if is_mine}
    low, high = int(table.start_ns[inside.start]), int(table.end_ns[end - 1])
    tail, phases = _tail([window for window in windows if window.key in mine and low <= window.start_ns < high])
    before = float(found.calls[rows][:, : incident.onset].sum())
    at, earliest, latest = (int(table.start_ns[step]) for step in (incident.onset, incident.earliest, incident.latest))
    ended = None if incident.recovered is None else int(table.start_ns[min(incident.recovered, table.size - 1)])
    onset = Onset(at, earliest, latest, ended, whole_span=not before)
    all_calls = float(found.calls[:, inside].sum())
    severity = severity_of(AffectedShares(share, slow / max(all_calls, 1.0)), ALLOWED_SLOW)
    if ended is not None and not wants_past:
        severity = "info"
    bound = duration_words(found.bound_s)
    whom = f"{', '.join(part for part in (name.version and f'version {name.version}', name.cohort) if part)}: " if name.parts else ""  # fmt: skip
    p99 = f"p99 is {duration_words(tail.quantile_s)}" if tail is not None else "p99 is"
    text = f"objective: p99 of at most {bound}; {slow:.0f} of {calls:.0f} calls ({percent(share)}) took longer since the onset"
    lead = int(tail.phases_s.argmax()) if tail is not None and phases else -1
    evidence = [Evidence("objective", found.bound_s, "s", text)]
    if tail is not None:
        evidence.append(Evidence("p99", tail.quantile_s, "s", f"p99 {duration_words(tail.quantile_s)}, mean of the slowest 1 % {duration_words(tail.shortfall_s)}"))  # fmt: skip
        evidence += [
            Evidence(f"phase_{phase}", float(part), "s", f"{phase}: {duration_words(float(part))} of the mean of the slowest 1 %")
            for phase, part in sorted(zip((*phases, "other"), tail.phases_s, strict=True), key=lambda pair: -pair[1])[:3]
        ]  # fmt: skip
    longest = f"; most of the time of the slowest calls is spent in {(*phases, 'other')[lead]}" if lead >= 0 else ""
    verdict = (
        f"The objective is broken: one call in a hundred may take longer than {bound}, and {100 * share:.2g} in a hundred do{longest}. "
        "This is measured against the objective, not against the past."
    )
    return Finding(
        f"latency.objective.{name.version or name.cohort or 'all'}", "latency", severity, f"{whom}{p99}, above the objective of {bound}",
        verdict, where, onset, confidence(incident.alarm.ln_report), tuple(evidence), (look_at_traces(where, onset), look_before(where, onset)),
        (_timeline(table, found, rows, bound),), opened_ns=int(table.end_ns[incident.alarm.step]),
    )  # fmt: skip


def _tail(windows: Sequence[Window]) -> tuple[Tail | None, list[str]]:
    """Return the tail of the calls in *windows* and the names of their phases."""
    phases = sorted({phase for window in windows for phase in window.latency.phases})
    counts, sums = np.zeros(LATENCY.size, np.int64), np.zeros((len(phases) + 1, LATENCY.size))
    for window in windows:
        counts += window.latency.counts
        sums[-1] += window.latency.sums_s
        for name, part in zip(window.latency.phases, window.latency.phase_sums_s, strict=True):
            sums[phases.index(name)] += part
            sums[-1] -= part
    return split_tail(counts, sums), phases


def _timeline(table: MeasureTable, found: LatencyObjective, rows: NDArray[np.bool_], bound: str) -> Timeline:
    edges = np.unique(np.linspace(0, table.size, _POINTS, endpoint=False).astype(np.int64))
    slow, calls = (np.add.reduceat(part[rows].sum(axis=0), edges) for part in (found.slow, found.calls))
    points = [float(hit / total) if total else None for hit, total in zip(slow, calls, strict=True)]
    title = f"share of calls above {bound}"
    return Timeline(title, "share", [int(table.start_ns[edge]) for edge in edges], (("all", points),))
