from __future__ import annotations

import math

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import Exemplar, SeriesKey
from tests.factories import (
    KEY,
    START_NS,
    make_features,
    make_labels,
    make_latency,
    make_output,
    make_reference,
    make_snapshot,
    make_window,
)

SERIES = (
    'radiosonde_model_name="delays",radiosonde_model_version="1",radiosonde_variant="stable",radiosonde_cohort="",'
    'radiosonde_model_kind="model"'
)
RELEASE = 'radiosonde_model_name="delays",radiosonde_model_version="1",radiosonde_variant="stable"'


def text(snapshot: Snapshot, *, openmetrics: bool = False) -> str:
    """Return the exposition of a snapshot."""
    return render(BlockBuilder().build(snapshot), openmetrics=openmetrics).decode()


def family(exposition: str, name: str) -> list[str]:
    """Return the lines of one family, without its help."""
    lines = exposition.splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"# TYPE {name} ")))
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith(("# HELP", "# EOF"))), len(lines))
    return lines[start:end]


def test_a_counter_line():
    """Calls of one series: type, labels, value."""
    window = make_window(durations_s=[0.004, 0.02, 0.3])
    assert family(text(make_snapshot(window)), "radiosonde_prediction_calls_total") == [
        "# TYPE radiosonde_prediction_calls_total counter",
        f"radiosonde_prediction_calls_total{{{SERIES}}} 3",
    ]


def test_latency_is_a_cumulative_histogram():
    """Buckets of durations add up, and end in +Inf, count and sum."""
    window = make_window(durations_s=[0.004, 0.005, 0.25, 3.0])
    assert family(text(make_snapshot(window)), "radiosonde_prediction_duration_seconds") == [
        "# TYPE radiosonde_prediction_duration_seconds histogram",
        *(
            f'radiosonde_prediction_duration_seconds_bucket{{{SERIES},le="{bound}"}} {count}'
            for bound, count in [
                ("0.001", 0),
                ("0.005", 2),
                ("0.01", 2),
                ("0.05", 2),
                ("0.1", 2),
                ("0.5", 3),
                ("1.0", 3),
                ("+Inf", 4),
            ]
        ),
        f"radiosonde_prediction_duration_seconds_count{{{SERIES}}} 4",
        f"radiosonde_prediction_duration_seconds_sum{{{SERIES}}} 3.259",
    ]


def test_exemplars_are_in_openmetrics_alone():
    """The bucket of a traced prediction names its trace in OpenMetrics; the classic format has no place for it."""
    exemplar = Exemplar(0.004, START_NS + 1_500_000_000, trace_id=0xABC, span_id=0xDEF)
    window = make_window(latency=make_latency([0.004], exemplars={1: exemplar}))
    lines = family(text(make_snapshot(window), openmetrics=True), "radiosonde_prediction_duration_seconds")
    assert lines[:2] == [
        "# TYPE radiosonde_prediction_duration_seconds histogram",
        "# UNIT radiosonde_prediction_duration_seconds seconds",
    ]
    assert lines[3] == (
        f'radiosonde_prediction_duration_seconds_bucket{{{SERIES},le="0.005"}} 1 '
        '# {trace_id="00000000000000000000000000000abc",span_id="0000000000000def"} 0.004 1362096001.500'
    )
    assert "trace_id" not in text(make_snapshot(window))


def test_cells_of_all_cohorts_are_one_series_beside_their_reference():
    """Cells add up over cohorts, carry no cohort, and stand beside the smoothed share of the reference."""
    reference = make_reference()
    windows = [
        make_window(
            SeriesKey("delays", "1", "stable", cohort),
            features=make_features(reference, {"wind": (1, 2, 3, 4, 5, 6), "carrier": (7, 8, 9, 10)}),
        )
        for cohort in ("plan=pro", "plan=free")
    ]
    exposition = text(make_snapshot(*windows, references={("delays", "1"): reference}))
    base = f'radiosonde_model_name="delays",radiosonde_model_version="1",radiosonde_reference_id="{reference.id}"'
    cells = [
        *(("wind", cell, n) for cell, n in [("00", 2), ("01", 4), ("below", 6), ("above", 8), ("null", 10), ("unseen", 12)]),
        *(("carrier", cell, n) for cell, n in [("c00", 14), ("c01", 16), ("null", 18), ("unseen", 20)]),
    ]  # fmt: skip
    assert family(exposition, "radiosonde_feature_cell_total") == [
        "# TYPE radiosonde_feature_cell_total counter",
        *(
            f"radiosonde_feature_cell_total{{{base},"
            f'radiosonde_feature_name="{name}",radiosonde_feature_cell="{cell}"}} {count}'
            for name, cell, count in cells
        ),
    ]
    shares = family(exposition, "radiosonde_feature_reference_ratio")
    assert shares[0] == "# TYPE radiosonde_feature_reference_ratio gauge"
    assert [float(line.rsplit(" ", 1)[1]) for line in shares[1:7]] == [
        40.5 / 103, 50.5 / 103, 0.5 / 103, 0.5 / 103, 10.5 / 103, 0.5 / 103,
    ]  # fmt: skip
    assert family(exposition, "radiosonde_feature_reference_rows")[1] == (
        f'radiosonde_feature_reference_rows{{{base},radiosonde_reference_provisional="false"}} 100'
    )


def test_every_cell_is_there_before_the_first_prediction():
    """A model that has a reference and no traffic exports all its cells as zeros."""
    lines = family(text(make_snapshot(references={("delays", "1"): make_reference()})), "radiosonde_feature_cell_total")
    assert len(lines) == 1 + 6 + 4
    assert {line.rsplit(" ", 1)[1] for line in lines[1:]} == {"0"}


def test_cells_that_no_reference_names_are_cut_and_counted():
    """Counts on a grid the snapshot has no reference for are left out; their number is exported."""
    foreign = make_reference()
    window = make_window(features=make_features(foreign, {"wind": (1, 2, 3, 4, 5, 6)}))
    exposition = text(make_snapshot(window))
    assert "radiosonde_feature_cell_total" not in exposition
    assert family(exposition, "radiosonde_sdk_cut")[1] == "radiosonde_sdk_cut 12"  # 2 features of 2 + 4 columns


def test_phases_are_cumulative_in_the_total_duration():
    """Seconds of a phase and calls up to each bound; what is beyond a bound is the difference to +Inf."""
    latency = make_latency([0.0001, 0.2, 2.0], {"fetch": [0.0, 0.15, 1.5]})
    lines = family(text(make_snapshot(make_window(latency=latency))), "radiosonde_prediction_phase_calls_total")
    calls = {line.split('total_le="')[1].split('"')[0]: line.rsplit(" ", 1)[1] for line in lines[1:]}
    assert len(calls) == 24
    assert [calls[bound] for bound in ("0.0001220703125", "0.125", "0.25", "1.0", "2.0", "512.0", "+Inf")] == [
        "1", "1", "2", "2", "3", "3", "3",
    ]  # fmt: skip
    lines = family(
        text(make_snapshot(make_window(latency=latency))), "radiosonde_prediction_phase_duration_seconds_total"
    )
    assert len(lines) == 1 + 2 * 24
    name = "radiosonde_prediction_phase_duration_seconds_total"
    assert f'{name}{{{RELEASE},radiosonde_phase="fetch",radiosonde_total_le="0.25"}} 0.15' in lines
    assert f'{name}{{{RELEASE},radiosonde_phase="fetch",radiosonde_total_le="+Inf"}} 1.65' in lines
    assert f'{name}{{{RELEASE},radiosonde_phase="total",radiosonde_total_le="+Inf"}} 2.2001' in lines


def test_outcomes_are_there_from_the_start():
    """All results and lags are exported for a series without labels, and counts where there are some."""
    labels = make_labels({("incorrect", "1d"): 4})
    with_labels = family(text(make_snapshot(make_window(labels=labels))), "radiosonde_outcome_rows_total")
    without = family(text(make_snapshot(make_window())), "radiosonde_outcome_rows_total")
    assert len(with_labels) == len(without) == 1 + 8
    assert f'radiosonde_outcome_rows_total{{{SERIES},radiosonde_outcome_result="incorrect",radiosonde_label_lag="1d"}} 4' in with_labels  # fmt: skip
    assert {line.rsplit(" ", 1)[1] for line in without[1:]} == {"0"}


def test_confidence_has_ten_buckets_of_the_twenty_bins():
    """Two bins make a bucket; rows of all classes are counted together."""
    output = make_output([("yes", 0.97), ("yes", 0.55), ("no", 0.52), ("no", 1.0), ("no", None)])
    lines = family(text(make_snapshot(make_window(output=output))), "radiosonde_prediction_confidence")
    assert [line.rsplit(" ", 1)[1] for line in lines[1:]] == [*"00000222244", "4", "3.04"]


def test_what_may_be_negative_is_no_histogram():
    """Predicted values are counted by bin, with the bounds beside them; every histogram has a count and a sum."""
    output = make_output(values=[-3.0, 0.5, 9.0], value_edges=[-1.0, 1.0])
    labels = make_labels(lags_s={"": [30.0]}, residuals=[2.0, -3.0])
    exposition = text(make_snapshot(make_window(output=output, labels=labels)))
    assert [line.split('bin="')[1] for line in family(exposition, "radiosonde_prediction_value_rows_total")[1:]] == [
        '00"} 1', '01"} 1', '02"} 1',
    ]  # fmt: skip
    assert [line.split('bin="')[1] for line in family(exposition, "radiosonde_prediction_value_upper_bound")[1:]] == [
        '00"} -1.0', '01"} 1.0',
    ]  # fmt: skip
    assert [line.split('sign="')[1] for line in family(exposition, "radiosonde_prediction_value_distance_total")[1:]] == [
        'positive"} 9.5', 'negative"} 3.0',
    ]  # fmt: skip
    lags = family(exposition, "radiosonde_label_lag_seconds")
    assert (len(lags), lags[-2].rsplit(" ")[-1], lags[-1].rsplit(" ")[-1]) == (1 + 5 + 2, "1", "30.0")
    assert [line.split('sign="')[1] for line in family(exposition, "radiosonde_outcome_residual_distance_total")[1:]] == [
        'positive"} 2.0', 'negative"} 3.0',
    ]  # fmt: skip
    assert family(exposition, "radiosonde_outcome_residual_squares_total")[1].endswith(" 13.0")
    assert "radiosonde_outcome_confidence" not in exposition
    assert "radiosonde_outcome_rows_total" not in exposition


def test_batches_are_counted_by_size():
    """A batch of 2**20 rows and more is beyond the last bound; sizes are inclusive upper bounds."""
    window = make_window(durations_s=[0.1] * 5, rows_per_call=[0, 1, 3, 4, 1 << 20])
    lines = family(text(make_snapshot(window)), "radiosonde_prediction_batch_size")
    counts = {line.split('le="')[1].split('"')[0]: line.rsplit(" ", 1)[1] for line in lines[1:17]}
    assert [counts[bound] for bound in ("1.0", "3.0", "7.0", "1023.0", "4095.0", "1.048575e+06", "+Inf")] == [
        "1", "2", "3", "3", "3", "3", "4",
    ]  # fmt: skip


def test_calibration_bins_carry_rows_correct_and_confidence():
    """Twenty bins, each with what the calibration error needs; correct rows that were taken back are counted apart."""
    taken_back = np.zeros(20, np.int64)
    taken_back[18] = 2
    labels = make_labels(calibration={18: (10, 9, 9.3)}, correct_retractions=taken_back)
    exposition = text(make_snapshot(make_window(labels=labels)))
    for name, value in (
        ("rows_total", "10"),
        ("correct_total", "11"),
        ("correct_retractions_total", "2"),
        ("expected_total", "9.3"),
    ):
        lines = family(exposition, f"radiosonde_outcome_confidence_{name}")
        assert len(lines) == 1 + 20
        assert lines[19] == f'radiosonde_outcome_confidence_{name}{{{RELEASE},radiosonde_confidence_bin="18"}} {value}'


def test_windows_of_one_series_on_two_grids_add_up():
    """A series whose reference was replaced is one series: only its cells are separate."""
    windows = [make_window(durations_s=[0.004]), make_window(durations_s=[0.2, 0.3], errors={"ValueError": 1})]
    exposition = text(make_snapshot(*windows))
    assert family(exposition, "radiosonde_prediction_calls_total")[1:] == [
        f"radiosonde_prediction_calls_total{{{SERIES}}} 3"
    ]
    assert family(exposition, "radiosonde_prediction_errors_total")[1:] == [
        f'radiosonde_prediction_errors_total{{{SERIES},error_type="ValueError"}} 1'
    ]


def test_the_overflow_cohort_is_marked():
    """Cohorts beyond the bound are one series with OpenTelemetry's mark."""
    window = make_window(SeriesKey("delays", "1", "stable", "__overflow__"))
    (line,) = family(text(make_snapshot(window)), "radiosonde_prediction_rows_total")[1:]
    assert line.endswith(
        'radiosonde_cohort="__overflow__",radiosonde_model_kind="model",otel_metric_overflow="true"} 2'
    )


def test_a_sum_over_models_counts_no_prediction_twice():
    """A request and the model it asks are series beside each other, of two kinds: the calls of one kind add up."""
    names = ("delays", "GET /delays/{carrier}", "POST /", "GET (no route)", "_OTHER /x", "GET it", "get /x", "POST")
    exposition = text(make_snapshot(*(make_window(SeriesKey(name, "1")) for name in names)))
    (calls,) = (found for found in parse_text(exposition) if found.name == "radiosonde_prediction_calls")
    kinds = {each.labels["radiosonde_model_name"]: each.labels["radiosonde_model_kind"] for each in calls.samples}
    requests = {"GET /delays/{carrier}", "POST /", "GET (no route)", "_OTHER /x"}
    assert kinds == {name: "request" if name in requests else "model" for name in names}


def test_label_values_are_escaped():
    """A quote, a backslash and a line feed in a name survive the way through a parser."""
    odd = 'a"b\\c\nd'
    exposition = text(make_snapshot(make_window(SeriesKey(odd, "1"))))
    (calls,) = (found for found in parse_text(exposition) if found.name == "radiosonde_prediction_calls")
    assert calls.samples[0].labels["radiosonde_model_name"] == odd


def test_statistics_are_exported():
    """Our own counts by reason, and the models observed."""
    exposition = text(make_snapshot(make_window(), losses={"ring_overwritten": 7}, drain_lag_s=0.5, exported_bytes=99))
    assert 'radiosonde_sdk_losses_total{radiosonde_loss_reason="ring_overwritten"} 7' in exposition
    assert "radiosonde_sdk_drain_lag_seconds 0.5\n" in exposition
    assert "radiosonde_sdk_exported_bytes_total 99\n" in exposition
    assert f'radiosonde_model_info{{{RELEASE},radiosonde_sdk_version="0.1.0"}} 1' in exposition


@pytest.mark.parametrize(("openmetrics", "parse"), [(True, parse_openmetrics), (False, parse_text)])
def test_peers_can_parse_it(openmetrics, parse):
    """The parsers of prometheus-client take both formats whole, exemplars included."""
    reference = make_reference()
    exemplar = Exemplar(0.004, START_NS, trace_id=1, span_id=2)
    window = make_window(
        KEY,
        latency=make_latency([0.004], {"fetch": [0.001]}, {1: exemplar}),
        output=make_output([("yes", 0.9)]),
        features=make_features(reference, {"wind": (1, 2, 3, 4, 5, 6)}),
        labels=make_labels({("correct", "1h"): 1}, lags_s={"yes": [5.0]}),
        errors={"ValueError": 1},
    )
    regression = make_window(SeriesKey("eta", "1"), output=make_output(values=[-1.0], value_edges=[0.0]))
    snapshot = make_snapshot(window, regression, references={("delays", "1"): reference}, losses={"torn": 1})
    exposition = text(snapshot, openmetrics=openmetrics)
    families = list(parse(exposition))
    assert sum(len(found.samples) for found in families) == sum(not x.startswith("#") for x in exposition.splitlines())
    assert not any(math.isnan(sample.value) for found in families for sample in found.samples)


def test_the_second_scrape_says_the_same_and_follows_the_counts():
    """Kept labels change nothing: a later scrape equals a fresh one, also when streams come and go."""
    kept = BlockBuilder()
    first = make_snapshot(make_window(), make_window(SeriesKey("eta", "1"), output=make_output([("a", 0.2)])))
    second = make_snapshot(make_window(durations_s=[0.1] * 9), make_window(SeriesKey("eta", "2")), losses={"torn": 1})
    for snapshot in (first, second, first):
        assert render(kept.build(snapshot), openmetrics=True).decode() == text(snapshot, openmetrics=True)
