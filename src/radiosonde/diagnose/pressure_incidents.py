"""Detects that processes were short of CPU, memory or input and output: throttling, run queues, saturation, stalls.

Each is a share of time: lost time over usable time, in whole seconds (periods for throttling), so that a minute is at most sixty trials. It
is tested by the engine of spans against an objective and against its own past, with a process as a place.

A busy process that answers in time is not an incident, so these are findings only if they explain slow calls of the same time
(`radiosonde.diagnose.fold`), and notes otherwise. A model that computes more than before is throttled, too, but is the cause: where a call
takes more
CPU than before, shortage of CPU explains nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Floor, Onset, Place, confidence
from radiosonde.diagnose.floors import rate_floor
from radiosonde.diagnose.host import host_of
from radiosonde.diagnose.next_steps import look_at_health, look_before
from radiosonde.diagnose.places import make_places
from radiosonde.diagnose.replay import replay
from radiosonde.diagnose.spans import Rule, SpanScan
from radiosonde.model import RUNTIME_MODEL, SeriesKey, cohort_text, parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.replay import Incident
    from radiosonde.model import RuntimeCounts, Window

    Numbers = NDArray[np.float64]

_MONTH_NS, _BURST_STEPS = 28 * 86_400_000_000_000, 10
_MORE_CPU, _MORE_CPU_S = 1.15, 0.0005
"""From which rise a call takes more CPU than before, by ratio and in seconds."""


class Shortage(NamedTuple):
    """Something that a process can be short of.

    Attributes:
        name: stable name.
        noun: the quantity, in words.
        lost: lost time, in seconds or periods.
        whole: total time.
        objective: share that is a fault without any history.
        min_rise: least rise of the share over the past.
        is_cpu: it indicates a shortage of CPU.
        verdict: interpretation and recommended action.
    """

    name: str
    noun: str
    lost: Callable[[RuntimeCounts], float]
    whole: Callable[[RuntimeCounts], float]
    objective: float
    min_rise: float
    is_cpu: bool
    verdict: str


SHORTAGES = (
    Shortage("throttling", "of the periods throttled by the CPU limit", lambda c: c.throttled_periods, lambda c: c.periods, 0.5, 0.1, True, "The CPU limit of the control group holds the processes back. Raise the limit or add replicas."),
    Shortage("run_queue", "of the time that threads could run spent waiting for a core", lambda c: c.run_delay_s, lambda c: c.cpu_s + c.run_delay_s, 0.6, 0.15, True, "Other programs, or too many threads of its own, use the cores. Dedicate cores to the processes, or reduce threads."),
    Shortage("saturation", "of the cores in use", lambda c: c.cpu_s, lambda c: c.cores * c.observed_s, 0.95, 0.3, True, "The processes use all of their CPU. Add replicas or cores."),
    Shortage("memory_stall", "of the time with tasks waiting for memory", lambda c: c.memory_stalled_s, lambda c: c.observed_s if c.cpu_stalled_s or c.memory_stalled_s else 0.0, 0.2, 0.05, False, "The kernel reclaims memory: the limit is too low for what is in use, or something leaks."),
    Shortage("io_stall", "of the time with tasks waiting for input and output", lambda c: c.io_stalled_s, lambda c: c.observed_s if c.cpu_stalled_s or c.io_stalled_s else 0.0, 0.5, 0.15, False, "A disk or a network file system is slow or busy."),
)  # fmt: skip


class ShortageLook(NamedTuple):
    """Results on one shortage: its tables by process and step, its incidents, and the detection floor."""

    shortage: Shortage
    keys: tuple[SeriesKey, ...]
    start_ns: NDArray[np.int64]
    lost: Numbers
    whole: Numbers
    incidents: list[Incident]
    floor: tuple[float, int]


def look_at_shortage(shortage: Shortage, runtime: Sequence[Window]) -> ShortageLook | None:
    """Check *shortage* in *runtime*, windows with the health of processes; None if it was not recorded."""
    keys = tuple(sorted({_key(window) for window in runtime}))
    row_of = {key: row for row, key in enumerate(keys)}
    starts = np.array([window.start_ns for window in runtime])
    steps = np.unique(starts)
    lost, whole = np.zeros((len(keys), steps.size)), np.zeros((len(keys), steps.size))
    for step, window in zip(np.searchsorted(steps, starts), runtime, strict=True):
        if window.runtime is not None:
            lost[row_of[_key(window)], step] += shortage.lost(window.runtime)
            whole[row_of[_key(window)], step] += shortage.whole(window.runtime)
    if not whole.any():
        return None
    lost = np.minimum(lost, whole)
    distance = float(np.median(np.diff(steps))) if steps.size > 1 else float(_MONTH_NS)
    places = make_places(keys, whole.sum(axis=1))
    rule = Rule(shortage.min_rise, shortage.objective, measures=len(SHORTAGES))
    scan = SpanScan(places.members, np.rint(lost), np.rint(whole), max(_MONTH_NS / distance, 1.0), rule)
    found = [incident for incident in replay(scan, places, _BURST_STEPS)[0] if incident.is_reported_by(scan.size)]
    length = next((each for each in scan.scales if each > 1 and not np.isnan(rate_floor(scan, each))), 0)
    floor = (rate_floor(scan, length), length) if length else (float("nan"), 0)
    return ShortageLook(shortage, keys, steps, lost, whole, found, floor)


def shortage_findings(
    model: str, windows: Sequence[Window], runtime: Sequence[Window], *, wants_past: bool
) -> tuple[list[Finding], dict[str, Floor]]:
    """Return the findings on shortages of the processes of *runtime*, which serve *model*, and the floors of those that were counted.

    Args:
        model: the model.
        windows: its windows.
        runtime: windows with the health of the processes that serve it.
        wants_past: ended incidents are findings, not notes.
    """
    made: list[Finding] = []
    floors: dict[str, Floor] = {}
    for shortage in SHORTAGES:
        look = look_at_shortage(shortage, runtime)
        if look is None:
            continue
        rate, length = look.floor
        text = f"{percent(rate)} {shortage.noun} for {length} windows" if length else f"nothing yet {shortage.noun}"
        floors[shortage.name] = Floor(rate, "share", text)
        made += [_finding(model, look, each, windows, runtime, wants_past=wants_past) for each in look.incidents]
    return made, floors


def _finding(
    model: str,
    look: ShortageLook,
    incident: Incident,
    windows: Sequence[Window],
    runtime: Sequence[Window],
    *,
    wants_past: bool,
) -> Finding:
    shortage, series = look.shortage, incident.cover.series
    end = look.start_ns.size if incident.recovered is None else incident.recovered
    inside, before = slice(incident.onset, end), slice(0, incident.onset)
    lost, whole, was_lost, was_whole = (
        float(table[series][:, part].sum()) for part in (inside, before) for table in (look.lost, look.whole)
    )
    at, earliest, latest = (int(look.start_ns[step]) for step in (incident.onset, incident.earliest, incident.latest))
    over = incident.recovered
    ended = None if over is None else int(look.start_ns[min(over, look.start_ns.size - 1)])
    onset = Onset(at, earliest, latest, ended, whole_span=not was_whole)
    processes = [parse_cohort(key.cohort)["process"] for key, mine in zip(look.keys, series, strict=True) if mine]
    alone = f" in process {', '.join(processes[:3])}" if len(processes) < len(look.keys) else ""
    rate, was = lost / max(whole, 1e-9), was_lost / max(was_whole, 1e-9)
    evidence = [
        Evidence("rate", rate, "share", f"{percent(rate)} {shortage.noun} since then"),
        Evidence("rate_before", was, "share", f"{percent(was)} before"),
    ]
    is_own, verdict = False, shortage.verdict
    host = host_of(windows, runtime, at, ended if ended is not None else int(look.start_ns[-1]) + 1)
    if shortage.is_cpu and host is not None and host.other is not None and host.now.calls and host.other.calls:
        now, other = host.now.cpu_per_call_s, host.other.cpu_per_call_s
        is_own = now > _MORE_CPU * other + _MORE_CPU_S
        words = f"a call takes {1000 * now:.3g} ms of CPU, {1000 * other:.3g} ms {host.word}"
        evidence.append(Evidence("cpu_per_call", now, "s", words))
        if is_own:
            verdict = f"The calls themselves compute more ({words}), so the model or its load is the cause and this is a consequence."
    is_note = is_own or (ended is not None and not wants_past)
    return Finding(
        f"runtime.{shortage.name}.{processes[0] if alone else 'all'}", "runtime", "info" if is_note else "ticket",
        f"{percent(rate)} {shortage.noun}{alone}, {percent(was)} before", verdict, Place(model), onset,
        confidence(incident.alarm.ln_report), tuple(evidence), (look_at_health(onset), look_before(Place(model), onset)),
    )  # fmt: skip


def _key(window: Window) -> SeriesKey:
    return SeriesKey(RUNTIME_MODEL, cohort=cohort_text({"process": window.process or "?"}))
