"""Quality estimates of each version's latest predictions, or the reason for their absence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import Place, QualityFigure, iso
from radiosonde.model.percent import percent
from radiosonde.quality import assess, assess_residuals, calibration, class_weights, label_table, weighted_joint

if TYPE_CHECKING:
    from radiosonde.quality import Estimate, FeedState, LabelColumns, LabelTable, LagCurve

RECENT_NS = 7 * 86_400 * 10**9
"""Length of the latest predictions; a third of the span when that is shorter."""

_NAMES = {
    "error_rate": "error rate",
    "auc": "AUC",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}


def quality_figures(
    model: str, labels: LabelColumns, everything: LabelTable, curves: tuple[LagCurve, ...], feed: FeedState
) -> list[QualityFigure]:
    """Return the figures of every version of *model*.

    Args:
        model: model name.
        labels: labels and answers of its windows.
        everything: table of all of them.
        curves: lag curves of all versions together: label lags do not depend on the version.
        feed: state of the label feed; with a broken one the present is unknown.
    """
    end, start = int(labels.end_ns.max()), int(labels.start_ns.min())
    since = end - min(RECENT_NS, (end - start) // 3)
    broken = f"labels {'stopped' if feed.is_stopped else 'became fewer'} at {iso(feed.at_ns)}" if feed.is_broken else ""
    figures: list[QualityFigure] = []
    for version, variant in sorted({(key.version, key.variant) for key in labels.present}):
        mine = labels.of(key for key in labels.keys if (key.version, key.variant) == (version, variant))
        recent = label_table(mine, as_of_ns=everything.as_of_ns, since_ns=since)
        if recent.rows.any():
            older = label_table(mine, as_of_ns=everything.as_of_ns, until_ns=since)
            where = Place(model, version, variant)
            figures += _figures(where, since, recent, older, curves, broken)
    return figures


def _figures(
    where: Place, since_ns: int, recent: LabelTable, older: LabelTable, curves: tuple[LagCurve, ...], broken: str
) -> list[QualityFigure]:
    if recent.is_regression or older.is_regression:
        made = []
        for residual in ("mae", "rmse"):
            raw, corrected = assess_residuals(recent, curves, metric=residual)
            made.append(QualityFigure(where, residual, since_ns, _unless(corrected, broken), _unless(raw, broken)))
        return made
    weights = class_weights(older, curves)
    held = calibration(recent.classes, weighted_joint(older, weights))
    made = []
    for metric in ("error_rate", "auc") if len(recent.classes) == 2 else ("error_rate",):
        found = assess(recent, curves, metric=metric, calibrated=held)
        raw, corrected, mixed = (_unless(part, broken) for part in (found.raw, found.corrected, found.mixed))
        made.append(QualityFigure(where, metric, since_ns, corrected, raw, found.cbpe, mixed))
    return made


def _unless(estimate: Estimate, broken: str) -> Estimate:
    """Return *estimate*, without its figure when the feed is broken."""
    if not broken:
        return estimate
    nan = float("nan")
    return replace(estimate, value=nan, low=nan, high=nan, refused=broken)


def quality_words(figure: QualityFigure) -> str:
    """Return *figure* as one sentence."""
    best, name = figure.corrected, _NAMES.get(figure.metric, figure.metric)
    who = f"{figure.where.version or '(no version)'}" + (
        f"/{figure.where.variant}" if figure.where.variant not in {"", "stable"} else ""
    )
    if best.refused:
        text = f"{who}: {name} is unknown: {best.refused}"
        if figure.cbpe is not None and not figure.cbpe.refused:
            text += f"; confidence alone predicts {_number(figure.cbpe.value)}, if the relation of inputs and labels has not changed"
        return text
    text = (
        f"{who}: {name} {_number(best.value)} ({_number(best.low)} to {_number(best.high)}) of predictions from "
        f"{_day(figure.since_ns)} to {_day(best.until_ns)}, from {percent(best.coverage)} of their labels"
    )
    if abs(figure.raw.value - best.value) > (best.high - best.low) / 4:
        text += f"; arrived labels alone give {_number(figure.raw.value)}"
    return text


def _number(value: float) -> str:
    return f"{value:.3g}"


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
