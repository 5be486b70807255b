"""A window in a line and as short HTML, for `repr` and notebooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from radiosonde.model.notebook import card, shown
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.model.window import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = 60


def window_words(window: Window) -> str:
    """Return series, time and counts of *window* on one line."""
    failed = sum(window.errors.values())
    counts = f"{window.calls} calls, {window.rows} rows, {failed} failed"
    return f"Window of {_series(window)}: {moment(window.start_ns)} to {moment(window.end_ns)} UTC, {counts}"


def window_html(window: Window) -> str:
    """Return *window* as short HTML: its counts, its answers and its labels."""
    failed = sum(window.errors.values())
    features, labels = window.features, window.labels
    facts = [
        ("calls", window.calls),
        ("rows", window.rows),
        ("failed", f"{failed} ({percent(failed / window.calls)})" if window.calls else str(failed)),
        ("features", "" if features is None else len(features.names)),
        ("labels", "" if labels is None else sum(labels.outcomes.values())),
        ("process", window.process),
    ]
    counted = zip(window.output.classes, window.output.class_counts.tolist(), strict=True)
    rows = sorted(counted, key=lambda each: -each[1])
    headline = f"{_series(window)}, {moment(window.start_ns)} to {moment(window.end_ns)} UTC"
    return card(headline, facts, ("answer", "rows"), rows)


def moment(time_ns: int) -> str:
    """Return *time_ns* as text to the minute; a time that no calendar holds as its number."""
    try:
        return (_EPOCH + timedelta(microseconds=time_ns // 1000)).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return f"{time_ns} ns"


def _series(window: Window) -> str:
    key = window.key
    parts = [
        key.model,
        *(f"{name} {getattr(key, name)}" for name in ("version", "variant", "cohort") if getattr(key, name)),
    ]
    return ", ".join(shown(part, _NAME) for part in parts)
