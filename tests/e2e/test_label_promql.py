"""The queries of docs/label-metrics.md, run by Prometheus itself over what we export."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.model import SeriesKey, Window
from tests.factories import make_labels, make_output, make_snapshot, make_window

PAGE = Path(__file__).parents[2] / "docs/label-metrics.md"


def windows(correct: int, incorrect: int, retracted: int, lags: list[float], turns: int) -> list[Window]:
    """Return a classifier whose one confidence bin is half right, and a regression, as they are after some turns."""
    table, missed = np.zeros((21, 3)), np.zeros((21, 3))
    table[18], missed[18] = (6.0, 5.5, 5.0), (2.0, 1.8, 1.6)
    classifier = make_labels(
        {("correct", "1h"): correct, ("incorrect", "1h"): incorrect},
        calibration={18: (8 * turns, 6 * turns, 7.2 * turns), 10: (2 * turns, turns, 1.1 * turns)},
        lags_s={"delayed": lags, "on time": []},
        joint={("delayed", "delayed"): turns * table, ("on time", "delayed"): turns * missed},
        retractions={("incorrect", "1h"): retracted},
        never=3 * turns - 2,
    )
    residuals = make_labels(lags_s={"value": [5.0] * (4 * turns)}, residuals=[1.0, -2.0, 0.5, 0.5] * turns)
    return [
        make_window(labels=classifier),
        make_window(SeriesKey("fares", "7"), output=make_output(values=[1.0], value_edges=[0.0]), labels=residuals),
    ]


def series(page: list[Window]) -> dict[str, str]:
    """Return the value of each exported series."""
    lines = render(BlockBuilder().build(make_snapshot(*page)), openmetrics=False).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.fixture
def before_and_after() -> list[dict[str, str]]:
    """Return input series that are at one snapshot for half a day and then at a later one.

    Counters that begin above zero, because `increase` does not extrapolate one that begins at zero.
    """
    before = series(windows(10, 2, 1, [], 1))
    after = series(windows(18, 6, 2, [30.0, 90.0, 90.0, 90.0], 2))
    return [{"series": name, "values": f"{before[name]}+0x11 {value}+0x11"} for name, value in after.items()]


def test_every_query_of_the_page_gives_what_it_says(before_and_after, tmp_path, require_program):
    """Error rate at equal lag, calibration, recall, absolute error, median lag, labels that never came: as literals."""
    version, later = '{radiosonde_model_version="1"}', '{radiosonde_model_version="7"}'
    expected = [
        {'{radiosonde_model_version="1", radiosonde_label_lag="1h"}': 273},  # 3 of 11
        {
            '{radiosonde_model_version="1", radiosonde_confidence_bin="10"}': 50,
            '{radiosonde_model_version="1", radiosonde_confidence_bin="18"}': 150,
        },
        {version: 130},
        {version: 750},
        {later: 1000},
        {
            '{radiosonde_label_class="delayed"}': 1_240_000,
            '{radiosonde_label_class="value"}': 30_000,
        },  # a third of the way from one minute to one hour
        {version: 3130, later: 0},  # three, extrapolated from the 23 hours between the samples to the 24 asked for
    ]
    queries = re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    # In whole thousandths, because promtool compares exactly, and without NaN, which equals nothing there.
    tests = [
        {
            "expr": f"round(1000 * ({query})) >= 0",
            "eval_time": "23h",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for query, samples in zip(queries, expected, strict=True)
    ]
    group = {"interval": "1h", "input_series": before_and_after, "promql_expr_test": tests}
    file = tmp_path / "labels.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1h", "tests": [group]}))
    program = require_program("promtool")
    ran = subprocess.run([program, "test", "rules", file], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
