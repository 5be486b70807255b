"""What labels look like in Prometheus, and what of it only grows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde.export.blocks import Distribution
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.model import Outcome, SeriesKey
from tests.factories import KEY, START_NS, make_labels, make_output, make_snapshot, make_window

SERIES = (
    'radiosonde_model_name="delays",radiosonde_model_version="1",radiosonde_variant="stable",radiosonde_cohort="",'
    'radiosonde_model_kind="model"'
)
RELEASE = 'radiosonde_model_name="delays",radiosonde_model_version="1",radiosonde_variant="stable"'


def samples(*windows, builder: BlockBuilder | None = None) -> dict[str, float]:
    """Return the samples of an exposition by name and labels."""
    lines = render((builder or BlockBuilder()).build(make_snapshot(*windows)), openmetrics=False).decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def joint(rows: dict[int, tuple[float, float, float]]) -> np.ndarray:
    """Return a joint table with these lines by bin."""
    table = np.zeros((21, 3))
    for place, line in rows.items():
        table[place] = line
    return table


def pair(predicted: str, label: str, place: str = "") -> str:
    """Return the labels of a joint count."""
    names = f'{RELEASE},radiosonde_prediction_class="{predicted}",radiosonde_label_class="{label}"'
    return f'{names},radiosonde_confidence_bin="{place}"' if place else names


def test_retractions_stand_beside_the_outcomes_from_the_start():
    """Both counters have all results and lags, zeros included; neither is netted."""
    labels = make_labels({("incorrect", "1d"): 4, ("correct", "7d"): 1}, retractions={("incorrect", "1d"): 1})
    for window, rows, taken_back in ((make_window(labels=labels), 4, 1), (make_window(), 0, 0)):
        found = samples(window)
        place = f'{{{SERIES},radiosonde_outcome_result="incorrect",radiosonde_label_lag="1d"}}'
        assert found[f"radiosonde_outcome_rows_total{place}"] == rows
        assert found[f"radiosonde_outcome_retractions_total{place}"] == taken_back
        assert sum(name.startswith("radiosonde_outcome_retractions_total") for name in found) == 8


def test_labels_that_never_came_are_a_counter_of_every_series():
    """Classifications and regressions alike have it, from the first export on."""
    assert samples(make_window(labels=make_labels(never=7)))[f"radiosonde_label_never_total{{{SERIES}}}"] == 7
    valued = make_window(output=make_output(values=[1.0], value_edges=[0.0]))
    assert samples(valued)[f"radiosonde_label_never_total{{{SERIES}}}"] == 0


def test_joint_counts_have_all_pairs_and_bins():
    """Two classes are four pairs of twenty bins; confidence sums are by pair; what carried no confidence has a bin more."""
    tables = {
        ("yes", "yes"): joint({19: (3, 2.9, 2.8)}),
        ("yes", "no"): joint({10: (1, 0.5, 0.25), 19: (1, 0.97, 0.9409)}),
    }
    window = make_window(output=make_output([("no", 0.6)]), labels=make_labels({("correct", "1h"): 3}, joint=tables))
    found = samples(window)
    rows = {name: value for name, value in found.items() if name.startswith("radiosonde_outcome_joint_rows_total{")}
    assert len(rows) == 80
    assert {name: value for name, value in rows.items() if value} == {
        f"radiosonde_outcome_joint_rows_total{{{pair('yes', 'yes', '19')}}}": 3,
        f"radiosonde_outcome_joint_rows_total{{{pair('yes', 'no', '10')}}}": 1,
        f"radiosonde_outcome_joint_rows_total{{{pair('yes', 'no', '19')}}}": 1,
    }
    assert found[f"radiosonde_outcome_joint_expected_total{{{pair('yes', 'no')}}}"] == 1.47
    assert found[f"radiosonde_outcome_joint_expected_squares_total{{{pair('yes', 'no')}}}"] == pytest.approx(1.1909)
    assert found[f"radiosonde_outcome_joint_expected_total{{{pair('no', 'no')}}}"] == 0
    silent = make_window(labels=make_labels({("correct", "1h"): 2}, joint={("yes", "yes"): joint({20: (2, 0, 0)})}))
    assert samples(silent)[f"radiosonde_outcome_joint_rows_total{{{pair('yes', 'yes', 'none')}}}"] == 2


def test_a_model_without_labels_has_no_joint_counts():
    """Eighty series per version are not spent on models without labels."""
    assert not any("joint" in name for name in samples(make_window(output=make_output([("yes", 0.9)]))))


def test_many_classes_are_folded_and_stay_where_they_were():
    """Four classes keep their pairs when others become more frequent; every row is in some pair."""

    def window(counts: dict[str, int]):
        tables = {(name, name): joint({5: (rows, 0, 0)}) for name, rows in counts.items()}
        lags = {name: [30.0] * rows for name, rows in counts.items()}
        return make_window(labels=make_labels({("correct", "1h"): 1}, lags_s=lags, joint=tables))

    builder = BlockBuilder()
    samples(window({"a": 5, "b": 4, "c": 3, "d": 2, "e": 1}), builder=builder)
    found = samples(
        window({"a": 5, "b": 4, "c": 3, "d": 2, "e": 90, **{f"f{i:02}": 1 for i in range(9)}}), builder=builder
    )
    counted = {name: value for name, value in found.items() if "joint_rows" in name and value}
    assert counted == {
        f"radiosonde_outcome_joint_rows_total{{{pair(name, name, '05')}}}": rows
        for name, rows in {"a": 5, "b": 4, "c": 3, "d": 2, "__other__": 99}.items()
    }
    lags = {name.split('label_class="')[1].split('"')[0]: value for name, value in found.items() if 'le="+Inf"' in name and "label_lag" in name}  # fmt: skip
    assert lags == {"a": 5, "b": 4, "c": 3, "d": 2, "e": 90, **{f"f{i:02}": 1 for i in range(5)}, "__other__": 4}


def test_residuals_give_mean_absolute_error():
    """Rows, distances by sign and squares of a regression; also where only the labels are known here."""
    labels = make_labels(lags_s={"value": [30.0, 30.0]}, residuals=[2.0, -3.0])
    for output in (make_output(values=[1.0, 2.0], value_edges=[0.0]), make_output()):
        found = samples(make_window(output=output, labels=labels))
        assert [found[f"radiosonde_outcome_residual_{name}_total{{{SERIES}}}"] for name in ("rows", "squares")] == [
            2,
            13,
        ]
        for sign, distance in (("positive", 2), ("negative", 3)):
            place = f'{{{SERIES},radiosonde_sign="{sign}"}}'
            assert found[f"radiosonde_outcome_residual_distance_total{place}"] == distance
            assert found[f"radiosonde_outcome_residual_distance_retractions_total{place}"] == 0
        assert not any(name.startswith("radiosonde_outcome_rows_total") for name in found)


CLASSES = st.sampled_from(["no", "yes", "maybe"])


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    """Draw a label or a correction, perhaps of a label that another process counted."""
    is_class = draw(st.booleans())
    labels = CLASSES if is_class else st.floats(-9, 9)
    former = draw(st.none() | labels)
    return Outcome(
        KEY if is_class else SeriesKey("fares", "1"),
        START_NS + draw(st.integers(0, 10**11)),
        draw(CLASSES) if is_class else "",
        draw(st.floats(0, 1) | st.just(math.nan)) if is_class else math.nan,
        math.nan if is_class else draw(st.floats(-9, 9)),
        draw(labels if former is not None else st.none() | labels),
        draw(st.floats(0, 1e6)),
        former,
        draw(st.floats(0, 1e6)) if former is not None else math.nan,
    )


@given(st.lists(st.lists(outcomes(), max_size=8), min_size=2, max_size=5))
def test_no_counter_ever_falls(batches):
    """For any corrections, exported counters and histograms only grow from one export to the next."""
    aggregator, builder = Aggregator(60.0, "p"), BlockBuilder()
    before: dict = {}
    for batch in batches:
        aggregator.update_outcomes(batch)
        now = {}
        for family in builder.build(make_snapshot(*aggregator.snapshot())).families.values():
            for block in family:
                if isinstance(block, Distribution):
                    now.update({(block.metric.name, block.labels.rows, i): n for i, n in enumerate(block.counts)})
                elif block.metric.instrument == "counter":
                    now.update(
                        ((block.metric.name, row), n) for row, n in zip(block.labels.rows, block.values, strict=True)
                    )
        # What is left of tiny confidences that were taken back may be nothing: a fall to nothing adds nothing to `increase`.
        fallen = {key: (value, now.get(key)) for key, value in before.items() if now.get(key, 0) < value - 1e-12}
        assert not fallen
        before = now
