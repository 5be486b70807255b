"""Is a figure from early labels right? On simulated traffic whose truth is known.

    python benchmarks/quality/bench_labels.py [--quick]

Ids are permanent:

* ``error-drift``, ``error-still``: error rate of one day's predictions (2 000) seen 1 to 30 days later; positives take 10 days
  (median, lognormal), negatives 2; with and without a drift of the truth by one logit on that day. Lag curves come from all
  windows of the 91 days. Mean over the seeds of raw, corrected, expected (CBPE) and mixed less the truth of those rows; spread;
  how often the interval holds the truth. The bar on coverage is lowered to 0 here, and ``given`` is the share of figures that are not refused.
* ``cbpe``: accuracy estimated without labels on chunks whose scores drift and are not calibrated: mean absolute error of score
  bins against isotonic calibration row by row.
* ``feed-*``: the label feed stops, thins out, delivers once a day, or is well: findings, and the error of the moment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.quality.label_stream import DAY_S, NEVER_S, START_NS, Stream, output_counts, stream, window, windows
from radiosonde.model import CONFIDENCE_BINS
from radiosonde.quality import Joint, assess, calibration, label_table, lag_curves, watch_feed

HISTORY_D = 90
HOUR_S = 3600.0


class Errors(NamedTuple):
    """One run of ``error-*``: the truth of the day's rows, and the four estimates of it."""

    truth: float
    raw: float
    corrected: float
    cbpe: float
    mixed: float
    low: float
    high: float
    given: bool


def error_rates(seed: int, age_d: float, *, drifted: bool) -> Errors:
    """Return the error rate of the day after the history, as it looks when its predictions are *age_d* old on average."""
    made = stream(HISTORY_D + 1, seed=seed, drift_day=HISTORY_D if drifted else np.inf)
    as_of_s = (HISTORY_D + 0.5 + age_d) * DAY_S
    as_of = START_NS + int(as_of_s * 1e9)
    first = START_NS + int(HISTORY_D * DAY_S * 1e9)
    seen = windows(made, as_of_s=as_of_s)
    curves = lag_curves(label_table(seen, as_of_ns=as_of))
    day = label_table(seen, as_of_ns=as_of, since_ns=first, until_ns=first + int(DAY_S * 1e9))
    found = assess(day, curves, min_coverage=0.0)
    given = not assess(day, curves).corrected.refused
    truth = float(made.is_wrong[made.at_s >= HISTORY_D * DAY_S].mean())
    best = found.corrected
    return Errors(truth, found.raw.value, best.value, found.cbpe.value, found.mixed.value, best.low, best.high, given)


def cbpe_errors(seed: int, *, chunks: int = 24, rows: int = 2000) -> tuple[float, float]:
    """Return the mean absolute errors of estimated accuracy (score bins, row by row) on chunks of drifting scores.

    The model is overconfident (its logits are half again too large) and not symmetric; the truth given the score stays.
    """
    from sklearn.isotonic import IsotonicRegression

    draw = np.random.default_rng(seed)

    def batch(count: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        logit = draw.normal(-1.0 + shift, 2.0, count)
        score = 1 / (1 + np.exp(-1.5 * logit - 0.3))
        return score, (draw.uniform(size=count) < 1 / (1 + np.exp(-logit))).astype(np.int64)

    score, label = batch(20_000, 0.0)
    row_level = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(score, label)
    held = calibration(("0", "1"), _joint(score, label))
    errors = []
    for chunk in range(chunks):
        score, label = batch(rows, 2.0 * np.sin(2 * np.pi * chunk / chunks))
        predicted = score > 0.5
        truth = float((predicted == (label == 1)).mean())
        probability = row_level.predict(score)
        by_row = float(np.where(predicted, probability, 1 - probability).mean())
        table = label_table([window(START_NS, START_NS + 10**9, rows, output_counts(*_binned(score)), None)])
        by_bin = assess(table, (), metric="accuracy", calibrated=held).cbpe.value
        errors.append((abs(by_bin - truth), abs(by_row - truth)))
    by_bin, by_row = np.mean(errors, axis=0).tolist()
    return by_bin, by_row


def _binned(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    confidence = np.maximum(score, 1 - score)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    return (score > 0.5).astype(np.int64), bins, confidence


def _joint(score: np.ndarray, label: np.ndarray) -> Joint:
    predicted, bins, confidence = _binned(score)
    table = np.zeros((2, 2, CONFIDENCE_BINS + 1, 3))
    np.add.at(table, (predicted, label, bins), np.stack([np.ones(score.size), confidence, confidence**2], axis=1))
    return Joint(("0", "1"), np.array([(0, 0), (0, 1), (1, 0), (1, 1)]), table.reshape(4, CONFIDENCE_BINS + 1, 3))


class Feed(NamedTuple):
    """A label feed: days of traffic, rows a day, median lag of either class in hours, and what goes wrong before the end."""

    days: float = 21
    rate: int = 2000
    lag_h: float = 3.0
    stopped_h: float = 0.0
    left: float = 0.0
    batch_h: float = 0.0


FEEDS = {
    "feed-well": Feed(),
    "feed-well-slow": Feed(days=60, lag_h=120),
    "feed-stopped-8h": Feed(stopped_h=8),
    "feed-stopped-24h": Feed(stopped_h=24),
    "feed-stopped-24h-slow": Feed(days=60, lag_h=120, stopped_h=24),
    "feed-stopped-12h-few": Feed(rate=200, stopped_h=12),
    "feed-thinned-24h": Feed(stopped_h=24, left=0.4),
    "feed-daily": Feed(batch_h=24),
    "feed-daily-slow": Feed(days=60, lag_h=120, batch_h=24),
    "feed-daily-stopped-72h": Feed(batch_h=24, stopped_h=72),
}


def feed_state(feed: Feed, seed: int) -> tuple[bool, float, float]:
    """Return whether the feed is reported, hours by which the moment is late, and the share said to be left."""
    made = stream(feed.days, seed=seed, rate=feed.rate)
    draw = np.random.default_rng(seed)
    lag = feed.lag_h * HOUR_S * np.exp(draw.normal(0, 0.8, made.at_s.size))
    if feed.batch_h:
        batch_s = feed.batch_h * HOUR_S
        lag = np.ceil((made.at_s + lag) / batch_s) * batch_s - made.at_s
    end_s = feed.days * DAY_S - (2 * HOUR_S if feed.batch_h else 0)
    stopped_s = end_s - feed.stopped_h * HOUR_S
    lost = (made.at_s + lag > stopped_s) & (draw.uniform(size=lag.size) >= feed.left)
    lag = np.where(lost & (feed.stopped_h > 0), NEVER_S, lag)
    seen = windows(Stream(made.at_s, made.score, made.label, lag), as_of_s=end_s, step_s=HOUR_S)
    state = watch_feed(seen, as_of_ns=START_NS + int(end_s * 1e9))
    return state.is_broken, ((state.at_ns - START_NS) / 1e9 - stopped_s) / HOUR_S, state.share


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a quarter of the seeds")
    seeds = range(10 if parser.parse_args().quick else 40)
    print(
        f"{'error rate':13} {'age d':>5} {'truth':>6} {'raw':>7} {'corrected':>9} {'sd':>6} {'cbpe':>7} {'mixed':>7} {'holds':>6} {'given':>5}"
    )
    for name, drifted in (("error-drift", True), ("error-still", False)):
        for age_d in (1, 3, 7, 14, 30):
            runs = np.array([error_rates(seed, age_d, drifted=drifted) for seed in seeds], dtype=float)
            truth, raw, corrected, cbpe, mixed, low, high, given = runs.T
            holds = ((low <= truth) & (truth <= high)).mean()
            print(
                f"{name:13} {age_d:5} {truth.mean():6.3f} {(raw - truth).mean():+7.3f} {(corrected - truth).mean():+9.3f} "
                f"{(corrected - truth).std():6.3f} {(cbpe - truth).mean():+7.3f} {(mixed - truth).mean():+7.3f} "
                f"{100 * holds:5.0f}% {100 * given.mean():4.0f}%", flush=True,
            )  # fmt: skip
    by_bin, by_row = np.mean([cbpe_errors(seed) for seed in seeds], axis=0)
    print(
        f"cbpe: mean absolute error of 24 chunks: score bins {by_bin:.5f}, row by row {by_row:.5f}, ratio {by_bin / by_row:.3f}"
    )
    for name, feed in FEEDS.items():
        states = [feed_state(feed, seed) for seed in seeds]
        late = [state[1] for state in states if state[0]]
        shown = (
            f"moment off by {np.median(np.abs(late)):.1f} h (median), {np.max(np.abs(late)):.1f} (most)" if late else ""
        )
        print(f"{name:24} reported {len(late):2}/{len(states)}   {shown}", flush=True)


if __name__ == "__main__":
    main()
