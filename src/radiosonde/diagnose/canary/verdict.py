"""The verdict on each measure, and on the canary as a whole.

* **worse**: somewhere the new version has more events than the old one (`radiosonde.diagnose.canary.places`). At most one healthy rollout
  in a hundred is called worse, over all measures, cohorts and looks; `SHARES` divides that over the measures.
* **no difference**: the 99 % interval lies within the margin, for all calls and with every cohort compared with itself.
* **better**: the interval lies below zero.
* **keep going**: none of these yet; with the rows of the new version that it takes if both versions are alike.

Every verdict except the last is final. *Worse* takes precedence over the others, because a fault may begin late.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from radiosonde.diagnose.canary.difference import difference_gains, growth_per_row, past_rates
from radiosonde.diagnose.canary.evidence import dispersions
from radiosonde.diagnose.canary.measures import SUBJECTS, make_measures
from radiosonde.diagnose.canary.places import find_worse, make_places
from radiosonde.diagnose.canary.ratio import check_ratio
from radiosonde.diagnose.finding import iso
from radiosonde.diagnose.json_values import to_json_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.canary.measures import Measure, Subject
    from radiosonde.diagnose.canary.places import CanaryPlaces
    from radiosonde.diagnose.canary.ratio import Ratio
    from radiosonde.diagnose.canary.rollout import Rollout

    Numbers = NDArray[np.float64]

SCHEMA = "radiosonde.canary/1"

Verdict = Literal["worse", "better", "no difference", "keep going"]
Status = Literal["promote", "worse", "keep going", "stale", "mismatch"]

EXIT_CODES: Final[dict[Status, int]] = {"promote": 0, "worse": 1, "keep going": 3, "stale": 4, "mismatch": 5}
"""As for ``diagnose``: 1 something is wrong, 2 could not run, 3 not enough data, 4 stale; 5 the split differs from the expected one."""

FALSE_ALARMS = 0.01
SHARES: Mapping[Subject, float] = {"errors": 0.8, "latency": 0.1, "labels": 0.05, "confidence": 0.05}
DEFAULT_REQUIRED: tuple[Subject, ...] = ("errors", "latency")

_INTERVAL_LN = float(np.log(100.0))
_MOST_ROWS = 10_000_000_000
_ESTIMATED = 1.3
"""Cost of estimating rates, as a factor of the rows; measured by ``make bench B=canary``."""


@dataclass(frozen=True, slots=True)
class WorsePlace:
    """Where the new version is worse.

    Attributes:
        cohort: the cohort; ``""`` for the whole version.
        since_ns: start of the first affected step, the most likely one.
        earliest_ns: start of the likelihood set.
        latest_ns: end of it.
        decided_ns: end of the step that decided it.
        hits: events of the new version there since then.
        trials: its trials.
        old_hits: events of the old version, same place and time.
        old_trials: its trials.
        ln_e: evidence, with the places paid for.
    """

    cohort: str
    since_ns: int
    earliest_ns: int
    latest_ns: int
    decided_ns: int
    hits: int
    trials: int
    old_hits: int
    old_trials: int
    ln_e: float


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one measure.

    Attributes:
        subject: the measure.
        verdict: see the module.
        old: the measure of the old version: a share, or of latency the p99 in seconds.
        new: the same of the new version.
        low: lower end of the 99 % interval of new minus old (latency: of new over old); None where it is unknown.
        high: upper end.
        margin: the largest difference that does not matter.
        trials: trials of the new version in cohorts that both serve.
        rows_to_go: number of further rows needed if both are equal; None if the verdict is final or the number is unknown.
        places: where it is worse, strongest first.
    """

    subject: Subject
    verdict: Verdict
    old: float
    new: float
    low: float | None
    high: float | None
    margin: float
    trials: int
    rows_to_go: int | None
    places: tuple[WorsePlace, ...]


@dataclass(frozen=True, slots=True)
class NotJudged:
    """A measure of which nothing is known, and why."""

    subject: Subject
    because: str


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """The whole answer.

    Attributes:
        model: the model.
        old: the version compared with.
        new: the version that is rolled out.
        start_ns: first window of the new version.
        end_ns: end of the last window.
        calls_old: calls of the old version in that time.
        calls_new: calls of the new version.
        ratio: the split of calls; None before both served.
        measures: the judged measures.
        not_judged: the measures that were not judged.
        required: measures required for a promotion.
        waiting: why nothing can be compared yet; ``""`` otherwise.
        is_stale: there are no recent writes.
        without: data excluded from the comparison, in words: ended incidents of the old version, excluded intervals and losses.
    """

    model: str
    old: str
    new: str
    start_ns: int = 0
    end_ns: int = 0
    calls_old: int = 0
    calls_new: int = 0
    ratio: Ratio | None = None
    measures: tuple[Judged, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    required: tuple[Subject, ...] = DEFAULT_REQUIRED
    waiting: str = ""
    is_stale: bool = False
    without: tuple[str, ...] = ()

    @property
    def is_mismatch(self) -> bool:
        """Whether the split is wrong, so that only failures of the same cohort and minute can be compared."""
        return self.ratio is not None and bool(self.ratio.mismatches)

    @property
    def worse(self) -> tuple[Judged, ...]:
        """The measures that are worse; with a mismatch only failures can be."""
        return tuple(
            each
            for each in self.measures
            if each.verdict == "worse" and (each.subject == "errors" or not self.is_mismatch)
        )

    @property
    def status(self) -> Status:
        """The whole answer in a word."""
        if self.worse:
            return "worse"
        if self.is_mismatch:
            return "mismatch"
        if self.is_stale:
            return "stale"
        settled = {each.subject for each in self.measures if each.verdict in ("better", "no difference")}
        return "promote" if not self.waiting and set(self.required) <= settled else "keep going"

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, text and numbers; schema `SCHEMA`."""
        record = {"schema": SCHEMA, "status": self.status, "exit_code": EXIT_CODES[self.status], **asdict(self)}
        if self.ratio is not None:
            record["ratio"] = {
                "share": self.ratio.share,
                "expected": self.ratio.expected,
                "is_checked": self.ratio.is_checked,
                "cohorts": self.ratio.cohorts,
                "mismatches": [each._asdict() for each in self.ratio.mismatches],
            }
        plain: dict[str, Any] = to_json_values(record)
        return plain


_REASONS: Mapping[Subject, str] = {
    "errors": "no calls were counted",
    "latency": "no durations were counted",
    "labels": "no labels of the new version's predictions have arrived",
    "confidence": "the outputs of the new version have no confidence",
}


def judge_rollout(
    rollout: Rollout,
    margins: Mapping[Subject, float],
    *,
    required: Collection[Subject] = DEFAULT_REQUIRED,
    expected_share: float | None = None,
    uneven: bool = False,
) -> CanaryReport:
    """Compare the versions of *rollout*.

    Args:
        rollout: the counts.
        margins: the largest acceptable difference, by measure.
        required: measures required for a promotion.
        expected_share: configured share of calls of the new version; None if not configured.
        uneven: cohorts have different shares on purpose.
    """
    calls_new, calls_old, _ = rollout.counted(lambda window, _: window.calls)
    places = make_places(rollout.cohorts, calls_new.sum(axis=1).astype(np.float64))
    ratio = check_ratio(calls_new, calls_old, places, expected_share, uneven=uneven)
    measures = make_measures(rollout, margins)
    usable = {subject: each for subject, each in measures.items() if each.both.any()}
    return CanaryReport(
        rollout.model, str(rollout.old), str(rollout.new), rollout.axis.start_ns,
        max(window.end_ns for window, *_ in rollout.windows), int(calls_old.sum()), int(calls_new.sum()), ratio,
        tuple(judge_measure(each, places, rollout.axis.at_ns) for each in usable.values()),
        tuple(NotJudged(subject, _REASONS[subject] if subject not in measures else "both versions never served the same cohort") for subject in SUBJECTS if subject not in usable),
        tuple(subject for subject in SUBJECTS if subject in required),
        without=tuple(f"{iso(each.start_ns)} to {iso(each.end_ns)} is no baseline: {each.why} of {rollout.old}" for each in rollout.ended),
    )  # fmt: skip


def judge_measure(measure: Measure, places: CanaryPlaces, at_ns: Callable[[int], int]) -> Judged:
    """Return the verdict on *measure*.

    Args:
        measure: the counts.
        places: the places to compare.
        at_ns: turns a step into the time of its start.
    """
    limit = -float(np.log(FALSE_ALARMS * SHARES[measure.subject]))
    problems = find_worse(measure, places, limit)
    grid = _ever(_grid_evidence(measure))
    stratified = _limit_evidence(measure)
    low, high = _interval(measure.values, grid)
    at_low, at_high = (float(grid[np.abs(measure.values - sign * measure.limit).argmin()]) for sign in (-1, 1))
    is_alike = min(at_low, at_high, *stratified) >= _INTERVAL_LN
    verdict: Verdict = (
        "worse"
        if problems
        else "no difference"
        if is_alike
        else "better"
        if high is not None and high <= 0
        else "keep going"
    )
    rows = (
        _rows_to_go(measure, (min(at_low, stratified[0]), min(at_high, stratified[1])))
        if verdict == "keep going"
        else None
    )
    if measure.subject == "latency":
        low, high = (None if value is None else float(np.exp(value)) for value in (low, high))
    found = tuple(
        WorsePlace(
            each.cohort, at_ns(each.start[0]), at_ns(each.start[1]), at_ns(each.start[2]), at_ns(each.decided + 1),
            each.hits, each.trials, each.old_hits, each.old_trials, round(each.ln_e, 2),
        )
        for each in problems
    )  # fmt: skip
    trials = int(measure.arms.trials[measure.both].sum())
    return Judged(measure.subject, verdict, *measure.figures, low, high, measure.margin, trials, rows, found)


def _ever(ln_e: Numbers) -> Numbers:
    """Return the largest evidence of any look: a rejection is final."""
    return np.asarray(np.maximum(ln_e.max(axis=0), 0.0), dtype=np.float64)


def _grid_evidence(measure: Measure) -> Numbers:
    """Return the evidence against each value of the grid over time, shape (steps, grid); cohorts are added up, layers are not."""
    both, layers = measure.both, int(measure.layer_of.max()) + 1
    tried = np.zeros((2, layers, measure.arms.trials.shape[1]))
    for table, part in zip(tried, (measure.arms.trials, measure.arms.rest_trials), strict=True):
        np.add.at(table, measure.layer_of[both], part[both])
    (hits, old_hits), (trials, old_trials) = measure.shifted, tried[..., None]
    rates = past_rates(hits, trials, old_hits, old_trials)
    gains = difference_gains(hits, trials, old_hits, old_trials, measure.deltas, rates).sum(axis=0)
    return np.asarray((gains / _scale(measure)[:, None]).cumsum(axis=0), dtype=np.float64)


def _limit_evidence(measure: Measure) -> tuple[float, float]:
    """Return the evidence against both margins with every cohort compared with itself, for versions that are alike."""
    both = measure.both
    trials, old_trials = (
        part[both].astype(np.float64)[..., None] for part in (measure.arms.trials, measure.arms.rest_trials)
    )
    hits, old_hits = (part[both][..., [0, 2]].astype(np.float64) for part in measure.at_limits)
    done, tried = old_hits.cumsum(axis=1) - old_hits, old_trials.cumsum(axis=1) - old_trials
    if measure.subject != "latency":
        done, tried = (
            part + known[both, None, None] for part, known in zip((done, tried), measure.known[:2], strict=True)
        )
    overall = (done.sum(axis=0) + 0.5) / (tried.sum(axis=0) + 50.0)
    weight = 2.0 / overall
    old = np.clip((done + weight * overall) / (tried + weight), 1e-6, 1 - 1e-6)
    # Alike means, of latency, that the new version's tail beyond a margin is the old one's there.
    new = np.clip(old * (measure.alike[0] / np.maximum(measure.alike[1], 1e-9))[[0, 2]], 1e-6, 1 - 1e-6)
    old = np.where(tried.sum(axis=0) >= old_trials.sum(axis=0), old, np.nan)  # nothing is staked on a guess
    gains = difference_gains(hits, trials, old_hits, old_trials, measure.limit_deltas[[0, 2]], (new, old))
    low, high = _ever((gains.sum(axis=0) / _scale(measure)[:, None]).cumsum(axis=0)).tolist()
    return low, high


def _scale(measure: Measure) -> Numbers:
    return np.asarray(
        np.maximum(dispersions(measure.arms, measure.both[None], measure.known)[0], measure.weight),
        dtype=np.float64,
    )


def _interval(values: Numbers, ln_e: Numbers) -> tuple[float | None, float | None]:
    """Return the bounds of the values that were never rejected, widened to the next value; None if unbounded."""
    kept = np.flatnonzero(ln_e < _INTERVAL_LN)
    if not kept.size:
        return None, None
    low = None if kept[0] == 0 else float(values[kept[0] - 1])
    high = None if kept[-1] == values.size - 1 else float(values[kept[-1] + 1])
    return low, high


def _rows_to_go(measure: Measure, ln_e: Sequence[float]) -> int | None:
    """Return the number of further rows of the new version needed to show no difference, if there is none."""
    both = measure.both
    trials, old_trials = (float(part[both].sum()) for part in (measure.arms.trials, measure.arms.rest_trials))
    share, scale = trials / max(trials + old_trials, 1.0), float(_scale(measure)[-1])
    wanted = 0.0
    for column, known in zip((0, 2), ln_e, strict=True):
        new, old = (float(part[column]) for part in measure.alike)
        growth = growth_per_row(share, new, old, float(measure.limit_deltas[column])) / scale
        missing = max(_INTERVAL_LN - known, 0.0)
        wanted = max(wanted, missing / growth if growth > 0 else math.inf)
    return max(1, math.ceil(_ESTIMATED * wanted)) if wanted <= _MOST_ROWS else None
