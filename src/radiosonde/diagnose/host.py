"""Compares the machine before and during a latency finding, to attribute it to infrastructure or model.

Compares the health of the processes (`radiosonde.model.RuntimeCounts`) since the onset with before it; for a version that
has separate processes (a canary on other pods) with the processes of the other versions at the same time. It produces no finding: a busy
machine with fast answers is not an incident. It is considered only if throttling is clear *and* calls do not take more CPU than before: a
model that computes more than its limit allows is throttled too, and is the cause.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from radiosonde.diagnose.finding import Evidence
from radiosonde.model.addition import add
from radiosonde.model.percent import percent
from radiosonde.model.runtime import DurationCounts, RuntimeCounts, speaker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radiosonde.model import Window

THROTTLED_RATIO, UNMISTAKABLE_RATIO = 0.05, 0.2
MIN_PERIODS = 100
"""Ten seconds at the kernel's usual period of 100 ms."""
MIN_DURATIONS = 20
LONGER_RATIO, LONGER_S = 3.0, 0.010
MORE_CPU_RATIO = 1.3

_TABLES: tuple[tuple[str, Callable[[RuntimeCounts], DurationCounts]], ...] = (
    ("GC pauses", lambda runtime: runtime.gc_pauses),
    ("event-loop lag", lambda runtime: runtime.loop_lags),
    ("thread-pool wait", lambda runtime: runtime.pool_waits),
)


class Side(NamedTuple):
    """The health of some processes in some time, and the calls they answered."""

    runtime: RuntimeCounts
    calls: int

    @property
    def throttled(self) -> float:
        """Share of the periods in which the CPU limit held the process back; 0.0 without a limit."""
        return self.runtime.throttled_periods / self.runtime.periods if self.runtime.periods else 0.0

    @property
    def cpu_per_call_s(self) -> float:
        """CPU seconds per call; 0.0 without calls."""
        return self.runtime.cpu_s / self.calls if self.calls else 0.0


class HostComparison(NamedTuple):
    """The machine while calls were slow, and its baseline.

    Attributes:
        now: the affected processes since the onset.
        other: the same before it, or other processes; None when unknown.
        word: kind of *other*: ``before`` or ``elsewhere``.
        since_ns: the onset.
    """

    now: Side
    other: Side | None
    word: str
    since_ns: int

    @property
    def is_to_blame(self) -> bool:
        """Whether throttling explains the slow calls beyond doubt, and is not itself the work of the model."""
        now, other = self.now, self.other
        if other is None or min(now.runtime.periods, other.runtime.periods) < MIN_PERIODS:
            return False
        same_work = 0 < now.cpu_per_call_s <= MORE_CPU_RATIO * other.cpu_per_call_s
        return same_work and now.throttled >= UNMISTAKABLE_RATIO and now.throttled >= 4 * other.throttled

    def blame(self) -> str:
        """Return the sentence of `is_to_blame`."""
        other = 0.0 if self.other is None else self.other.throttled
        return (
            f"the CPU limit held the process back {percent(self.now.throttled)} of the time since {_clock(self.since_ns)} "
            f"({percent(other)} {self.word}), while a call takes no more CPU than {self.word}"
        )

    def evidence(self) -> Evidence:
        """Return the line of the host."""
        changed, usual = self._throttling()
        for name, table in _TABLES:
            self._add_durations(name, table, changed, usual)
        cpu = "" if not self.now.calls else f"; {_ms(self.now.cpu_per_call_s)} of CPU per call"
        if cpu and self.other is not None and self.other.calls:
            cpu += f" ({_ms(self.other.cpu_per_call_s)} {self.word})"
        if self.other is None:
            said = f"not recorded {self.word}: {', '.join(changed + usual)}"
        else:
            said = ", ".join(changed) if changed else f"no change: {', '.join(usual)}"
        return Evidence("host", round(self.now.throttled, 4), "share", f"host: {said}{cpu}")

    def _throttling(self) -> tuple[list[str], list[str]]:
        if not self.now.runtime.periods:
            return [], ["no CPU limit"]
        now, other = self.now.throttled, 0.0 if self.other is None else self.other.throttled
        said = f"throttled {percent(now)} of the time"
        if self.now.runtime.periods < MIN_PERIODS or now < max(THROTTLED_RATIO, 2 * other):
            return [], [said]
        return [f"{said} since {_clock(self.since_ns)}" + self._instead(percent(other))], []

    def _add_durations(
        self, name: str, table: Callable[[RuntimeCounts], DurationCounts], changed: list[str], usual: list[str]
    ) -> None:
        durations = table(self.now.runtime)
        if durations.counts.sum() < MIN_DURATIONS:
            return
        now = durations.quantile_s(0.99)
        other = 0.0 if self.other is None else table(self.other.runtime).quantile_s(0.99)
        said = f"{name} p99 {_ms(now)}"
        if now < LONGER_S or now < LONGER_RATIO * other:
            usual.append(said)
        else:
            changed.append(said + self._instead(_ms(other)))

    def _instead(self, value: str) -> str:
        return "" if self.other is None else f" ({value} {self.word})"


def host_of(
    windows: Sequence[Window], runtime: Sequence[Window], start_ns: int, end_ns: int, arm: tuple[str, str] | None = None
) -> HostComparison | None:
    """Return the health of the machine from *start_ns* to *end_ns*; None if it was not recorded.

    Args:
        windows: windows of the model.
        runtime: windows of `radiosonde.model.RUNTIME_KEY`.
        start_ns: onset of the slow calls.
        end_ns: their end.
        arm: (version, variant) that is slower than the others; None when all have become slower.
    """
    inside = [window for window in windows if start_ns <= window.start_ns < end_ns]
    lived = [window for window in runtime if start_ns <= window.start_ns < end_ns]
    mine = {window.process for window in inside if arm in (None, window.key[1:3])}
    others = {window.process for window in inside} - mine
    if arm is not None and others:
        now, other = _side(inside, lived, mine), _side(inside, lived, others)
        word = "elsewhere"
    else:
        before = [window for window in windows if window.start_ns < start_ns]
        lived_before = [window for window in runtime if window.start_ns < start_ns]
        now, other = _side(inside, lived, mine), _side(before, lived_before, {window.process for window in before})
        word = "before"
    return None if now is None else HostComparison(now, other, word, start_ns)


def _side(windows: Sequence[Window], runtime: Sequence[Window], processes: set[str]) -> Side | None:
    """Return the health of *processes*; calls of processes without recorded health are excluded."""
    parts = [window for window in runtime if speaker_of(window) in processes and window.runtime is not None]
    if not parts:
        return None
    counted = {speaker_of(window) for window in parts}
    total = add([RuntimeCounts(), *(window.runtime for window in parts if window.runtime is not None)])
    return Side(total, sum(window.calls for window in windows if window.process in counted))


def _ms(seconds: float) -> str:
    milli = 1000 * seconds
    return f"{milli:.0f} ms" if milli >= 9.95 else f"{milli:.1f} ms"


def _clock(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%H:%M")
