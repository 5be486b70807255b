"""Detects memory growth towards the limit, and predicts when it is reached.

Per process: the slope of the last hours by Theil and Sen (the median of the slopes of all pairs of points), with Mann and Kendall's test of
a trend whose variance is widened for memory that wanders. A leak is steady, so a level that rose once, or a cache that filled and stopped,
is none: the last third must rise, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, confidence
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.next_steps import look_at_health, look_before
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.finding import Severity
    from radiosonde.model import Window

    Numbers = NDArray[np.float64]

MIN_POINTS, _MOST_POINTS = 30, 120
_HOURS_NS = 6 * 3_600_000_000_000
_SOON_NS, _VERY_SOON_NS = 24 * 3_600_000_000_000, 3_600_000_000_000
_USED, _TREND_Z = 0.5, 6.0
_THIRD_Z = 2.0
_PLANTED, _GROWTHS = 0.75, 0.0125 * 2.0 ** np.arange(8)
"""Share of the limit in use where growth is planted, and by how much it grows per hour: from what reaches the limit within a day."""


class Growth(NamedTuple):
    """Memory of a process that grows.

    Attributes:
        start_ns: since when.
        used: share of the limit in use.
        left_ns: time until the limit is reached at this pace.
        z: standard deviations of the trend.
    """

    start_ns: int
    used: float
    left_ns: int
    z: float


def find_growth(start_ns: NDArray[np.int64], used: Numbers, limit: float) -> Growth | None:
    """Return how memory grows towards *limit*; None where it does not, or not soon.

    Args:
        start_ns: start of each window, ascending.
        used: bytes in use in each.
        limit: bytes that may be used.
    """
    recent = start_ns >= start_ns[-1] - _HOURS_NS
    at, held = start_ns[recent], used[recent]
    if at.size < MIN_POINTS or held[-1] < _USED * limit:
        return None
    chosen = np.unique(np.linspace(0, at.size - 1, _MOST_POINTS).astype(np.int64))
    time_s, level = (at[chosen] - at[0]) / 1e9, held[chosen] / limit
    # Growth that began lately is a line in the last half or third only.
    trends = [_trend(time_s[first:], level[first:]) for first in (0, level.size // 2, 2 * level.size // 3)]
    z, slope = max(trends)
    if z < _TREND_Z or slope <= 0 or trends[-1][0] < _THIRD_Z:
        return None
    left_ns = int((1.0 - level[-1]) / slope * 1e9)
    if left_ns > _SOON_NS:
        return None
    # A level, then a line of that slope: the break that leaves least (Hinkley, Biometrika 57, 1970).
    grown = slope * np.maximum(time_s[None, :] - time_s[:, None], 0.0)
    began_s = float(time_s[(level - grown).var(axis=1).argmin()])
    return Growth(int(at[0] + began_s * 1e9), float(level[-1]), max(left_ns, 0), z)


def _trend(time_s: Numbers, level: Numbers) -> tuple[float, float]:
    """Return the standard score of the trend, and its slope per second."""
    first, second = np.triu_indices(level.size, 1)
    rises, times = level[second] - level[first], time_s[second] - time_s[first]
    count = level.size
    variance = count * (count - 1) * (2 * count + 5) / 18
    slope = float(np.median(rises / times))
    residual = level - slope * time_s
    centred = residual - residual.mean()
    power = float(centred @ centred)
    rho = float(centred[1:] @ centred[:-1]) / power if power > 0 else 0.0
    widened = variance * (1 + max(rho, 0.0)) / (1 - min(max(rho, 0.0), 0.9))
    return float(np.sign(rises).sum() / np.sqrt(widened)), slope


def smallest_growth(start_ns: NDArray[np.int64], used: Numbers, limit: float) -> float:
    """Return the slowest steady growth that `find_growth` would report by now, as a share of *limit* per hour; NaN where it would report none.

    Lines are planted into how the memory wanders at hand, three quarters of the limit being in use at their end.
    """
    recent = start_ns >= start_ns[-1] - _HOURS_NS
    at, held = start_ns[recent], used[recent] / limit
    if at.size < MIN_POINTS:
        return float("nan")
    hours = (at - at[-1]) / 3.6e12
    slope = float(np.polyfit(hours, held, 1)[0])
    wandering = held - held.mean() - slope * (hours - hours.mean())
    for growth in _GROWTHS:
        planted = _PLANTED + wandering - wandering[-1] + growth * hours
        if find_growth(at, planted * limit, limit) is not None:
            return float(growth)
    return float("nan")


class MemoryLook(NamedTuple):
    """The result of `look_at_memory`.

    Attributes:
        findings: on memory that grows.
        looked_at: processes that were checked.
        unlimited: processes without a limit, or with an unknown one.
        short: processes with too few windows.
        floor: growth that would have been reported in the process whose memory wanders most, as a share of its limit per hour; NaN for none.
    """

    findings: list[Finding]
    looked_at: list[str]
    unlimited: list[str]
    short: list[str]
    floor: float


def look_at_memory(model: str, runtime: Sequence[Window]) -> MemoryLook:
    """Check the memory of the processes of *runtime*, which serve *model*."""
    found = MemoryLook([], [], [], [], float("nan"))
    widest, floor = -1.0, float("nan")
    for process in sorted({window.process for window in runtime}):
        mine = sorted((window for window in runtime if window.process == process), key=lambda window: window.start_ns)
        counts = [window.runtime for window in mine if window.runtime is not None]
        limit = max((each.memory_limit_bytes for each in counts), default=0)
        if not limit:
            found.unlimited.append(process)
            continue
        starts = np.array([window.start_ns for window in mine if window.runtime is not None])
        if (starts >= starts[-1] - _HOURS_NS).sum() < MIN_POINTS:
            found.short.append(process)
            continue
        found.looked_at.append(process)
        used = np.array([float(each.memory_bytes or each.rss_bytes) for each in counts])
        growth = find_growth(starts, used, limit)
        if growth is not None:
            found.findings.append(_finding(model, process, growth, limit))
        spread = float(np.diff(used).std()) / limit
        if spread > widest:
            widest, floor = spread, smallest_growth(starts, used, limit)
    return found._replace(floor=floor)


def _finding(model: str, process: str, growth: Growth, limit: int) -> Finding:
    severity: Severity = "page" if growth.left_ns <= _VERY_SOON_NS else "ticket"
    onset = Onset(growth.start_ns, growth.start_ns, growth.start_ns)
    where = Place(model)
    left = length_words(growth.left_ns)
    return Finding(
        f"runtime.memory.{process}", "runtime", severity,
        f"memory of process {process} is at {percent(growth.used)} of its limit and reaches it in {left}",
        "It grows steadily: something is never released (an unbounded cache, a list that only grows). At the limit the process is killed.",
        where, onset, confidence(min(growth.z**2 / 2, 40.0)),
        (
            Evidence("used", growth.used, "share", f"{percent(growth.used)} of {limit / 1e6:,.0f} MB in use"),
            Evidence("left", growth.left_ns / 1e9, "s", f"{left} until the limit, at the pace of the last hours"),
        ),
        (look_at_health(onset), look_before(where, onset)),
    )  # fmt: skip
