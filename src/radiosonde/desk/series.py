"""The signals of one model over time, at several resolutions, as small arrays: the input of every chart of the desk.

A page must not read a store: 30 days of minutes are 43 200 windows a series. Windows are reduced once, when the model is diagnosed, to levels
of at most `STEPS` steps each: the first as long as the windows, the others longer. A page takes the finest level that covers its time
range. Quantiles of a level are those of the merged histograms, so no level shows an average of quantiles. Twenty models take some
megabytes, however many windows they have.

Nothing here decides anything. Verdicts come from the diagnosis alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radiosonde.desk.feature_tables import (
    FeatureQuantiles,
    FeatureTables,
    make_quantiles,
    tables_by_cohort,
    tables_by_version,
)
from radiosonde.desk.heat import HeatMap, cells_over_time, make_heat_map
from radiosonde.diagnose.panel import Axis, Panel, make_panel
from radiosonde.diagnose.spreading import add_spread
from radiosonde.diagnose.status import window_length_ns
from radiosonde.model import LATENCY
from radiosonde.model.runtime import speaker_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

    Numbers = NDArray[np.float32]

STEPS = 600
"""Steps of a level."""
FACTORS = (1, 5, 15, 60, 360, 1440, 10_080)
"""Lengths of the steps of the levels, in windows."""
MOST_ARMS, MOST_CLASSES = 6, 6
OTHERS = "others"
_RANKS = (("p50", 0.5), ("p99", 0.99))


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Level:
    """All signals of a model in steps of one length.

    Attributes:
        axis: the steps.
        arms: versions (with their variant, where versions alone do not distinguish them), the busiest first.
        calls: calls, shape (arms, steps).
        failed: failed calls, same shape.
        rows: predicted rows of all arms, shape (steps,).
        latency: p50 and p99 in seconds by name, each shape (arms, steps); NaN without calls.
        phases: phases, ending with the time outside them (``""``); empty without any.
        phase_s: mean seconds of a call by phase, all arms, shape (phases, steps).
        classes: predicted classes, the most frequent first; ``value`` for numbers.
        answers: share of each class of the rows, or the mean value, shape (classes, steps).
        correct: labelled rows that were right, shape (steps,).
        incorrect: labelled rows that were wrong, same shape.
        labels: labels, same shape.
        host: health of the processes by name, each shape (steps,); NaN where nothing was measured.
        heat: distances of features over time; None without features.
        versions: cells of features by version; None without features.
        cohorts: cells of features by cohort; None without features or cohorts.
    """

    axis: Axis
    arms: tuple[str, ...]
    calls: Numbers
    failed: Numbers
    rows: Numbers
    latency: Mapping[str, Numbers]
    phases: tuple[str, ...]
    phase_s: Numbers
    classes: tuple[str, ...]
    answers: Numbers
    correct: Numbers
    incorrect: Numbers
    labels: Numbers
    host: Mapping[str, Numbers]
    heat: HeatMap | None
    versions: FeatureTables | None
    cohorts: FeatureTables | None


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class ModelSeries:
    """The levels of a model, the finest first.

    Attributes:
        levels: the levels; each ends at the end of the last window, and the last one covers all windows.
        start_ns: start of the first window.
        end_ns: end of the last window.
        births: version and the start of its first window, in the order of time.
        quantiles: quantiles of features over the time of the finest level; None where no sketches are kept.
    """

    levels: tuple[Level, ...]
    start_ns: int
    end_ns: int
    births: tuple[tuple[str, int], ...]
    quantiles: FeatureQuantiles | None = None

    def level(self, from_ns: int) -> Level:
        """Return the finest level that covers the time from *from_ns* on."""
        return next((each for each in self.levels if each.axis.start_ns <= from_ns), self.levels[-1])


def make_series(
    model: str,
    windows: Sequence[Window],
    runtime: Sequence[Window],
    references: Mapping[tuple[str, str], Reference],
) -> ModelSeries:
    """Return the signals of *model*.

    Args:
        model: the model.
        windows: its windows, at least one; windows that hold sketches only are left out.
        runtime: windows with the health of all processes.
        references: reference by (model, version).
    """
    mine = [window for window in windows if not window.is_of_sketches]
    length_ns = max(window_length_ns(mine), 1)
    start_ns, end_ns = min(window.start_ns for window in mine), max(window.end_ns for window in mine)
    serving = {window.process for window in mine}
    lived = [window for window in runtime if speaker_of(window) in serving]
    levels = []
    for factor in FACTORS:
        axis = _axis(end_ns, start_ns, length_ns * factor)
        inside = [window for window in mine if window.end_ns > axis.start_ns]
        levels.append(_level(model, axis, inside, lived, references))
        if axis.start_ns <= start_ns:
            break
    first: dict[str, int] = {}
    for window in mine:
        version = window.key.version
        first[version] = min(first.get(version, window.start_ns), window.start_ns)
    births = sorted(first.items(), key=lambda each: (each[1], each[0]))
    quantiles = make_quantiles(windows, levels[0].axis, references)
    return ModelSeries(tuple(levels), start_ns, end_ns, tuple(births), quantiles)


def _axis(end_ns: int, start_ns: int, step_ns: int) -> Axis:
    """Return at most `STEPS` steps that end with the step of the last window."""
    last = -(-end_ns // step_ns)
    first = max(start_ns // step_ns, last - STEPS)
    return Axis(first * step_ns, step_ns, max(last - first, 1))


def _level(
    model: str,
    axis: Axis,
    windows: Sequence[Window],
    runtime: Sequence[Window],
    references: Mapping[tuple[str, str], Reference],
) -> Level:
    panel = make_panel(model, windows, axis)
    arms, members = _arms(panel)
    latency = np.stack([panel.latency[chosen].sum(axis=0) for chosen in members])
    classes, answers = _answers(windows, axis)
    phases, phase_s = _phases(panel)
    cells = cells_over_time(windows, axis, references)
    correct, incorrect = (_float(table.sum(axis=(0, 1))) for table in (panel.correct, panel.incorrect))
    return Level(
        axis,
        arms,
        _by_arm(panel.calls, panel.arm_of, members),
        _by_arm(panel.errors, panel.arm_of, members),
        _float(panel.rows.sum(axis=0)),
        {name: _quantiles(latency, rank) for name, rank in _RANKS},
        phases,
        phase_s,
        classes,
        answers,
        correct,
        incorrect,
        _labels(windows, axis),
        _host(runtime, axis),
        None if cells is None else make_heat_map(cells),
        None if cells is None else tables_by_version(cells),
        None if cells is None else tables_by_cohort(windows, cells, references),
    )


def _float(values: NDArray[np.generic]) -> Numbers:
    return np.asarray(values, dtype=np.float32)


def _arms(panel: Panel) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the names of the busiest arms, and the arms of each; the last one holds all others, if there are any."""
    calls = np.zeros(len(panel.arms))
    np.add.at(calls, panel.arm_of, panel.calls.sum(axis=1))
    order = sorted(range(len(panel.arms)), key=lambda arm: (-calls[arm], panel.arms[arm]))
    names = [panel.arm_name(arm) for arm in order]
    if len(order) <= MOST_ARMS:
        return tuple(names), [[arm] for arm in order]
    kept = MOST_ARMS - 1
    return (*names[:kept], OTHERS), [*([arm] for arm in order[:kept]), order[kept:]]


def _by_arm(table: NDArray[np.int64], arm_of: NDArray[np.int64], members: Sequence[Sequence[int]]) -> Numbers:
    return np.stack([_float(table[np.isin(arm_of, chosen)].sum(axis=0)) for chosen in members])


def _quantiles(counts: NDArray[np.int64], rank: float) -> Numbers:
    """Return a quantile of each histogram, shape (lines, steps); interpolated within its bucket, as `split_tail` does."""
    total = counts.sum(axis=-1)
    above = counts[..., ::-1].cumsum(axis=-1)[..., ::-1]
    wanted = (1 - rank) * total
    bucket = np.maximum((above >= wanted[..., None]).sum(axis=-1) - 1, 0)
    held = np.take_along_axis(counts, bucket[..., None], axis=-1)[..., 0]
    beyond = np.take_along_axis(above, bucket[..., None], axis=-1)[..., 0] - held
    share = (wanted - beyond) / np.maximum(held, 1)
    value = LATENCY.upper_bounds_s()[bucket] * np.exp2(-share / (1 << LATENCY.scale))
    return _float(np.where(total > 0, value, np.nan))


def _phases(panel: Panel) -> tuple[tuple[str, ...], Numbers]:
    if not panel.phases:
        return (), np.zeros((0, panel.axis.size), np.float32)
    sums = panel.phase_sums_s.sum(axis=(0, 3))
    calls = panel.latency.sum(axis=(0, 2))
    means = np.divide(sums, calls, out=np.full(sums.shape, np.nan), where=calls > 0)
    return (*panel.phases, ""), _float(means)


def _answers(windows: Sequence[Window], axis: Axis) -> tuple[tuple[str, ...], Numbers]:
    """Return the most frequent classes and the share of each; the mean value, where the answers are numbers."""
    counted: dict[str, int] = {}
    for window in windows:
        for name, rows in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
            counted[name] = counted.get(name, 0) + rows
    names = sorted((name for name, rows in counted.items() if rows), key=lambda name: (-counted[name], name))
    spans, nothing = axis.spans(windows), np.zeros(len(windows), dtype=np.int64)
    if not names:
        values = np.array([(float(w.output.value_counts.sum()), w.output.value_sum) for w in windows])
        table = np.zeros((1, axis.size, 2))
        add_spread(table, nothing, spans, values)
        rows, sums = table[0, :, 0], table[0, :, 1]
        if not rows.any():
            return (), np.zeros((0, axis.size), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.divide(sums, rows, out=np.full(axis.size, np.nan), where=rows > 0)
        return ("mean value",), _float(mean)[None]
    chosen = names[:MOST_CLASSES]
    place = {name: index for index, name in enumerate(chosen)}
    rows_of = np.zeros((len(windows), len(chosen) + 1))
    for index, window in enumerate(windows):
        for name, count in zip(window.output.classes, window.output.class_counts.tolist(), strict=True):
            rows_of[index, place.get(name, len(chosen))] += count
    table = np.zeros((1, axis.size, len(chosen) + 1))
    add_spread(table, nothing, spans, rows_of)
    total = table[0].sum(axis=1)
    shares = np.divide(table[0].T, total, out=np.full(table[0].T.shape, np.nan), where=total > 0)
    is_whole = len(names) <= MOST_CLASSES
    return (tuple(chosen), _float(shares[:-1])) if is_whole else ((*chosen, OTHERS), _float(shares))


def _labels(windows: Sequence[Window], axis: Axis) -> Numbers:
    labelled = [window for window in windows if window.labels is not None]
    table = np.zeros((1, axis.size))
    if labelled:
        counts = np.array([float(each.labels.class_counts.sum()) for each in labelled if each.labels is not None])
        add_spread(table, np.zeros(len(labelled), dtype=np.int64), axis.spans(labelled), counts)
    return _float(table[0])


def _host(runtime: Sequence[Window], axis: Axis) -> Mapping[str, Numbers]:
    """Return cores used by a process, the largest memory, and p99 of pauses and waits; empty if nothing was measured in this time."""
    end_ns = axis.at_ns(axis.size)
    inside = [
        (window, part)
        for window in runtime
        if (part := window.runtime) is not None and window.end_ns > axis.start_ns and window.start_ns < end_ns
    ]
    if not inside:
        return {}
    spans, line = axis.spans([window for window, _ in inside]), np.zeros(len(inside), dtype=np.int64)
    sums = np.zeros((1, axis.size, 3))
    add_spread(sums, line, spans, np.array([(part.cpu_s, part.observed_s, part.throttled_s) for _, part in inside]))
    cpu, observed, throttled = sums[0].T
    memory = np.zeros(axis.size)
    np.maximum.at(memory, spans.first, np.array([float(part.rss_bytes) for _, part in inside]))
    made = {
        "cores": np.divide(cpu, observed, out=np.full(axis.size, np.nan), where=observed > 0),
        "throttled": np.divide(throttled, observed, out=np.full(axis.size, np.nan), where=observed > 0),
        "memory": np.where(memory > 0, memory, np.nan),
    }
    for name in ("gc_pauses", "loop_lags", "pool_waits"):
        table = np.zeros((1, axis.size, LATENCY.size), dtype=np.int64)
        add_spread(table, line, spans, np.stack([getattr(part, name).counts for _, part in inside]))
        if table.any():
            made[name] = _quantiles(table, 0.99)[0]
    return {name: _float(values) for name, values in made.items()}
