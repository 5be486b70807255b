"""Calls and labels that stop or change suddenly are found within a few windows, whatever the watch can afford."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality import label_stream
from benchmarks.quality.incidents.service import MINUTE_NS, START_NS, Traffic, calls, failing, series
from radiosonde.diagnose import Policy, check
from radiosonde.model import CONFIDENCE_BINS, SeriesKey
from radiosonde.store import StoreWriter
from radiosonde.watch.arrivals import Arrivals
from radiosonde.watch.looking import SETTLES_NS, StoreLooker
from tests.factories import make_runtime_window, make_window

BEGUN, CHANGED = 200, 220
STEP_NS = 600 * 10**9


def service(model, seed, minutes, factor=1.0):
    """Return the windows of a model whose calls change by *factor* in minute 220."""
    rng = np.random.default_rng(seed)
    made = calls(rng, minutes, series(1), 200.0, swing=0.0)
    made[:, CHANGED:] = rng.poisson(factor * made[:, CHANGED:])
    windows = Traffic(series(1), made, failing(rng, made, 0.001)).windows()
    return [replace(window, key=window.key._replace(model=model)) for window in windows if window.calls]


def first_found(tmp_path, windows, steps, step_ns=MINUTE_NS, start_ns=START_NS):
    """Return the step in which a watch that can afford nothing but what is urgent has its first finding, and the finding."""
    writer, path = StoreWriter(tmp_path / "store.db"), tmp_path / "store.db"
    looker, look = StoreLooker([path], lambda stores, source: Policy(), share=1e-6), None
    for first, last in ((0, steps[0]), *((step - 1, step) for step in range(steps[0] + 1, steps[1] + 1))):
        writer.write([window for at, window in windows if first <= at < last])
        now_ns = start_ns + last * step_ns + SETTLES_NS
        while look is None or looker.has_grown(now_ns):
            look = looker.look(now_ns)
            if not look.is_partial:
                break
        if look.diagnosis.findings:
            break
    writer.close()
    return last, look.diagnosis.findings


@pytest.mark.parametrize("beside", ["another model", "the health of the process"])
@pytest.mark.parametrize(("factor", "within"), [(0.0, 3), (0.25, 4), (4.0, 35)])
def test_calls_that_stop_or_change_are_found_when_nothing_else_can_be_afforded(tmp_path, factor, within, beside):
    """A model that is not called any more writes nothing that could show it; a surge is reported once it is no burst."""
    end = CHANGED + within
    windows = [((window.start_ns - START_NS) // MINUTE_NS, window) for window in service("a", 1, end, factor)]
    if beside == "another model":
        windows += [((window.start_ns - START_NS) // MINUTE_NS, window) for window in service("b", 2, end)]
    else:
        bounds = [(minute, START_NS + minute * MINUTE_NS) for minute in range(end)]
        windows += [(minute, make_runtime_window(at_ns, at_ns + MINUTE_NS)) for minute, at_ns in bounds]
    at, found = first_found(tmp_path, windows, (BEGUN, end))
    assert [(each.kind, each.where.model) for each in found] == [("traffic", "a")]
    assert CHANGED < at <= end


def parts_of(made, steps, stopped):
    """Return the windows and label parts of a stream with the step of their arrival; no label arrives from step *stopped* on."""
    step_s, found = STEP_NS / 1e9, []
    step, came = (made.at_s // step_s).astype(int), ((made.at_s + made.lag_s) // step_s).astype(int)
    predicted, confidence = (made.score > 0.5).astype(int), np.maximum(made.score, 1 - made.score)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(int), CONFIDENCE_BINS - 1)
    for at in range(steps):
        for of in sorted({at, *step[came == at]}):
            rows, labels = (
                np.flatnonzero((step == of) & (at == of)),
                np.flatnonzero((step == of) & (came == at) & (at < stopped)),
            )
            answers = label_stream.output_counts(predicted[rows], bins[rows], confidence[rows])
            counted = (
                label_stream.label_counts(
                    predicted[labels], made.label[labels], bins[labels], confidence[labels], made.lag_s[labels]
                )
                if labels.size
                else None
            )
            if rows.size or labels.size:
                start_ns = START_NS + of * STEP_NS
                found.append((at, label_stream.window(start_ns, start_ns + STEP_NS, rows.size, answers, counted)))
    return found


def test_labels_that_stop_are_found_within_three_windows_of_what_a_diagnosis_would_find(tmp_path):
    """Predictions go on, labels that used to come within half an hour do not: a watch that can afford nothing else finds it."""
    stopped, steps = 170, 200
    made = label_stream.stream(steps / 144, seed=3, rate=144 * 60)
    made = replace(made, lag_s=made.lag_s / 300)
    windows = parts_of(made, steps, stopped)
    at, found = first_found(tmp_path, windows, (167, steps), STEP_NS)
    assert [each.kind for each in found] == ["label"]
    assert check([window for arrived, window in windows if arrived < at - 3], {}).findings == ()


def minute(at, count, model="m"):
    """Return the window of one minute."""
    bounds = {"start_ns": START_NS + at * MINUTE_NS, "end_ns": START_NS + (at + 1) * MINUTE_NS}
    return replace(make_window(SeriesKey(model, "1"), **bounds), calls=count)


@pytest.mark.parametrize("world", ["steady", "season", "sparse", "late parts"])
def test_healthy_calls_are_seldom_suspected(world):
    """Noise, a day's course and few calls name a model in at most one of fifty minutes; half of all parts late in one of six."""
    rng = np.random.default_rng(5)
    rate = {"steady": 100.0, "sparse": 0.3}.get(world, 200.0) * np.ones(500)
    if world == "season":
        rate *= 1 + 0.5 * np.sin(2 * np.pi * np.arange(500) / 1440)
    arrivals, named = Arrivals(MINUTE_NS), 0
    for at, count in enumerate(rng.poisson(rate).tolist()):
        now = count // 2 if world == "late parts" else count
        came = [minute(at, now)] if count else []
        if world == "late parts" and at:
            came.append(minute(at - 1, now))
        clock = minute(at, 1, model="clock")
        named += "m" in arrivals.add([*came, clock])
    assert named <= (80 if world == "late parts" else 10)
