"""A scraper that requests native histograms gets them, with the same data as others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.export.protobuf import PROTOBUF
from radiosonde.model import LATENCY
from tests.e2e._receivers import ask, prometheus, query, wait_for
from tests.e2e.test_names_on_every_road import everything, scraped
from tests.e2e.test_restarted_replica import served
from tests.factories import make_latency, make_snapshot, make_window

ASKED = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "is_protobuf"),
    [
        (f"{ASKED},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        (ASKED, True),
        (f"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,{ASKED};q=0.2", False),
        (f"{ASKED};q=0", False),
        (ASKED.replace("delimited", "text"), False),
        (f"{ASKED};q=often", False),
        ("text/plain;version=0.0.4", False),
        ("", False),
    ],
)
def test_protobuf_goes_to_those_who_prefer_it(accept, is_protobuf):
    """By its quality; the undelimited form is not supported."""
    collector = PrometheusCollector(make_snapshot)
    assert (collector.respond(accept)[1] == PROTOBUF) is is_protobuf


def test_prometheus_reads_native_histograms(tmp_path, require_program):
    """Count, sum and quantiles of durations, from the shortest to the longest bucket; a quantile is within a bucket of the truth."""
    rng = np.random.default_rng(5)
    spent_s = [1e-9, 0.0, 5000.0, *rng.lognormal(-3, 1.5, 997).tolist()]
    snapshot = make_snapshot(make_window(durations_s=spent_s, latency=make_latency(spent_s)))
    collector = PrometheusCollector(lambda: snapshot)
    name = "radiosonde_prediction_duration_seconds"
    with (
        served(collector) as port,
        prometheus(require_program("prometheus"), port, Path(tmp_path), features="native-histograms") as base,
    ):
        (count,) = wait_for(lambda: query(base, f"histogram_count({name})"), "a native histogram")
        assert count["value"][1] == "1000"
        (total,) = query(base, f"histogram_sum({name})")
        assert float(total["value"][1]) == pytest.approx(sum(spent_s))
        for level in (0.01, 0.1, 0.5, 0.9, 0.99):
            (found,) = query(base, f"histogram_quantile({level}, {name})")
            assert float(found["value"][1]) == pytest.approx(np.quantile(spent_s, level), rel=0.1)
        (tail,) = query(base, f"histogram_fraction(0, {2.0**-5}, {name})")
        within = float(LATENCY.upper_bounds_s()[LATENCY.index(np.array([2.0**-5]))[0]])
        assert within == 2.0**-5
        assert float(tail["value"][1]) == pytest.approx(np.mean([value <= within for value in spent_s]))


def test_prometheus_reads_the_same_series_of_a_protobuf_page(tmp_path, require_program):
    """Every counter, gauge and histogram of a page with some of everything; durations are native, the others classic."""
    snapshot = replace(everything())
    expected = {(name, frozenset(pair for pair in labels if pair[1])) for name, labels in scraped(snapshot)}
    native = ("radiosonde_prediction_duration_seconds", "radiosonde_runtime_")
    with (
        served(PrometheusCollector(lambda: snapshot)) as port,
        prometheus(require_program("prometheus"), port, Path(tmp_path), features="native-histograms") as base,
    ):
        wait_for(lambda: query(base, "radiosonde_sdk_cut"), "a scrape")
        found = ask(base, "series", **{"match[]": '{__name__=~"radiosonde_.*"}'})
        stored = {
            (
                labels.pop("__name__"),
                frozenset(
                    (key, repr(float(value)) if key == "le" else value)
                    for key, value in labels.items()
                    if key not in {"job", "instance"}
                ),
            )
            for labels in found
        }
    is_native = lambda name: name.startswith(native) and name.endswith(("_bucket", "_count", "_sum"))  # noqa: E731
    assert {item for item in expected if not is_native(item[0])} <= stored
    assert {name for name, _ in stored - expected} == {
        name[: -len("_count")] for name, _ in expected if is_native(name) and name.endswith("_count")
    }
