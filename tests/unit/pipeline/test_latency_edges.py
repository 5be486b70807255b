"""Bucket bounds of durations: those that are set, those of objectives, and what happens where two lists of them meet."""

from __future__ import annotations

import re

import pytest

from radiosonde.errors import ConfigurationError
from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.model import LATENCY
from radiosonde.model.bins import LATENCY_EDGES_S
from radiosonde.testing import fly

START_S = 1_362_096_000


def bounds(rs) -> list[float]:
    """Return the bounds of the duration histogram on the page, ``+Inf`` left out."""
    page = render(BlockBuilder().build(rs.pipeline().snapshot()), openmetrics=False).decode()
    found = re.findall(r'radiosonde_prediction_duration_seconds_bucket\{[^}]*le="([^"]+)"\} (\S+)', page)
    return [float(bound) for bound, _ in found if bound != "+Inf"]


@pytest.mark.parametrize(
    "edges", [(2.0**-16,), (2.0**-17, 2.0**-16, 2.0**-15, 0.17, 90.0), tuple(2.0**-18 * n for n in range(1, 41))]
)
def test_bounds_that_are_set_are_those_of_the_page(edges):
    """One, some and the most there may be; every call is in its bucket, also where a writer has counted it."""
    with fly(latency_edges=edges, ring_bytes=1 << 16) as rs:
        predict = rs.observe("delays")(lambda _: "late")
        with rs.at(START_S), rs.pipeline()._turn:  # without a consumer: most records are reclaimed by the writer
            for _ in range(3000):
                predict([1.0])
        (window,) = rs.windows()
        assert window.latency.edges_s == edges
        uppers = LATENCY.upper_bounds_s().tolist()
        for place, edge in enumerate(edges):
            if edge in uppers:
                within = window.latency.counts[: uppers.index(edge) + 1].sum()
                assert window.latency.edge_counts[: place + 1].sum() == within
        assert bounds(rs) == list(edges)


@pytest.mark.parametrize(
    "edges", [(), (0.0,), (1.0, 0.5), (1.0, 1.0), (float("inf"),), (float("nan"),), "0.1", (True,), tuple(range(1, 42))]
)
def test_bounds_that_cannot_be_used_are_refused(edges):
    """None, not positive, not ascending, not finite, not numbers, too many."""
    with pytest.raises(ConfigurationError, match="latency_edges"), fly(latency_edges=edges):
        pass


def test_objectives_are_among_the_bounds(tmp_path):
    """The 99th percentiles of a radiosonde.toml beside the store, of all models, are bounds in the places they belong."""
    (tmp_path / "radiosonde.toml").write_text('[defaults]\nslo.p99 = "250ms"\n[model.fares]\nslo.p99 = "7s"\n')
    with fly(store=str(tmp_path / "a.sqlite")) as rs:
        rs.observe("delays")(lambda _: "late")([1.0])
        assert bounds(rs) == sorted({*LATENCY_EDGES_S, 0.25, 7.0})


def test_a_configuration_that_cannot_be_read_costs_its_bounds_alone(tmp_path, monkeypatch):
    """It is said once; the defaults are in force, and the prediction is counted."""
    monkeypatch.setenv("RADIOSONDE_CONFIG", str(tmp_path / "missing.toml"))
    with fly() as rs:
        rs.observe("delays")(lambda _: "late")([1.0])
        assert bounds(rs) == list(LATENCY_EDGES_S)


def test_labels_that_come_alone_keep_the_bounds():
    """A window with labels and no durations does not thin the bounds of the others."""
    with fly(latency_edges=(0.17, 2.0), labels="memory") as rs:
        predict = rs.observe("delays")(lambda _: "late")
        with rs.at(START_S):
            predict([1.0])
            rs.label(rs.current().id, "late")
        rs.flush()
        windows = rs.windows()
        assert sum(window.labels.class_counts.sum() for window in windows if window.labels) == 1
        assert bounds(rs) == [0.17, 2.0]
