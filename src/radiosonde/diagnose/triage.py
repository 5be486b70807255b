"""The last minutes on one screen: current and usual values of each signal, in the order of an on-call engineer's questions.

Traffic, errors, latency and its phases, versions, cohorts, the processes, data. Nothing is decided here: findings come from `check` and are
listed first. These lines are for the minutes in which nothing is significant yet, and for ruling out causes. *Usual* is the day before the
last minutes, or as much of it as there is, without the time of incidents; where that leaves nothing, the day before they began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.measures import make_table
from radiosonde.diagnose.tail import split_tail
from radiosonde.model import LATENCY, NULL, RUNTIME_MODEL
from radiosonde.model.addition import add
from radiosonde.model.percent import percent
from radiosonde.model.runtime import RuntimeCounts, speaker_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.finding import Finding, Onset
    from radiosonde.diagnose.measures import MeasureTable
    from radiosonde.model import Window

_DAY_NS = 86_400_000_000_000
_MIN_CALLS = 20.0


class TriageLine(NamedTuple):
    """One signal: its name, its current and usual value, and the factor between them (1 if not applicable)."""

    subject: str
    now: str
    usual: str
    ratio: float


class Sides(NamedTuple):
    """The windows of the last minutes and of the day before them."""

    now: list[Window]
    usual: list[Window]


def triage_lines(
    model: str, windows: Sequence[Window], last_ns: int, incidents: Sequence[Finding] = ()
) -> list[TriageLine]:
    """Return the lines of *model* for the last *last_ns* nanoseconds of event time, in the order of questions.

    Args:
        model: the model.
        windows: windows of all models and of the processes.
        last_ns: length of *now* at the end.
        incidents: open and ended incidents, which are not usual.
    """
    mine = [window for window in windows if window.key.model == model]
    end = max(window.end_ns for window in mine)
    bad = [each.onset for each in incidents if each.where.model == model and not each.onset.whole_span]
    sides = _sides(mine, end, last_ns, bad)
    serving = {window.process for window in mine}
    lived = [window for window in windows if window.key.model == RUNTIME_MODEL and speaker_of(window) in serving]
    table = make_table(model, sides.now + sides.usual)
    return [
        *_traffic(sides),
        *_errors(sides),
        *_latency(sides),
        *_worst(table, end - last_ns),
        *_processes(_sides(lived, end, last_ns, bad)),
        *_missing(sides),
    ]


def _sides(windows: Sequence[Window], end: int, last_ns: int, bad: Sequence[Onset]) -> Sides:
    edge = end - last_ns
    earlier = [window for window in windows if window.start_ns < edge]
    healthy = [
        window
        for window in earlier
        if not any(window.end_ns > each.at_ns and window.start_ns < (each.ended_ns or end) for each in bad)
    ]
    usual = _last_day(healthy, edge) or _last_day(healthy, min((each.at_ns for each in bad), default=edge))
    return Sides([window for window in windows if window.start_ns >= edge], usual or _last_day(earlier, edge))


def _last_day(windows: Sequence[Window], edge: int) -> list[Window]:
    return [window for window in windows if edge - _DAY_NS <= window.start_ns < edge]


def _minutes(windows: Sequence[Window]) -> float:
    spans = {(window.start_ns, window.end_ns) for window in windows}
    return sum(end - start for start, end in spans) / 6e10


def _ratio(now: float, usual: float) -> float:
    return now / usual if now > 0 and usual > 0 else 1.0


def _traffic(sides: Sides) -> list[TriageLine]:
    now, usual = (sum(w.calls for w in side) / max(_minutes(side), 1e-9) for side in sides)
    return [
        TriageLine("traffic", f"{now:,.1f} calls a minute", f"{usual:,.1f}" if sides.usual else "", _ratio(now, usual))
    ]


def _errors(sides: Sides) -> list[TriageLine]:
    calls = [sum(w.calls for w in side) for side in sides]
    failed = [sum(sum(w.errors.values()) for w in side) for side in sides]
    rates = [hits / max(count, 1) for hits, count in zip(failed, calls, strict=True)]
    types: dict[str, int] = {}
    for window in sides.now:
        for name, count in window.errors.items():
            types[name] = types.get(name, 0) + count
    most = max(types, key=lambda name: types[name], default="")
    said = f"{percent(rates[0])} of {calls[0]} calls fail" + (f", most of them {most}" if most else "")
    smoothed = _ratio((failed[0] + 0.5) / (calls[0] + 1), (failed[1] + 0.5) / (calls[1] + 1))
    return [TriageLine("errors", said, percent(rates[1]) if calls[1] else "", smoothed)]


def _latency(sides: Sides) -> list[TriageLine]:
    tails = []
    phases = sorted({phase for side in sides for window in side for phase in window.latency.phases})
    for side in sides:
        counts, sums = np.zeros(LATENCY.size, np.int64), np.zeros((len(phases) + 1, LATENCY.size))
        for window in side:
            counts += window.latency.counts
            sums[-1] += window.latency.sums_s
            for name, part in zip(window.latency.phases, window.latency.phase_sums_s, strict=True):
                sums[phases.index(name)] += part
                sums[-1] -= part
        tails.append(split_tail(counts, sums))
    now, usual = tails
    if now is None:
        return []
    if usual is None:
        return [TriageLine("latency", f"p99 {_ms(now.quantile_s)}", "", 1.0)]
    lines = [
        TriageLine(
            "latency", f"p99 {_ms(now.quantile_s)}", _ms(usual.quantile_s), _ratio(now.quantile_s, usual.quantile_s)
        )
    ]
    if phases:
        grown = int((now.means_s[:-1] - usual.means_s[:-1]).argmax())
        mean, was = float(now.means_s[grown]), float(usual.means_s[grown])
        lines.append(TriageLine("phase", f"{phases[grown]} takes {_ms(mean)} on average", _ms(was), _ratio(mean, was)))
    return lines


def _worst(table: MeasureTable, edge_ns: int) -> list[TriageLine]:
    """Return the version and the cohort whose failures moved most."""
    inside = table.start_ns >= edge_ns
    lines = []
    for subject, names in (
        ("version", [key.version or "(no version)" for key in table.keys]),
        ("cohort", [key.cohort or "(no cohort)" for key in table.keys]),
    ):
        if len(set(names)) < 2:
            continue
        found = []
        for name in sorted(set(names)):
            rows = np.array([each == name for each in names])
            hits, calls = (float(part[rows][:, inside].sum()) for part in (table.failures, table.calls))
            before, all_before = (float(part[rows][:, ~inside].sum()) for part in (table.failures, table.calls))
            if calls >= _MIN_CALLS:
                ratio = _ratio((hits + 0.5) / (calls + 1), (before + 0.5) / (all_before + 1)) if all_before else 1.0
                usual = percent(before / all_before) if all_before else ""
                found.append(
                    TriageLine(subject, f"{name}: {percent(hits / calls)} of {calls:.0f} calls fail", usual, ratio)
                )
        lines += [max(found, key=lambda line: line.ratio)] if found else []
    return lines


def _processes(sides: Sides) -> list[TriageLine]:
    now, usual = (add([RuntimeCounts(), *(w.runtime for w in side if w.runtime is not None)]) for side in sides)
    if not now.observed_s:
        return []
    cores, were = now.cpu_s / now.observed_s, usual.cpu_s / max(usual.observed_s, 1e-9)
    lines = [
        TriageLine(
            "processes", f"{cores:.2f} cores each", f"{were:.2f}" if usual.observed_s else "", _ratio(cores, were)
        )
    ]
    for name, field in (
        ("GC pauses", "gc_pauses"),
        ("event-loop lag", "loop_lags"),
        ("thread-pool wait", "pool_waits"),
    ):
        mine, other = (getattr(side, field).quantile_s(0.99) for side in (now, usual))
        if mine:
            lines.append(
                TriageLine("processes", f"{name} p99 {_ms(mine)}", _ms(other) if other else "", _ratio(mine, other))
            )
    return lines


def _missing(sides: Sides) -> list[TriageLine]:
    """Return the feature whose missing values moved most."""
    shares = []
    for side in sides:
        rows: dict[str, float] = {}
        blank: dict[str, float] = {}
        for window in side:
            for name, cells in zip(
                *((window.features.names, window.features.cells) if window.features else ((), ())), strict=True
            ):
                rows[name] = rows.get(name, 0.0) + float(cells.sum())
                blank[name] = blank.get(name, 0.0) + float(cells[NULL])
        shares.append({name: blank[name] / max(count, 1.0) for name, count in rows.items() if count >= _MIN_CALLS})
    both = [(now - shares[1].get(name, now), name) for name, now in shares[0].items()]
    if not both:
        return []
    _, name = max(both)
    now, usual = shares[0][name], shares[1].get(name)
    ratio = 1.0 if usual is None else _ratio(now + 1e-3, usual + 1e-3)
    return [TriageLine("data", f"{name}: {percent(now)} missing", "" if usual is None else percent(usual), ratio)]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.2g} ms"
