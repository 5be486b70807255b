"""Plain PromQL over a window of time is right when a replica restarts in the middle of it, on a real Prometheus."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from wsgiref.simple_server import make_server

import numpy as np
import pytest

from radiosonde.export.prometheus import PrometheusCollector, metrics_app
from radiosonde.model import SeriesKey, Window
from tests.e2e._receivers import prometheus, query, wait_for
from tests.e2e.test_prometheus_scrape import Quiet
from tests.factories import make_labels, make_output, make_reference, make_snapshot, make_window

PAGE = Path(__file__).parents[2] / "docs/label-metrics.md"
REFERENCES = {
    ("delays", "1"): make_reference(classes=("delayed", "on time"), priors=(0.3, 0.7)),
    ("fares", "7"): make_reference(model="fares", value_edges=(10.0, 20.0)),
}


def windows(turns: int) -> list[Window]:
    """Return all that a replica has counted after *turns* equal turns, of which each corrected some label of the turn before."""
    joint = {
        ("delayed", "delayed"): table({18: (6, 5.5, 5.0)}),
        ("on time", "delayed"): table({18: (2, 1.8, 1.6)}),
        ("on time", "on time"): table({10: (4, 2.1, 1.1)}),
    }
    taken_back = np.zeros(20, np.int64)
    taken_back[18] = 2 * turns
    classifier = make_labels(
        {("correct", "1h"): 12 * turns, ("incorrect", "1h"): 3 * turns},
        calibration={18: (8 * turns, 6 * turns, 7.2 * turns), 10: (4 * turns, 4 * turns, 2.1 * turns)},
        joint={pair: turns * counted for pair, counted in joint.items()},
        joint_retractions={("delayed", "delayed"): turns * table({18: (2, 1.8, 1.6)})},
        correct_retractions=taken_back,
        retractions={("correct", "1h"): 2 * turns},
    )
    residuals = make_labels(lags_s={"value": [5.0] * (4 * turns)}, residuals=[3.0, -2.0, 1.0, -6.0] * turns)
    residuals = residuals.__class__(
        **{name: getattr(residuals, name) for name in residuals.__dataclass_fields__}
        | {"residuals_retracted": np.array([0.0, 4.0, 16.0]) * turns}
    )
    return [
        make_window(
            durations_s=[0.01] * (10 * turns), errors={"ValueError": turns} if turns else {}, labels=classifier
        ),
        make_window(
            SeriesKey("fares", "7"),
            output=make_output(values=[-5.0, 15.0] * turns, value_edges=[10.0, 20.0]),
            labels=residuals,
        ),
    ]


def table(rows: dict[int, tuple[float, float, float]]) -> np.ndarray:
    """Return a joint table with these lines by bin."""
    found = np.zeros((21, 3))
    for place, line in rows.items():
        found[place] = line
    return found


class Replica:
    """A process that serves its counts to scrapes."""

    def __init__(self) -> None:
        self.turns = 0

    def restart(self) -> None:
        """Reset the counts."""
        self.turns = 0

    def collector(self) -> PrometheusCollector:
        """Return the scraped page."""
        return PrometheusCollector(lambda: make_snapshot(*windows(self.turns), references=REFERENCES))


@contextmanager
def served(collector: PrometheusCollector) -> Iterator[int]:
    """Serve a collector; yield the port."""
    server = make_server("127.0.0.1", 0, metrics_app(collector), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a Prometheus that has scraped two replicas, one of which restarted in between."""
    import shutil

    program = shutil.which("prometheus")
    if not program:
        pytest.skip("the program 'prometheus' is not installed (Debian: apt-get install prometheus)")
    one, other = Replica(), Replica()
    with ExitStack() as stack:
        ports = [stack.enter_context(served(replica.collector())) for replica in (one, other)]
        url = stack.enter_context(prometheus(Path(program), ports, tmp_path_factory.mktemp("prometheus")))
        calls = "radiosonde_prediction_calls_total{radiosonde_model_name='delays'}"

        def scraped(*turns: int) -> Callable[[], bool]:
            return lambda: (
                sorted(float(each["value"][1]) for each in query(url, calls)) == sorted(10.0 * n for n in turns)
            )

        wait_for(scraped(0, 0), "both at zero")
        for one.turns, other.turns in ((1, 2), (3, 5), (4, 9)):
            wait_for(scraped(one.turns, other.turns), "a scrape of both")
        other.restart()
        wait_for(scraped(4, 0), "the replica that restarted")
        for one.turns, other.turns in ((6, 1), (7, 3)):
            wait_for(scraped(one.turns, other.turns), "a scrape of both")
        yield url


QUERIES = re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
ECE, RECALL, MAE = QUERIES[2], QUERIES[3], QUERIES[4]
VALUES = "sum by (radiosonde_model_version) (increase(radiosonde_prediction_value_rows_total[1d]))"
MEAN = (
    'sum by (radiosonde_model_version) (increase(radiosonde_prediction_value_distance_total{radiosonde_sign="positive"}[1d]))'
    f" / ({VALUES}) - sum by (radiosonde_model_version) (increase("
    f'radiosonde_prediction_value_distance_total{{radiosonde_sign="negative"}}[1d])) / ({VALUES})'
)
ERRORS = (
    'sum(increase(radiosonde_prediction_failures_total{radiosonde_model_name="delays"}[1d]))'
    ' / sum(increase(radiosonde_prediction_calls_total{radiosonde_model_name="delays"}[1d]))'
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # Bin 18: 6 right of 8 where 7.2 were to be expected; bin 10: 4 of 4 for 2.1.
        pytest.param(ECE, (abs(6 - 7.2) + abs(4 - 2.1)) / 12, id="expected calibration error"),
        pytest.param(RECALL, 6 / 8, id="recall"),
        pytest.param(MAE, (3 + 2 + 1 + 6 - 4) / 4, id="mean absolute error"),
        pytest.param(MEAN, 5.0, id="mean predicted value"),
        pytest.param(ERRORS, 0.1, id="error rate"),
        pytest.param(QUERIES[0], 3 / 13, id="share of wrong labels"),
    ],
)
def test_a_restart_within_the_window_changes_no_figure(base, expression, value):
    """Two replicas with equal shares, one restarted: every figure is the share, as if nothing had happened."""
    found = query(base, expression.replace("[1d]", "[10m]"))
    model = [item for item in found if item["value"][1] != "NaN"]
    assert [float(item["value"][1]) for item in model] == pytest.approx([value], rel=1e-6)


def test_the_series_are_born_at_zero(base):
    """Failures, results, label classes and pairs that the reference knows were zero at the first scrape of each replica."""
    for name in (
        "radiosonde_prediction_failures_total{radiosonde_model_name='delays'}",
        "radiosonde_outcome_rows_total{radiosonde_outcome_result='incorrect',radiosonde_label_lag='7d'}",
        "radiosonde_outcome_joint_rows_total{radiosonde_prediction_class='delayed',radiosonde_label_class='on time'}",
        "radiosonde_prediction_class_total{radiosonde_prediction_class='delayed'}",
        "radiosonde_label_lag_seconds_count{radiosonde_label_class='on time'}",
        "radiosonde_label_lag_seconds_count{radiosonde_label_class='value'}",
    ):
        (least,) = query(base, f"min(min_over_time({name}[10m]))")
        assert (name, least["value"][1]) == (name, "0")
        (replicas,) = query(base, f"count(count by (instance) ({name}))")
        assert (name, replicas["value"][1]) == (name, "2")


def test_regressions_have_no_calibration(base):
    """Bins of confidence and joint counts are of classifiers alone."""
    found = query(base, "group by (radiosonde_model_name) ({__name__=~'radiosonde_outcome_(confidence|joint)_.*'})")
    assert [item["metric"]["radiosonde_model_name"] for item in found] == ["delays"]
