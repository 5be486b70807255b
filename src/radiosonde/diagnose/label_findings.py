"""Formulates findings of labels that stopped or slowed down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.finding import Evidence, Finding, Onset, Place, Timeline, confidence, iso
from radiosonde.diagnose.next_steps import look_at_labels, look_before
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose.panel import Panel
    from radiosonde.model import Window
    from radiosonde.quality import FeedState


def feed_finding(panel: Panel, windows: Sequence[Window], feed: FeedState) -> Finding:
    """Return the finding on a broken label feed of the model of *panel*; a ticket, because predictions are unaffected."""
    where = Place(panel.model)
    onset = Onset(feed.at_ns, feed.earliest_ns, feed.latest_ns)
    at, count = iso(feed.at_ns), f"{feed.expected:,.0f}".replace(",", " ")
    if feed.is_stopped:
        title = f"labels stopped at {at}"
        came = "next to none" if feed.arrived >= 0.5 else "none"
        evidence = f"{count} labels were expected since then, from traffic and the usual label lag; {came} came"
    else:
        title = f"labels come at {percent(feed.share)} of the usual rate since {at}"
        evidence = f"{count} labels were expected since then, from traffic and the usual label lag; about {feed.arrived:,.0f} came".replace(",", " ")  # fmt: skip
    verdict = (
        "The label pipeline, not the model: predictions continue as before. Whether they are correct is unknown since then; "
        "quality computed from the labels that arrived would describe older predictions and the fastest labels only."
    )
    return Finding(
        "label.feed.all", "label", "ticket", title, verdict, where, onset, confidence(feed.ln_e),
        (
            Evidence("expected", round(feed.expected, 1), "labels", evidence),
            Evidence("share", feed.share, "share", f"{percent(feed.share)} of the expected labels arrive since then"),
        ),
        (look_at_labels(where, onset), look_before(where, onset)),
        (_timeline(panel, windows),),
    )  # fmt: skip


def _timeline(panel: Panel, windows: Sequence[Window]) -> Timeline:
    """Return the share of predictions that have a label, by time of prediction: young ones have few, then none."""
    axis = panel.axis
    labelled, rows = np.zeros(axis.size), np.zeros(axis.size)
    for window in windows:
        step = axis.index(window.start_ns)
        rows[step] += window.rows
        if window.labels is not None:
            labelled[step] += window.labels.lags.sum()
    points = [float(count / total) if total else None for count, total in zip(labelled, rows, strict=True)]
    return Timeline("predictions that have a label, by time of prediction", "share", axis.starts(), (("all", points),))
